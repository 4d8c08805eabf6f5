/** The texts of a row's columns. */
import { duration, percent, plural, tokens } from "../../format/numbers.ts";
import type { NoticeCode, RequestRow, Row, SandboxRow, ToolRow, Turn } from "../../timeline/row.ts";
import { ORIGINS } from "../../timeline/sandbox/words.ts";

export type Tone = "quiet" | "plain" | "bad" | "waiting" | "unknown";

export interface Cell {
  text: string;
  tone: Tone;
  /** Shown only where there is room. */
  wide?: boolean;
}

const NOTICES: Record<NoticeCode, string> = {
  created: "session",
  thread: "agent",
  thread_message: "agents",
  updated: "session",
  archived: "session",
  terminated: "session",
  lease: "engine",
  cut_off: "cut off",
  sleep: "asleep",
  resume: "you",
  error: "error",
  sign_in: "sign in",
  retry: "retry",
  interrupt: "you",
  settled: "recovered",
  unknown_outcome: "unknown",
  sandbox_lost: "sandbox",
  checkpoint: "sandbox",
  egress: "network",
  mcp: "servers",
  credential: "vault",
  brought_back: "you",
  push: "push",
  files: "files",
  memory: "memory",
  compacted: "compact",
  continuation: "model",
  outcome: "grader",
  stopped: "stopped",
};

const PURPOSES: Record<RequestRow["purpose"], string> = { turn: "model", compaction: "compact", grading: "grader" };

/** Names of the product's own tools that are wider than the column. */
const TOOL_LABELS: Readonly<Record<string, string>> = {
  web_search: "search",
  web_fetch: "fetch",
  send_to_agent: "agents",
};

/** The kind column. */
export function labelOf(row: Row): string {
  switch (row.kind) {
    case "message":
      return row.by === "user" ? "you" : "system";
    case "request":
      return PURPOSES[row.purpose];
    case "tool":
      return TOOL_LABELS[row.name] ?? row.name;
    case "sandbox":
      return "sandbox";
    case "notice":
      return NOTICES[row.code];
  }
}

/** What the row is about; a request that only called tools says so. */
export function whatOf(row: Row): string {
  if (row.kind !== "request" || row.what !== "") return row.what;
  if (row.calls.length > 0) return `Calls ${listNames(row.calls)}`;
  return row.state === "open" ? "" : row.state === "done" ? "No text" : "";
}

function listNames(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => (count > 1 ? `${name} ×${count}` : name)).join(", ");
}

/** Where the clock of a row begins, and where it ends (null: it runs on). Null when it has no length to tell. */
export function lengthOf(row: Row): { from: number; to: number | null } | null {
  switch (row.kind) {
    case "message":
      return null;
    case "request":
      return row.end === null
        ? { from: row.at, to: null }
        : { from: row.at, to: row.at + (row.durationMs ?? row.end - row.at) };
    case "tool":
      return row.startedAt === null ? null : { from: row.startedAt, to: row.end };
    case "sandbox":
      return { from: row.at, to: row.end };
    case "notice":
      return row.end === null || row.end > row.at ? { from: row.at, to: row.end } : null;
  }
}

/** Input tokens of a request in all, whether read from the cache or not. */
export function inputTokens(usage: RequestRow["usage"]): number {
  if (usage === null) return 0;
  return usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
}

const TOOL_TEXTS: Record<ToolRow["state"], Cell> = {
  requested: { text: "not started", tone: "quiet" },
  waiting: { text: "waits for you", tone: "waiting" },
  running: { text: "running", tone: "quiet" },
  cut_off: { text: "cut off", tone: "bad" },
  ok: { text: "", tone: "quiet" },
  failed: { text: "failed", tone: "bad" },
  denied: { text: "denied", tone: "quiet" },
  interrupted: { text: "stopped", tone: "quiet" },
  unknown: { text: "outcome unknown", tone: "unknown" },
};

/** The outcome column. `running`: the engine works on the session now; only then may an open row say that it runs. */
export function outcomeOf(row: Row, running: boolean): Cell[] {
  switch (row.kind) {
    case "message":
      return row.state === "queued" ? [{ text: "queued", tone: "quiet" }] : [];
    case "request":
      return requestOutcome(row, running);
    case "tool":
      return toolOutcome(row, running);
    case "sandbox":
      return sandboxOutcome(row, running);
    case "notice":
      return row.detail === "" ? [] : [{ text: row.detail, tone: "quiet", wide: true }];
  }
}

function requestOutcome(row: RequestRow, running: boolean): Cell[] {
  const states: Partial<Record<RequestRow["state"], Cell>> = {
    open: { text: running ? "" : "no answer yet", tone: "quiet" },
    failed: { text: "failed", tone: "bad" },
    cut_off: { text: "cut off", tone: "bad" },
    interrupted: { text: "stopped", tone: "quiet" },
  };
  const state = states[row.state];
  if (state !== undefined) return state.text === "" ? [] : [state];
  if (row.usage === null) return [];
  const all = inputTokens(row.usage);
  const cached = percent(row.usage.cache_read_input_tokens, all);
  const stop: Cell[] = row.stopReason === "max_tokens" ? [{ text: "cut at its length limit", tone: "bad" }] : [];
  return [
    ...stop,
    { text: `${tokens(all)} in`, tone: "quiet" },
    ...(cached === null ? [] : [{ text: `${cached} cached`, tone: "quiet" as const, wide: true }]),
    { text: `${tokens(row.usage.output_tokens)} out`, tone: "quiet", wide: true },
  ];
}

