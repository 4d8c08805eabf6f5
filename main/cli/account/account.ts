/**
 * The account of a session for a terminal: a pure function of timeline frames. Each frame gives the next state and what
 * is printed for it; history is folded through without printing to know what comes next belongs to.
 */
import type { LonghaulEventOf, StoredEvent } from "../../contract/events.ts";
import { foldEvent, type SessionFold } from "../../contract/fold.ts";
import type { PreviewFrame, TimelineFrame } from "../../contract/local_api.ts";
import { openCalls } from "../../contract/threads/view.ts";
import { callRow, resultRows } from "./calls.ts";
import { cutOffRow, infrastructureRows } from "./infrastructure.ts";
import { INDENT, note, row, rowHead, under } from "./rows.ts";
import { count, duration, harmless, plural, type Style, textOf } from "./words.ts";

/** What a tool call is, kept beside the fold, which has no inputs. */
export interface CallSummary {
  name: string;
  what: string;
  input: unknown;
  /** When it was asked for, and when it last started. */
  at: string;
}

export interface Preview {
  /** Id of the event that will replace it. */
  id: string;
  /** Text shown so far, unindented. */
  shown: string;
  /** Index of the content block that is being shown. */
  index: number;
  /** True while the cursor stands behind the text: rows that come between close it, and it goes on in a new row. */
  open: boolean;
  /** A part was missed (the connection was renewed): nothing more of it is shown until the whole message arrives. */
  torn: boolean;
}

export interface AccountState {
  fold: SessionFold | null;
  /** Open calls by the id of their tool-use event. */
  calls: Readonly<Record<string, CallSummary>>;
  preview: Preview | null;
  /** The call that was answered last: how it was settled is told right after its result. */
  answered: { id: string; name: string } | null;
  /** Facts of the model response whose request has not ended yet. */
  response: { duration_ms: number; first_token_ms: number | null; demo: boolean } | null;
  /** What cut the session off, until it goes on. */
  cut_off: { event: LonghaulEventOf<"longhaul.cut_off">; at: string } | null;
  /** The last message of the agent, and the events it may have to be fetched from in full. */
  final_message: { seq: number; content: unknown } | null;
}

export const EMPTY_ACCOUNT: AccountState = {
  fold: null,
  calls: {},
  preview: null,
  answered: null,
  response: null,
  cut_off: null,
  final_message: null,
};

export interface AccountStep {
  state: AccountState;
  /** What to print; may end within a line while a message streams. */
  text: string;
}

/** One more frame. Never throws: unknown events print nothing. */
export function accountStep(state: AccountState, frame: TimelineFrame, style: Style): AccountStep {
  switch (frame.type) {
    case "stored":
      return storedStep(state, frame.stored, style);
    case "preview":
      return previewStep(state, frame.frame, style);
    case "caught_up": {
      // A new connection: parts of a message that streams may have been missed.
      const preview = state.preview === null ? null : { ...state.preview, open: false, torn: true };
      return { state: { ...state, preview }, text: closeLine(state) };
    }
    case "deleted":
      return {
        state,
        text: `${closeLine(state)}${row(style, null, "deleted", "The session was deleted.", { paint: "red" })}`,
      };
    default:
      return { state, text: "" };
  }
}

function previewStep(state: AccountState, frame: PreviewFrame, style: Style): AccountStep {
  if (frame.type === "event_start") {
    if (frame.event.type !== "agent.message") return { state, text: "" };
    const preview: Preview = { id: frame.event.id, shown: "", index: 0, open: false, torn: false };
    return { state: { ...state, preview }, text: closeLine(state) };
  }
  const { preview } = state;
  if (preview === null || preview.id !== frame.event_id || preview.torn) return { state, text: "" };
  const fresh = (frame.delta.index === preview.index ? "" : "\n") + harmless(frame.delta.content.text);
  if (fresh === "") return { state, text: "" };
  const next: Preview = { ...preview, shown: preview.shown + fresh, index: frame.delta.index, open: true };
  const at = state.fold?.model_request?.started_at ?? null;
  const text = preview.open ? under(fresh) : rowHead(style, at, "model", "cyan") + under(fresh.replace(/^\n+/, ""));
  return { state: { ...state, preview: next }, text };
}

