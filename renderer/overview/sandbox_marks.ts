/** The sandbox's lane: when it was made, for how long it was there, where it was lost, taken on again or replaced. */
import { shortTime } from "../format/times.ts";
import type { Row, SandboxRow, ToolRow } from "../timeline/row.ts";
import type { Timeline } from "../timeline/timeline.ts";
import type { Mark, MarkTone } from "./marks.ts";

/** Collects marks from a timeline's rows, given in order. */
export class SandboxLane {
  readonly #now: number;
  readonly #running: boolean;
  readonly #lines: Mark[] = [];
  readonly #marks: Mark[] = [];
  #alive: { from: number; row: string } | null = null;
  /** Times at which it was surely there: calls began or gave their results. */
  #signs: number[] = [];

  /** @param running the engine works on the session now: only then does an open provisioning go on */
  constructor(now: number, running: boolean) {
    this.#now = now;
    this.#running = running;
  }

  add(row: Row): void {
    if (row.kind === "sandbox") this.#addSandbox(row);
    else if (row.kind === "notice" && row.code === "sandbox_lost") {
      this.#end(row.at);
      this.#push(row, "cross", row.at, row.at, "bad");
    } else if (row.kind === "notice" && row.code === "checkpoint") {
      this.#push(row, "dot", row.at, row.at, row.tone === "quiet" ? "quiet" : "plain");
    } else if (row.kind === "tool") this.#addCall(row);
  }

  /** All marks; what is still there reaches to the end of the picture. */
  close(): readonly Mark[] {
    this.#end(this.#now);
    return [...this.#lines, ...this.#marks];
  }

  #addCall(row: ToolRow): void {
    if (row.startedAt === null) return;
    this.#signs.push(row.startedAt);
    // A result that was settled after a cut says nothing of when the sandbox was last there.
    if (row.end !== null && row.settled === null && row.state !== "unknown") this.#signs.push(row.end);
  }

  #addSandbox(row: SandboxRow): void {
    const to = row.end ?? this.#now;
    const taken = row.state === "ready" && row.how === "adopted";
    const stillThere = taken && this.#alive !== null;
    // Found stopped or gone: nobody saw when that happened, so the line ends with what was seen of it last.
    if (row.state === "ready" && !taken) this.#end(this.#lastSign(row.at));
    if (!stillThere) this.#push(row, "bar", row.at, to, this.#tone(row), ticksOf(row));
    if (row.state !== "ready") return;
    if (taken) this.#push(row, "ring", to, to, "plain");
    this.#alive ??= { from: to, row: row.id };
    this.#signs.push(to);
  }

  #lastSign(before: number): number {
    let last = 0;
    for (const sign of this.#signs) if (sign <= before && sign > last) last = sign;
    return last;
  }

  #tone(row: SandboxRow): MarkTone {
    if (row.state === "failed" || row.state === "cut_off") return "bad";
    if (row.state === "provisioning") return this.#running ? "live" : "quiet";
    return "plain";
  }

  #end(to: number): void {
    const alive = this.#alive;
    this.#alive = null;
    if (alive === null || to <= alive.from) return;
    const line = { row: alive.row, lane: "sandbox", shape: "line", from: alive.from, to } as const;
    this.#lines.push({ ...line, tone: "quiet", slot: 0, slots: 1 });
  }

  #push(row: Row, shape: Mark["shape"], from: number, to: number, tone: MarkTone, ticks: number[] = []): void {
    this.#marks.push({ row: row.id, lane: "sandbox", shape, from, to, tone, slot: 0, slots: 1, ticks });
  }
}

/** Ends of all steps but the last, as times: steps are told with their lengths, one after the other. */
function ticksOf(row: SandboxRow): number[] {
  let at = row.at;
  return row.steps.slice(0, -1).map((step) => {
    at += step.durationMs;
    return at;
  });
}

/** The lane in words, for people who do not see it: the newest few of what was out of the ordinary. */
export function sandboxStory(timeline: Timeline): string[] {
  const story: string[] = [];
  for (const row of timeline.rows.values()) {
    const time = shortTime(row.at);
    if (row.kind === "notice" && row.code === "sandbox_lost") story.push(`sandbox lost at ${time}`);
    else if (row.kind !== "sandbox") continue;
    else if (row.state === "failed") story.push(`sandbox could not be made at ${time}`);
    else if (row.how !== null && row.how !== "created") story.push(`sandbox ${row.how} at ${time}`);
  }
  return story.slice(-6);
}