function toolOutcome(row: ToolRow, running: boolean): Cell[] {
  const cells: Cell[] = [];
  const unfinished = row.state === "running" || row.state === "requested";
  if (row.settled === "collected") cells.push({ text: "collected", tone: "plain" });
  if (row.settled === "reattached") cells.push({ text: "re-attached", tone: "plain" });
  if (row.settled === "run_again") cells.push({ text: "run again", tone: "plain" });
  if (row.delta !== null && row.state === "ok") {
    cells.push({ text: `+${row.delta.added} −${row.delta.removed}`, tone: "plain" });
  }
  if (row.state === "failed" && row.exit !== null) cells.push({ text: `exit ${row.exit}`, tone: "bad" });
  else if (row.state === "waiting" && row.callKind === "custom")
    cells.push({ text: "waits for a program", tone: "quiet" });
  else if (unfinished && !running) cells.push({ text: "no result yet", tone: "quiet" });
  else if (TOOL_TEXTS[row.state].text !== "") cells.push(TOOL_TEXTS[row.state]);
  if (row.output !== null && row.output.lines > 0 && row.delta === null && row.state !== "denied") {
    cells.push({ text: plural(row.output.lines, "line"), tone: "quiet" });
  }
  if (row.web !== null) cells.push(...webCells(row.web));
  return cells;
}

/** What it asked the endpoint for, in numbers like a request's. */
function webCells({ usage, searches }: NonNullable<ToolRow["web"]>): Cell[] {
  return [
    ...(searches > 1 ? [{ text: `${searches} searches`, tone: "quiet" as const, wide: true }] : []),
    { text: `${tokens(inputTokens(usage))} in`, tone: "quiet" },
    { text: `${tokens(usage.output_tokens)} out`, tone: "quiet", wide: true },
  ];
}

function sandboxOutcome(row: SandboxRow, running: boolean): Cell[] {
  const steps: Cell[] =
    row.steps.length > 0 ? [{ text: plural(row.steps.length, "step"), tone: "quiet", wide: true }] : [];
  switch (row.state) {
    case "failed":
      return [{ text: "failed", tone: "bad" }, ...steps];
    case "cut_off":
      return [{ text: "cut off", tone: "bad" }, ...steps];
    case "provisioning":
      return [{ text: running ? "under way" : "not finished", tone: "quiet" }, ...steps];
    case "ready": {
      const lost: Cell[] = row.notice === null ? [] : [{ text: "something was lost", tone: "bad" }];
      const how: Cell[] =
        row.how === null || row.how === "created" ? [] : [{ text: ORIGINS[row.how], tone: "plain", wide: true }];
      return [...lost, ...how, ...steps];
    }
  }
}

const TURN_STATES: Record<Turn["state"], Cell> = {
  open: { text: "", tone: "quiet" },
  waiting: { text: "waits for you", tone: "waiting" },
  worker: { text: "waits for a worker", tone: "plain" },
  program: { text: "waits for a program", tone: "plain" },
  done: { text: "", tone: "quiet" },
  interrupted: { text: "you stopped it", tone: "quiet" },
  stopped: { text: "stopped", tone: "bad" },
  refused: { text: "declined", tone: "bad" },
  budget: { text: "budget reached", tone: "bad" },
  terminated: { text: "ended", tone: "bad" },
};

/** The texts of a turn's line after its number and time. */
export function turnCells(turn: Turn): Cell[] {
  const all = inputTokens(turn.usage);
  const cached = percent(turn.usage.cache_read_input_tokens, all);
  const cells: Cell[] = [];
  if (turn.requests > 0) cells.push({ text: plural(turn.requests, "request"), tone: "quiet" });
  if (turn.tools > 0) cells.push({ text: plural(turn.tools, "call"), tone: "quiet", wide: true });
  if (all > 0) {
    cells.push({ text: `${tokens(all + turn.usage.output_tokens)} tokens`, tone: "quiet" });
    if (cached !== null) cells.push({ text: `${cached} cached`, tone: "quiet", wide: true });
  }
  if (turn.failures > 0) cells.push({ text: `${turn.failures} failed`, tone: "quiet", wide: true });
  const state = TURN_STATES[turn.state];
  if (state.text !== "") cells.push(state);
  return cells;
}

/** Time in which a turn really ran, up to `now`. */
export function activeMs(turn: Turn, now: number): number {
  const open = turn.runningSince === null ? 0 : Math.max(0, now - turn.runningSince);
  return Math.max(0, turn.activeMs + open);
}

/** A length for people, or an empty text. */
export function lengthText(length: { from: number; to: number | null } | null, now: number): string {
  if (length === null) return "";
  return duration((length.to ?? now) - length.from);
}
