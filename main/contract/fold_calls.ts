/** The part of the fold that follows client inputs and tool calls. */
import type { EventOf, LonghaulEventOf, StoredEvent } from "./events.ts";
import type { SessionFold } from "./fold.ts";
import { foldBegin } from "./outcome/outcomes.ts";

export interface PendingInput {
  id: string;
  type:
    | "user.message"
    | "user.define_outcome"
    | "user.interrupt"
    | "user.tool_confirmation"
    | "system.message"
    | "agent.thread_message_received";
  seq: number;
}

/** True for inputs that the model is shown: they begin a turn. */
export function isMessage(input: PendingInput): boolean {
  return (
    input.type === "user.message" ||
    input.type === "user.define_outcome" ||
    input.type === "agent.thread_message_received"
  );
}

export interface OpenCall {
  /** Id of the `agent.*tool_use` event. */
  id: string;
  kind: "builtin" | "custom" | "mcp";
  name: string;
  /** Of a call of kind `mcp`: the server, as the agent names it. */
  mcp_server_name?: string;
  /** Position of the tool-use event: its input is read from there, so that the fold stays small. */
  seq: number;
  at: string;
  permission: "allow" | "ask" | "deny";
  confirmation: { result: "allow" | "deny"; deny_message: string | null; event_id: string } | null;
  /** A client or worker computes the result: custom tools, and the sandbox tools of a `self_hosted` environment. */
  by_client: boolean;
  /** A spawned thread computes the result. */
  by_thread: boolean;
  /** Number of dispatches; > 0 without a result means in flight or cut off. */
  attempts: number;
  started_at: string | null;
}

/** How a call's tool is named to people. A server may call its tool `bash`: nobody may take it for the sandbox's. */
export function shownToolName(call: { name: string; mcp_server_name?: string }): string {
  return call.mcp_server_name === undefined ? call.name : `${call.mcp_server_name}/${call.name}`;
}

/** True when the call waits for a person or a client: an unconfirmed `ask`, or a result that a client computes. */
export function waitsForClient(call: OpenCall): boolean {
  return asksPerson(call) || (call.by_client && !isDenied(call));
}

/** True when a person must say yes or no. */
export function asksPerson(call: OpenCall): boolean {
  return call.permission === "ask" && call.confirmation === null;
}

/** True when the call must not run: by policy, or because a person said so. */
export function isDenied(call: OpenCall): boolean {
  return call.permission === "deny" || call.confirmation?.result === "deny";
}

/** Tools that a worker of a `self_hosted` environment runs (contract.md §5); the others are always the server's. */
const WORKER_TOOLS: ReadonlySet<string> = new Set(["bash", "read", "write", "edit", "glob", "grep"]);

type InputEvent =
  | EventOf<"user.message">
  | EventOf<"user.define_outcome">
  | EventOf<"system.message">
  | EventOf<"user.interrupt">
  | EventOf<"user.tool_confirmation">
  | EventOf<"agent.thread_message_received">
  | LonghaulEventOf<"longhaul.inputs_consumed">;

export function foldInput(next: SessionFold, event: InputEvent, stored: StoredEvent): void {
  if (event.type === "longhaul.inputs_consumed") {
    const consumed = new Set(event.event_ids);
    const taken = next.inputs.filter((input) => consumed.has(input.id));
    const message = taken.some(isMessage);
    if (message) {
      if (next.system_context === "last") next.system_context = "answered";
      next.awaiting_model = true;
      next.mcp_connected = false;
      next.last_message_id = null;
      next.stopped = false;
      next.retry = null;
      next.failures = 0;
      next.continuations = 0;
      next.rounds = 0;
      next.error = null;
      next.refusal = null;
      next.turns += 1;
    }
    if (taken.some((input) => input.type === "system.message")) next.system_context = "last";
    if (stored.thread_id === next.primary_thread_id) foldBegin(next, consumed, message);
    if (taken.some((input) => input.type === "user.interrupt")) {
      // The turn ends here without sampling; a later message starts the next one.
      next.awaiting_model = false;
      next.stopped = false;
      next.retry = null;
    }
    next.inputs = next.inputs.filter((input) => !consumed.has(input.id));
    return;
  }
  next.inputs = [...next.inputs, { id: event.id, type: event.type, seq: stored.seq }];
  if (event.type === "user.message" && next.task === "") {
    const text = event.content.find((block) => block.type === "text");
    if (typeof text?.text === "string") next.task = oneLine(text.text);
  }
  if (event.type === "user.define_outcome" && next.task === "" && typeof event.description === "string") {
    next.task = oneLine(event.description);
  }
  if (event.type !== "user.tool_confirmation") return;
  const confirmation = { result: event.result, deny_message: event.deny_message ?? null, event_id: event.id };
  next.calls = next.calls.map((call) =>
    call.id === event.tool_use_id && call.confirmation === null ? { ...call, confirmation } : call,
  );
}

