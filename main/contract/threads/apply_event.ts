/** What each event changes in the state of a session or thread. */
import type { IdleStopReason, LedgerEvent, LonghaulEventOf, StoredEvent } from "../events.ts";
import type { SandboxState, SessionFold } from "../fold.ts";
import { foldCall, foldInput, foldResult, oneLine, startClock } from "../fold_calls.ts";
import { foldGrading, foldOutcome } from "../outcome/outcomes.ts";
import { foldPush } from "../vaults/fold_pushes.ts";
import { spend, type ThreadState } from "./state.ts";

/**
 * Takes one event into the state of a session or of one of its threads. `next` is the caller's own copy: assignments are
 * fine, but nested values must be replaced, never changed in place.
 */
export function applyEvent(next: SessionFold, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "user.define_outcome":
      foldOutcome(next, event, stored);
      return foldInput(next, event, stored);
    case "span.outcome_evaluation_start":
    case "span.outcome_evaluation_end":
      return foldOutcome(next, event, stored);
    case "user.message":
    case "system.message":
    case "user.interrupt":
    case "user.tool_confirmation":
    case "agent.thread_message_received":
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
      next.last_message_id = event.id;
      // A reader of large bodies' markers has no text here; the act before then stays.
      if (block?.type === "text" && typeof block.text === "string") next.last_act = oneLine(block.text);
      return;
    }
    case "session.status_running":
      return run(next, stored.created_at);
    case "session.status_idle":
      return rest(next, event.stop_reason, stored.created_at);
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
      if (event.agent) {
        next.agent = event.agent;
        next.mcp_connected = false;
      }
      if (event.title !== undefined) next.title = event.title;
      if (event.metadata !== undefined) next.metadata = event.metadata;
      if (event.budget !== undefined) {
        next.budget = event.budget;
        goOn(next);
      }
      return;
    case "span.model_request_start":
      startClock(next, stored.created_at);
      next.model_request = { id: event.id, kind: "turn", started_at: stored.created_at, price: null };
      next.model_requests += 1;
      return;
    case "span.model_request_end":
      spend(next, event, next.model_request?.price ?? null);
      if (next.model_request?.kind === "grading") foldGrading(next, event.model_usage);
      next.model_request = null;
      return;
    case "longhaul.web_request":
      spend(next, event, event.price);
      return;
    default:
      applyLocal(next, event, stored);
  }
}

const FREE = { input: 0, output: 0, cache_read: 0, cache_write: 0 };

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
      next.mcp_connected = false;
      if (event.by !== "network") next.rounds = 0;
      return;
    case "longhaul.model_request":
      if (next.model_request?.id === event.model_request_start_id) {
        next.model_request = { ...next.model_request, kind: event.kind, price: event.price ?? null };
      }
      if (event.kind === "grading") foldGrading(next, "begun");
      return;
    case "longhaul.model_response":
      return respond(next, event);
    case "longhaul.continuation":
      next.awaiting_model = true;
      return;
    case "longhaul.mcp_connected":
      next.mcp_connected = true;
      return;
    case "longhaul.context_full":
      if (event.kind === "grading") foldGrading(next, "too_large");
      else next.context_full = true;
      return;
    case "longhaul.compaction":
      next.compacted_through = event.through_seq;
      next.context_tokens = 0;
      next.context_full = false;
      // System messages outlive the summary, right behind it.
      if (next.system_context !== "none") next.system_context = "last";
      next.failures = 0;
      return;
    case "longhaul.retry_scheduled":
      next.retry = {
        attempt: event.attempt,
        at: event.at,
        error_type: event.error_type,
        waits_for_network: event.waits_for_network,
        ...(event.waits_for_keychain === true ? { waits_for_keychain: true } : {}),
      };
      next.failures = event.attempt;
      if (event.waits_for_network || event.waits_for_keychain === true) next.offline_waits += 1;
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
    case "longhaul.resource_added":
      next.resources = [...next.resources, event.resource];
      return;
    case "longhaul.resource_removed":
      return removeResource(next, event.resource_id);
    case "longhaul.push_requested":
    case "longhaul.push_decided":
    case "longhaul.pushed":
      return foldPush(next, event, stored.created_at);
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

function removeResource(next: SessionFold, id: string): void {
  const removed = next.resources.find((resource) => "id" in resource && resource.id === id);
  next.resources = next.resources.filter((resource) => resource !== removed);
  if (removed?.type === "file") next.detached = [...(next.detached ?? []), removed];
}

function sandboxState(before: SandboxState | null, provider: string, state: SandboxState["state"]): SandboxState {
  return { provider, state, made: before?.made ?? false, notice: before?.notice ?? null };
}

function later(at: string, ms: number): string {
  return new Date(Date.parse(at) + ms).toISOString();
}

export function stopClock(next: ThreadState, at: string): void {
  if (next.running_since === null) return;
  next.active_ms += Math.max(0, Date.parse(at) - Date.parse(next.running_since));
  next.running_since = null;
}

/** A budget that was used up has been raised or removed: what it stopped goes on. */
export function goOn(next: ThreadState): void {
  if (next.stop_reason?.type === "budget_reached") next.stopped = false;
}

/** The session, or a thread of it, begins to run. */
export function run(next: ThreadState, at: string): void {
  next.phase = "running";
  next.stop_reason = null;
  next.retry = null;
  next.running_since = at;
}

/** The session, or a thread of it, comes to rest. */
export function rest(next: ThreadState, reason: IdleStopReason, at: string): void {
  next.phase = "idle";
  next.stop_reason = reason;
  // A budget that is used up when a retry comes due: it would be taken for the next thing to wait for.
  next.retry = null;
  next.stopped = reason.type === "retries_exhausted" || reason.type === "budget_reached";
  stopClock(next, at);
}

function respond(next: SessionFold, event: LonghaulEventOf<"longhaul.model_response">): void {
  next.offline_waits = 0;
  next.cut_offs = 0;
  next.error = null;
  next.demo = next.demo || event.demo;
  // The offline demo answered in the model's place, and costs nothing.
  if (event.demo && next.model_request !== null) next.model_request = { ...next.model_request, price: FREE };
  // The grader's answer is no part of the agent's turn.
  if (event.kind === "grading") return;
  const { usage } = event;
  const tokens =
    usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens + usage.output_tokens;
  // An answer that was interrupted before it began says nothing about the size of the context.
  if (tokens > 0) next.context_tokens = tokens;
  next.awaiting_model = false;
  if (next.system_context === "last") next.system_context = "answered";
  next.failures = 0;
  next.continuations = event.stop_reason === "max_tokens" ? next.continuations + 1 : 0;
  if (event.stop_reason === "tool_use") next.rounds += 1;
  if (event.stop_reason === "pause_turn") next.awaiting_model = true;
  next.refusal = event.stop_reason === "refusal" ? (event.stop_details ?? { category: null, explanation: null }) : null;
}
