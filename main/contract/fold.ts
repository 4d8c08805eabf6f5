/**
 * The pure fold from events to session state: one function used by the ledger's projection, the harness and the
 * renderer. Its state is small (no transcript): it is stored as JSON and rebuilt from the events at will (L10).
 */

import type { IdleStopReason, LedgerEvent, SessionErrorBody, SessionSnapshot, StoredEvent, Usage } from "./events.ts";
import {
  foldCall,
  foldInput,
  foldResult,
  type OpenCall,
  oneLine,
  type PendingInput,
  startClock,
} from "./fold_calls.ts";

export interface OpenModelRequest {
  /** Id of the `span.model_request_start` event. */
  id: string;
  kind: "turn" | "compaction";
  started_at: string;
}

export interface RetryPlan {
  attempt: number;
  at: string;
  error_type: string;
  waits_for_network: boolean;
}

export interface SandboxState {
  provider: string;
  state: "provisioning" | "ready" | "lost";
  /** True once the session has had a sandbox: its files are there, and a later one must be the same or replace it. */
  made: boolean;
  /** What the next result of a sandbox tool must tell the model; null when nothing was lost. */
  notice: string | null;
}

export interface SessionFold extends SessionSnapshot {
  session_id: string;
  created_at: string;
  /** Time of the last event. */
  updated_at: string;
  last_seq: number;
  archived_at: string | null;
  /** What the last status event said. Not whether anything runs now: that is a live lease (DESIGN.md §5). */
  phase: "idle" | "running" | "rescheduling" | "terminated";
  stop_reason: IdleStopReason | null;
  /** The last `session.error` since the turn began; null when the turn is healthy. */
  error: SessionErrorBody | null;
  /** Client events that have arrived and are not yet consumed, oldest first. */
  inputs: PendingInput[];
  /** Tool calls without a result, in the order the model made them. */
  calls: OpenCall[];
  model_request: OpenModelRequest | null;
  /** The transcript ends with something the model has not answered. */
  awaiting_model: boolean;
  /** The turn died (retries exhausted): only a new message or a person's resume goes on. */
  stopped: boolean;
  retry: RetryPlan | null;
  /** Model requests that failed in a row. */
  failures: number;
  /** Times in a row that a request found no way to the endpoint. */
  offline_waits: number;
  /** Answers in a row that were cut at the output limit. */
  continuations: number;
  /** Tool rounds since the turn began. */
  rounds: number;
  /** Set when the model declined to answer; cleared by the next message. */
  refusal: { category: string | null; explanation: string | null } | null;
  /** Times in a row that a process died while it ran this session, with no model response or tool result in between. */
  cut_offs: number;
  /** Everything with seq ≤ this is represented by the last compaction's summary; 0 when there was none. */
  compacted_through: number;
  /** Tokens of the last request and its answer: what the next request will at least hold. */
  context_tokens: number;
  /** The endpoint refused the last request for its size. */
  context_full: boolean;
  usage: Usage;
  turns: number;
  model_requests: number;
  tool_calls: number;
  tool_errors: number;
  outcomes_unknown: number;
  /** Milliseconds in status running, without sleep and without the time in which no process was there. */
  active_ms: number;
  running_since: string | null;
  sandbox: SandboxState | null;
  /** First line of the first message: names a session that has no title. */
  task: string;
  /** One line for the session list: what it did last. */
  last_act: string;
  /** True once a response came from the offline demo model. */
  demo: boolean;
}

const EMPTY_USAGE: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

function start(stored: StoredEvent, session: SessionSnapshot): SessionFold {
  return {
    ...session,
    session_id: stored.session_id,
    created_at: stored.created_at,
    updated_at: stored.created_at,
    last_seq: stored.seq,
    archived_at: null,
    phase: "idle",
    stop_reason: null,
    error: null,
    inputs: [],
    calls: [],
    model_request: null,
    awaiting_model: false,
    stopped: false,
    retry: null,
    failures: 0,
    offline_waits: 0,
    continuations: 0,
    rounds: 0,
    refusal: null,
    cut_offs: 0,
    compacted_through: 0,
    context_tokens: 0,
    context_full: false,
    usage: EMPTY_USAGE,
    turns: 0,
    model_requests: 0,
    tool_calls: 0,
    tool_errors: 0,
    outcomes_unknown: 0,
    active_ms: 0,
    running_since: null,
    sandbox: null,
    task: "",
    last_act: "",
    demo: false,
  };
}

/**
 * State after one more event. Never throws: events of unknown types only move `last_seq` and `updated_at` (L8).
 * @param fold state so far; null before the first event
 * @returns null when the first event is not `longhaul.session_created`
 */
export function foldEvent(fold: SessionFold | null, stored: StoredEvent): SessionFold | null {
  const { event } = stored;
  if (fold === null) return event.type === "longhaul.session_created" ? start(stored, event.session) : null;
  const next = { ...fold, last_seq: stored.seq, updated_at: stored.created_at };
  apply(next, event, stored);
  return next;
}

/** Folds a whole sequence; null when it does not begin with `longhaul.session_created`. */
export function foldAll(events: Iterable<StoredEvent>, from: SessionFold | null = null): SessionFold | null {
  let fold = from;
  for (const stored of events) fold = foldEvent(fold, stored);
  return fold;
}

