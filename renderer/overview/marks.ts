/** What the overview draws, taken from the rows of a timeline. */
import type { Lane, Row } from "../timeline/row.ts";
import type { Timeline } from "../timeline/timeline.ts";
import { SandboxLane } from "./sandbox_marks.ts";
import type { Span, StretchKind } from "./scale.ts";

export type MarkTone = "plain" | "quiet" | "live" | "bad" | "unknown" | "waiting";

export interface Mark {
  row: string;
  lane: Lane;
  shape: "bar" | "line" | "dot" | "diamond" | "cross" | "ring";
  from: number;
  to: number;
  tone: MarkTone;
  /** Which of `slots` equal parts of the lane's height it takes: marks that overlap in time stand above each other. */
  slot: number;
  slots: number;
  /** Times at which a bar goes from one step to the next. */
  ticks?: readonly number[];
}

/** A place where one process ended and another took over. */
export interface Boundary {
  row: string;
  at: number;
  label: string;
}

export interface Marks {
  marks: Mark[];
  boundaries: Boundary[];
  gaps: (Span & { kind: Exclude<StretchKind, "busy">; row: string })[];
  busy: Span[];
}

/** Collects the marks; what is still open reaches to `now`. `running`: the engine works on the session at this moment. */
export function collectMarks(timeline: Timeline, now: number, running: boolean): Marks {
  const out: Marks = { marks: [], boundaries: [], gaps: timeline.gaps.map((gap) => ({ ...gap })), busy: [] };
  const sandbox = new SandboxLane(now, running);
  for (const row of timeline.rows.values()) {
    collect(row, now, out);
    sandbox.add(row);
  }
  // First, so that what happened in the sandbox lies on the line that says that it was there.
  out.marks.unshift(...sandbox.close());
  stack(out.marks);
  return out;
}

const MAX_SLOTS = 3;
const WHOLE = { slot: 0, slots: 1 };

/** Gives overlapping bars of the tools lane their own part of its height. */
function stack(marks: Mark[]): void {
  const bars = marks.filter((mark) => mark.lane === "tools" && mark.shape === "bar").sort((a, b) => a.from - b.from);
  let group: Mark[] = [];
  let ends: number[] = [];
  let until = Number.NEGATIVE_INFINITY;
  const finish = (): void => {
    for (const mark of group) mark.slots = ends.length;
    group = [];
    ends = [];
  };
  for (const mark of bars) {
    if (mark.from >= until) finish();
    const free = ends.findIndex((end) => end <= mark.from);
    mark.slot = free >= 0 ? free : Math.min(ends.length, MAX_SLOTS - 1);
    ends[mark.slot] = mark.to;
    group.push(mark);
    until = Math.max(until, mark.to);
  }
  finish();
}

function collect(row: Row, now: number, out: Marks): void {
  switch (row.kind) {
    case "message":
      out.marks.push({ row: row.id, lane: "you", shape: "dot", from: row.at, to: row.at, tone: "plain", ...WHOLE });
      out.busy.push({ from: row.at, to: row.at });
      return;
    case "request": {
      const to = row.end ?? now;
      const bad = row.state === "failed" || row.state === "cut_off";
      const tone = bad ? "bad" : row.end === null ? "live" : row.state === "interrupted" ? "quiet" : "plain";
      out.marks.push({ row: row.id, lane: "model", shape: "bar", from: row.at, to, tone, ...WHOLE });
      out.busy.push({ from: row.at, to });
      return;
    }
    case "tool":
      return collectTool(row, now, out);
    case "sandbox": {
      out.busy.push({ from: row.at, to: row.end ?? now });
      return;
    }
    case "notice":
      return collectNotice(row, now, out);
  }
}

const TOOL_TONES: Partial<Record<string, MarkTone>> = {
  failed: "bad",
  cut_off: "bad",
  unknown: "unknown",
  denied: "quiet",
  interrupted: "quiet",
};

function collectTool(row: Extract<Row, { kind: "tool" }>, now: number, out: Marks): void {
  if (row.asked) {
    const to = row.confirmation?.at ?? row.end ?? now;
    const tone = row.state === "waiting" ? "waiting" : "plain";
    out.marks.push({ row: row.id, lane: "you", shape: "diamond", from: row.at, to, tone, ...WHOLE });
    out.gaps.push({ kind: "waiting", from: row.at, to, row: row.id });
  }
  if (row.startedAt === null) return;
  const to = row.end ?? now;
  const tone = TOOL_TONES[row.state] ?? (row.end === null ? "live" : "plain");
  out.marks.push({ row: row.id, lane: "tools", shape: "bar", from: row.startedAt, to, tone, ...WHOLE });
  out.busy.push({ from: row.startedAt, to });
}

function collectNotice(row: Extract<Row, { kind: "notice" }>, now: number, out: Marks): void {
  const mark = { row: row.id, lane: row.lane, from: row.at, to: row.end ?? now, ...WHOLE };
  if (row.code === "cut_off") {
    out.boundaries.push({ row: row.id, at: row.at, label: row.what.replace(/^Cut off: /, "") });
    out.busy.push({ from: row.at, to: row.at });
    return;
  }
  // Connections that were let through, and credentials that were used, are told in the list; a dot for each would hide
  // the rest of the lane.
  const listed = row.code === "egress" || row.code === "credential";
  if (row.code === "sleep" || (listed && row.tone === "quiet")) return;
  if (row.code === "sandbox_lost" || row.code === "checkpoint") {
    out.busy.push({ from: row.at, to: row.at });
    return;
  }
  if (row.code === "lease") {
    out.marks.push({ ...mark, shape: "line", tone: row.tone === "bad" ? "bad" : "quiet" });
    return;
  }
  if (row.code === "retry") out.marks.push({ ...mark, shape: "bar", tone: "waiting" });
  else if (row.code === "interrupt") out.marks.push({ ...mark, to: row.at, shape: "diamond", tone: "plain" });
  else {
    const tone = row.tone === "bad" ? "bad" : row.tone === "unknown" ? "unknown" : "quiet";
    out.marks.push({ ...mark, to: row.at, shape: "dot", tone });
  }
  if (row.code !== "archived" && row.code !== "updated") out.busy.push({ from: row.at, to: row.at });
}
