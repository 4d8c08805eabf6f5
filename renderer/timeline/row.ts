/** What the timeline shows: turns, and under them rows. Rows are values: a change makes a new object. */
import type { SandboxOrigin, Settlement, Usage } from "../../main/contract/events.ts";

/** The five lanes of the overview; every row belongs to one. */
export type Lane = "model" | "tools" | "sandbox" | "you" | "infra";

export const LANES: readonly Lane[] = ["model", "tools", "sandbox", "you", "infra"];

interface RowBase {
  /** Id of the event that began the row: stable, and usable in links. */
  id: string;
  /** Seq of that event. */
  seq: number;
  /** Id of the thread that it belongs to. */
  thread: string;
  /** Name of the agent, when it is a spawned thread's. */
  who: string | null;
  /** Milliseconds since the epoch. */
  at: number;
  /** null while it goes on; equal to `at` for things without length. */
  end: number | null;
  lane: Lane;
  /** Index into the timeline's turns; -1 while the row belongs to none. */
  turn: number;
  /** Row that this one is grouped under, or null when it stands directly in its turn. */
  parent: string | null;
  /** Seqs of every event that this row is made of, in order. */
  seqs: readonly number[];
  /** One line: what it is about. */
  what: string;
}

export interface MessageRow extends RowBase {
  kind: "message";
  by: "user" | "system";
  /** `queued`: it has arrived, the model has not been shown it. */
  state: "queued" | "taken";
}

export interface RequestRow extends RowBase {
  kind: "request";
  purpose: "turn" | "compaction" | "grading";
  state: "open" | "done" | "failed" | "cut_off" | "interrupted";
  model: string | null;
  firstTokenMs: number | null;
  durationMs: number | null;
  usage: Usage | null;
  stopReason: string | null;
  /** Names of the tools it called, in order. */
  calls: readonly string[];
  messageCount: number | null;
  bytes: number | null;
  demo: boolean;
}

export type ToolState =
  /** Committed, not dispatched. */
  | "requested"
  /** Waits for a person's yes or no, or for a client's result. */
  | "waiting"
  | "running"
  /** The process died while it ran; not settled yet. */
  | "cut_off"
  | "ok"
  | "failed"
  | "denied"
  | "interrupted"
  | "unknown";

export interface ToolRow extends RowBase {
  kind: "tool";
  callKind: "builtin" | "custom" | "mcp";
  name: string;
  state: ToolState;
  /** Time of the last dispatch; null before the first. */
  startedAt: number | null;
  attempts: number;
  /** True when the call needed a person's yes. */
  asked: boolean;
  confirmation: { result: "allow" | "deny"; at: number; message: string | null } | null;
  settled: Settlement | null;
  exit: number | null;
  /** Lines and bytes of its result; null without one. */
  output: { lines: number; bytes: number } | null;
  /** Lines added and removed by an edit. */
  delta: { added: number; removed: number } | null;
  /** What a web tool used beside the conversation's requests; null for other tools. */
  web: { usage: Usage; searches: number; fetches: number } | null;
}

export interface SandboxRow extends RowBase {
  kind: "sandbox";
  provider: string;
  cause: "first_tool_call" | "replaced" | "resources_changed";
  /** `cut_off`: the process that made it ended; `failed`: it could not be had, `reason` says why. */
  state: "provisioning" | "ready" | "failed" | "cut_off";
  /** Null until it is ready. */
  how: SandboxOrigin | null;
  /** What the model was told because files or processes were lost; null when nothing was. */
  notice: string | null;
  reason: string | null;
  steps: readonly SandboxStep[];
}

export interface SandboxStep {
  step: string;
  durationMs: number;
  error: string | null;
}

export type NoticeCode =
  | "created"
  | "thread"
  | "thread_message"
  | "updated"
  | "archived"
  | "terminated"
  | "lease"
  | "cut_off"
  | "sleep"
  | "resume"
  | "error"
  /** An MCP server wants somebody to sign in. */
  | "sign_in"
  | "retry"
  | "interrupt"
  | "settled"
  | "unknown_outcome"
  | "sandbox_lost"
  | "checkpoint"
  | "egress"
  | "mcp"
  | "credential"
  | "brought_back"
  | "push"
  | "files"
  | "memory"
  | "compacted"
  | "continuation"
  | "outcome"
  | "stopped";

export type NoticeTone = "quiet" | "note" | "waiting" | "bad" | "unknown";

export interface NoticeRow extends RowBase {
  kind: "notice";
  code: NoticeCode;
  tone: NoticeTone;
  /** What else there is to say: shown at the row's end and in the inspector. */
  detail: string;
  /** The tool-use or model-request event that it is about. */
  about: string | null;
}

export type Row = MessageRow | RequestRow | ToolRow | SandboxRow | NoticeRow;

export type TurnState =
  | "open"
  /** For a person. */
  | "waiting"
  /** For the worker of a self-hosted environment, or for a program that answers custom tools. */
  | "worker"
  | "program"
  | "done"
  | "interrupted"
  | "stopped"
  | "refused"
  | "budget"
  | "terminated";

/** One message (or several taken together) and everything done for it. Number 0 holds what came before the first. */
export interface Turn {
  id: string;
  number: number;
  seq: number;
  at: number;
  end: number | null;
  state: TurnState;
  /** A person asked it to stop. */
  interrupted: boolean;
  requests: number;
  tools: number;
  failures: number;
  usage: Usage;
  /** Milliseconds in which the session ran, without waits, sleep and time with no engine. */
  activeMs: number;
  runningSince: number | null;
}

/** A time in which nothing could happen, and why. */
export interface Gap {
  kind: "sleep" | "no_engine";
  from: number;
  to: number;
  /** The row that tells about it. */
  row: string;
}