/** `next` is this call's own copy: assignments are fine, but nested values must be replaced, never changed in place. */
function apply(next: SessionFold, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "user.message":
    case "user.interrupt":
    case "user.tool_confirmation":
    case "longhaul.inputs_consumed":
      return foldInput(next, event, stored);
    case "agent.tool_use":
    case "agent.custom_tool_use":
    case "agent.mcp_tool_use":
    case "longhaul.tool_started":
      return foldCall(next, event, stored);
    case "agent.tool_result":
    case "agent.mcp_tool_result":
    case "user.custom_tool_result":
    case "user.tool_result":
      return foldResult(next, event);
    case "agent.message": {
      const block = event.content[0];
      // A reader of large bodies' markers has no text here; the act before then stays.
      if (block?.type === "text" && typeof block.text === "string") next.last_act = oneLine(block.text);
      return;
    }
    case "session.status_running":
      next.phase = "running";
      next.stop_reason = null;
      next.retry = null;
      next.running_since = stored.created_at;
      return;
    case "session.status_idle":
      next.phase = "idle";
      next.stop_reason = event.stop_reason;
      next.stopped = event.stop_reason.type === "retries_exhausted" || event.stop_reason.type === "budget_reached";
      return stopClock(next, stored.created_at);
    case "session.status_rescheduled":
      next.phase = "rescheduling";
      return stopClock(next, stored.created_at);
    case "session.status_terminated":
      next.phase = "terminated";
      return stopClock(next, stored.created_at);
    case "session.error":
      next.error = event.error;
      return;
    case "session.updated":
      if (event.agent) next.agent = event.agent;
      if (event.title !== undefined) next.title = event.title;
      if (event.metadata !== undefined) next.metadata = event.metadata;
      if (event.budget !== undefined) next.budget = event.budget;
      return;
    case "span.model_request_start":
      startClock(next, stored.created_at);
      next.model_request = { id: event.id, kind: "turn", started_at: stored.created_at };
      next.model_requests += 1;
      return;
    case "span.model_request_end":
      next.model_request = null;
      return addUsage(next, event.model_usage);
    default:
      applyLocal(next, event, stored);
  }
}

function applyLocal(next: SessionFold, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "longhaul.session_archived":
      next.archived_at = stored.created_at;
      return;
    case "longhaul.resume_requested":
      next.stopped = false;
      next.retry = null;
      next.failures = 0;
      next.cut_offs = 0;
      if (event.by !== "network") next.rounds = 0;
      return;
    case "longhaul.model_request":
      if (next.model_request?.id === event.model_request_start_id) {
        next.model_request = { ...next.model_request, kind: event.kind };
      }
      return;
    case "longhaul.model_response": {
      const { usage } = event;
      const tokens =
        usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens + usage.output_tokens;
      // An answer that was interrupted before it began says nothing about the size of the context.
      if (tokens > 0) next.context_tokens = tokens;
      next.offline_waits = 0;
      next.awaiting_model = false;
      next.failures = 0;
      next.cut_offs = 0;
      next.error = null;
      next.demo = next.demo || event.demo;
      next.continuations = event.stop_reason === "max_tokens" ? next.continuations + 1 : 0;
      if (event.stop_reason === "tool_use") next.rounds += 1;
      if (event.stop_reason === "pause_turn") next.awaiting_model = true;
      next.refusal =
        event.stop_reason === "refusal" ? (event.stop_details ?? { category: null, explanation: null }) : null;
      return;
    }
    case "longhaul.continuation":
      next.awaiting_model = true;
      return;
    case "longhaul.context_full":
      next.context_full = true;
      return;
    case "longhaul.compaction":
      next.compacted_through = event.through_seq;
      next.context_tokens = 0;
      next.context_full = false;
      next.failures = 0;
      return;
    case "longhaul.retry_scheduled":
      next.retry = {
        attempt: event.attempt,
        at: event.at,
        error_type: event.error_type,
        waits_for_network: event.waits_for_network,
      };
      next.failures = event.attempt;
      if (event.waits_for_network) next.offline_waits += 1;
      return;
    case "longhaul.cut_off":
      // It runs again with the next act: nobody works on the session until then.
      stopClock(next, event.last_event_at);
      if (event.cause !== "shutdown") next.cut_offs += 1;
      return;
    case "longhaul.sleep_gap":
      // The clock of the running turn is moved past the gap: nothing was active while the machine slept.
      if (next.running_since !== null) next.running_since = later(next.running_since, event.seconds * 1000);
      return;
    case "longhaul.outcome_unknown":
      next.outcomes_unknown += 1;
      return;
    case "longhaul.sandbox_provisioning":
      next.sandbox = sandboxState(next.sandbox, event.provider, "provisioning");
      return;
    case "longhaul.sandbox_ready":
      next.sandbox = { ...sandboxState(next.sandbox, event.provider, "ready"), made: true };
      if (event.notice != null) next.sandbox.notice = event.notice;
      return;
    case "longhaul.sandbox_lost":
      next.sandbox = sandboxState(next.sandbox, event.provider, "lost");
      return;
    default:
      return;
  }
}

function sandboxState(before: SandboxState | null, provider: string, state: SandboxState["state"]): SandboxState {
  return { provider, state, made: before?.made ?? false, notice: before?.notice ?? null };
}

function later(at: string, ms: number): string {
  return new Date(Date.parse(at) + ms).toISOString();
}

function stopClock(next: SessionFold, at: string): void {
  if (next.running_since === null) return;
  next.active_ms += Math.max(0, Date.parse(at) - Date.parse(next.running_since));
  next.running_since = null;
}

function addUsage(next: SessionFold, usage: Usage): void {
  next.usage = {
    input_tokens: next.usage.input_tokens + usage.input_tokens,
    output_tokens: next.usage.output_tokens + usage.output_tokens,
    cache_read_input_tokens: next.usage.cache_read_input_tokens + usage.cache_read_input_tokens,
    cache_creation_input_tokens: next.usage.cache_creation_input_tokens + usage.cache_creation_input_tokens,
  };
}