type CallEvent =
  | EventOf<"agent.tool_use">
  | EventOf<"agent.custom_tool_use">
  | EventOf<"agent.mcp_tool_use">
  | LonghaulEventOf<"longhaul.tool_started">;

export function foldCall(next: SessionFold, event: CallEvent, stored: StoredEvent): void {
  if (event.type === "longhaul.tool_started") {
    startClock(next, stored.created_at);
    next.calls = next.calls.map((call) =>
      call.id === event.tool_use_id ? { ...call, attempts: event.attempt, started_at: stored.created_at } : call,
    );
    return;
  }
  next.tool_calls += 1;
  next.last_act = oneLine(`${shownToolName(event)} ${describeInput(event.input)}`);
  next.calls = [
    ...next.calls,
    {
      id: event.id,
      kind: event.type === "agent.tool_use" ? "builtin" : event.type === "agent.mcp_tool_use" ? "mcp" : "custom",
      name: event.name,
      ...(event.type === "agent.mcp_tool_use" ? { mcp_server_name: event.mcp_server_name } : {}),
      seq: stored.seq,
      at: stored.created_at,
      permission: event.type === "agent.custom_tool_use" ? "allow" : (event.evaluated_permission ?? "allow"),
      by_client:
        event.type === "agent.custom_tool_use" || (event.type === "agent.tool_use" && runsOnWorker(next, event.name)),
      by_thread: false,
      confirmation: null,
      attempts: 0,
      started_at: null,
    },
  ];
}

/** True for a call whose result a worker computes. */
export function runsOnWorker({ environment }: Pick<SessionFold, "environment">, name: string): boolean {
  return environment.config.type === "self_hosted" && WORKER_TOOLS.has(name);
}

type ResultEvent =
  | EventOf<"agent.tool_result">
  | EventOf<"agent.mcp_tool_result">
  | EventOf<"user.custom_tool_result">
  | EventOf<"user.tool_result">;

/** Id of the tool-use event that a result answers. */
export function answeredCall(event: ResultEvent): string {
  if (event.type === "agent.mcp_tool_result") return event.mcp_tool_use_id;
  if (event.type === "user.custom_tool_result") return event.custom_tool_use_id;
  return event.tool_use_id;
}

/** A result's text that tells first what was lost with an earlier sandbox. */
export function withNotice(notice: string | null, text: string): string {
  return notice === null ? text : `[${notice}]\n\n${text}`;
}

function carries(event: ResultEvent, notice: string): boolean {
  const block = event.content?.[0];
  if (block?.type !== "text") return false;
  // A reader of large bodies' markers has their beginning.
  const text: unknown = block.text;
  const start = typeof text === "string" ? text : ((text as { preview?: unknown } | null)?.preview ?? "");
  return typeof start === "string" && start.startsWith(`[${notice}]`.slice(0, 200));
}

export function foldResult(next: SessionFold, event: ResultEvent): void {
  const id = answeredCall(event);
  // A second result for the same call changes nothing: the model sees the first one only.
  const answered = next.calls.find((call) => call.id === id);
  if (answered === undefined) return;
  if (next.sandbox !== null && next.sandbox.notice !== null && carries(event, next.sandbox.notice)) {
    next.sandbox = { ...next.sandbox, notice: null };
  }
  next.calls = next.calls.filter((call) => call.id !== id);
  if (event.is_error === true) next.tool_errors += 1;
  next.cut_offs = 0;
  if (next.calls.length === 0) next.awaiting_model = true;
}

/** The one value of a tool input that tells most: a command, a path, a pattern, a query. */
export function describeInput(input: Record<string, unknown>): string {
  for (const key of ["command", "file_path", "pattern", "path", "query", "url"]) {
    const value = input[key];
    if (typeof value === "string" && value !== "") return value;
  }
  return "";
}

/** The first 140 characters on one line. */
export function oneLine(text: string): string {
  // Single spaces are left alone: this runs for every message and call that is appended.
  const line = text
    .slice(0, 400)
    .replace(/\s{2,}|[^\S ]/g, " ")
    .trim();
  return line.length > 140 ? `${line.slice(0, 139)}…` : line;
}

/** After a cut the clock stands still until something is done again. */
export function startClock(next: SessionFold, at: string): void {
  if (next.phase === "running") next.running_since ??= at;
}