function storedStep(state: AccountState, stored: StoredEvent, style: Style): AccountStep {
  const { event } = stored;
  const fold = foldEvent(state.fold, withShortText(stored));
  const folded: AccountState = { ...state, fold, cut_off: cutOffAfter(state, stored) };
  switch (event.type) {
    case "agent.message": {
      const text = messageText(state, event.id, harmless(textOf(event.content)), stored.created_at, style);
      return { state: { ...folded, preview: null, final_message: { seq: stored.seq, content: event.content } }, text };
    }
    case "agent.tool_use":
    case "agent.mcp_tool_use":
    case "agent.custom_tool_use": {
      const call = callRow(event, stored.created_at, style);
      return rows({ ...folded, calls: { ...state.calls, [event.id]: call.summary } }, state, call.text);
    }
    case "longhaul.tool_started": {
      const call = state.calls[event.tool_use_id];
      if (call === undefined) return { state: folded, text: "" };
      const calls = { ...state.calls, [event.tool_use_id]: { ...call, at: stored.created_at } };
      const again =
        event.attempt > 1
          ? row(style, stored.created_at, call.name, `attempt ${event.attempt} of the same call: ${call.what}`)
          : "";
      return rows({ ...folded, calls }, state, again);
    }
    case "agent.tool_result":
    case "agent.mcp_tool_result":
    case "user.custom_tool_result":
    case "user.tool_result": {
      const result = resultRows(event, state.calls, stored.created_at, style);
      return rows({ ...folded, calls: result.calls, answered: result.answered ?? state.answered }, state, result.text);
    }
    case "longhaul.model_response":
      return { state: { ...folded, response: event }, text: "" };
    case "span.model_request_end":
      return rows({ ...folded, preview: null, response: null }, state, requestEnd(state, event, style));
    default:
      return rows(folded, state, infrastructureRows(state, folded, stored, style));
  }
}

/** The bookkeeping of leases around a cut-off does not move the session; anything else does. */
function cutOffAfter(state: AccountState, { event, created_at }: StoredEvent): AccountState["cut_off"] {
  if (event.type === "longhaul.cut_off") return { event, at: created_at };
  return event.type.startsWith("longhaul.lease_") ? state.cut_off : null;
}

/** The fold wants text; in the timeline a message over 64 KiB has a marker in its place. */
function withShortText(stored: StoredEvent): StoredEvent {
  const { event } = stored;
  if (
    event.type !== "agent.message" ||
    event.content.every((block) => block.type !== "text" || typeof block.text === "string")
  ) {
    return stored;
  }
  return { ...stored, event: { ...event, content: [{ type: "text", text: textOf(event.content) }] } };
}

/** Rows below whatever was streaming. */
function rows(next: AccountState, before: AccountState, text: string): AccountStep {
  if (text === "") return { state: next, text };
  const preview = next.preview === null ? null : { ...next.preview, open: false };
  return { state: { ...next, preview }, text: closeLine(before) + text };
}

function closeLine(state: AccountState): string {
  return state.preview?.open === true ? "\n" : "";
}

/** The rest of a message that was streamed, or the whole of one that was not. */
function messageText(state: AccountState, id: string, text: string, at: string, style: Style): string {
  const { preview } = state;
  const streamed = preview?.id === id && !preview.torn && text.startsWith(preview.shown) ? preview : null;
  const rest = text.slice(streamed?.shown.length ?? 0);
  if (streamed?.open === true) return `${under(rest)}\n`;
  if (streamed !== null && rest.trim() === "") return "";
  return closeLine(state) + row(style, at, "model", rest.replace(/^\n+/, ""), { paint: "cyan" });
}

type RequestEnd = Extract<StoredEvent["event"], { type: "span.model_request_end" }>;

function requestEnd(state: AccountState, event: RequestEnd, style: Style): string {
  const cut =
    state.preview !== null && state.preview.shown !== ""
      ? note(style, "(this answer was cut off; it is not part of the session)", "yellow")
      : "";
  if (event.is_error === true || state.response === null) return cut;
  const {
    cache_read_input_tokens: cached,
    cache_creation_input_tokens: created,
    input_tokens,
    output_tokens,
  } = event.model_usage;
  const input = input_tokens + cached + created;
  const share = input === 0 || cached === 0 ? "" : ` (${Math.round((cached / input) * 100)} % cached)`;
  const first =
    state.response.first_token_ms === null ? "" : `, first token after ${duration(state.response.first_token_ms)}`;
  return (
    cut +
    note(
      style,
      `${duration(state.response.duration_ms)}${first} · ${count(input)} tokens in${share} · ${count(output_tokens)} out`,
    )
  );
}

/** Where a session stands, in two or three lines: printed before a follower goes on with it. */
export function whereItStands(state: AccountState, style: Style): string {
  const { fold } = state;
  if (fold === null) return "";
  const cutOff = state.cut_off === null ? "" : cutOffRow(state.cut_off.event, state.cut_off.at, style);
  const since = style.clock(state.cut_off?.event.last_event_at ?? fold.updated_at);
  const lines = [
    `${plural(fold.turns, "turn")}, ${plural(fold.model_requests, "model request")}, ${plural(fold.tool_calls, "tool call")} so far; last event at ${since}.`,
  ];
  for (const call of openCalls(fold)) {
    const summary = state.calls[call.id];
    const what = `${call.name}${summary === undefined || summary.what === "" ? "" : ` ${summary.what}`}`;
    lines.push(
      call.attempts > 0
        ? `In flight: ${what} (started ${style.clock(call.started_at ?? call.at)}); the sandbox is asked what became of it.`
        : `Not started: ${what}.`,
    );
  }
  for (const { model_request } of [fold, ...fold.threads]) {
    if (model_request === null) continue;
    lines.push(
      `In flight: a model request since ${style.clock(model_request.started_at)}; it is sent again, unchanged.`,
    );
  }
  return cutOff + lines.map((line) => `${INDENT}${line}\n`).join("");
}
