/** The one place that decides what a session does next: a pure function of its fold. */

import { budgetReached } from "../contract/cost/cost.ts";
import type { IdleStopReason } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";
import type { OpenCall } from "../contract/fold_calls.ts";
import { activeOutcome, holdsGrading, type Outcome } from "../contract/outcome/outcomes.ts";
import { consumableInputs } from "../contract/threads/inputs.ts";
import type { ThreadFold } from "../contract/threads/view.ts";
import { blockedCalls, isHeldUp, runnableCalls, threadWork, waitsForThread } from "../contract/work.ts";

export type Action =
  | { kind: "interrupt"; event_ids: string[] }
  /** A request was in flight when its process ended: it is closed in the ledger and made again. */
  | { kind: "abandon_request"; model_request_start_id: string }
  | { kind: "calls"; calls: OpenCall[] }
  | { kind: "consume"; event_ids: string[] }
  | { kind: "compact" }
  | { kind: "tool_limit" }
  | { kind: "request" }
  /** The agent would end its turn: what it works towards is graded first. */
  | { kind: "grade"; outcome: Outcome }
  | { kind: "idle"; stop_reason: IdleStopReason; consumes: string[] }
  | { kind: "rest" };

export interface Limits {
  /** Context size in tokens above which the next request is preceded by a compaction. */
  compact_at_tokens: number;
  /** Tool rounds in one turn (one response that calls tools is one round). */
  max_rounds: number;
}

export function decide(fold: ThreadFold, limits: Limits, now: number): Action {
  if (fold.archived_at !== null || fold.phase === "terminated") return { kind: "rest" };
  const interrupts = fold.inputs.filter((input) => input.type === "user.interrupt");
  if (interrupts.length > 0) return { kind: "interrupt", event_ids: interrupts.map((input) => input.id) };
  if (fold.model_request !== null) {
    return { kind: "abandon_request", model_request_start_id: fold.model_request.id };
  }
  const calls = runnableCalls(fold);
  if (calls.length > 0) return { kind: "calls", calls };
  if (fold.calls.length > 0) return decideBlocked(fold, now);
  const inputs = consumableInputs(fold);
  if (inputs.length > 0) return { kind: "consume", event_ids: inputs.map((input) => input.id) };
  if (fold.awaiting_model) return decideRequest(fold, limits, now);
  if (fold.phase === "idle" && (fold.stopped || !holdsGrading(fold))) return { kind: "rest" };
  if (fold.phase !== "idle" && isPlanned(fold, now)) return { kind: "rest" };
  const outcome = activeOutcome(fold);
  if (outcome !== null && fold.refusal === null && !isWaitingForAgents(fold)) return decideGrading(fold, outcome, now);
  const stop_reason: IdleStopReason = { type: fold.refusal === null ? "end_turn" : "refusal" };
  return { kind: "idle", stop_reason, consumes: [] };
}

/** Only clients can move it on: say so once for each change of what is missing, then rest. */
function decideBlocked(fold: SessionFold, now: number): Action {
  if (isHeldUp(fold)) {
    return { kind: "idle", stop_reason: { type: "budget_reached" }, consumes: [] };
  }
  if (waitsForThread(fold) || threadWork(fold, now) === "client") return { kind: "rest" };
  const confirmations = fold.inputs.filter((input) => input.type === "user.tool_confirmation");
  return {
    kind: "idle",
    stop_reason: { type: "requires_action", event_ids: blockedCalls(fold) },
    consumes: confirmations.map((input) => input.id),
  };
}

function decideRequest(fold: ThreadFold, limits: Limits, now: number): Action {
  if (fold.stopped) {
    if (fold.phase === "idle") return { kind: "rest" };
    return { kind: "idle", stop_reason: { type: "retries_exhausted" }, consumes: [] };
  }
  if (isPlanned(fold, now)) return { kind: "rest" };
  if (budgetReached(fold.session, now)) return { kind: "idle", stop_reason: { type: "budget_reached" }, consumes: [] };
  if (fold.rounds >= limits.max_rounds) return { kind: "tool_limit" };
  if (fold.context_full || fold.context_tokens >= limits.compact_at_tokens) return { kind: "compact" };
  return { kind: "request" };
}

/** The grader's request is a model request like any other. */
function decideGrading(fold: ThreadFold, outcome: Outcome, now: number): Action {
  if (budgetReached(fold.session, now)) return { kind: "idle", stop_reason: { type: "budget_reached" }, consumes: [] };
  return { kind: "grade", outcome };
}

function isPlanned({ retry }: SessionFold, now: number): boolean {
  return retry !== null && Date.parse(retry.at) > now;
}

/** True while a spawned thread still works for the outcome: its answer begins another turn. */
function isWaitingForAgents({ threads }: SessionFold): boolean {
  return threads.some(({ archived_at, phase, inputs, calls, awaiting_model, stopped }) => {
    if (archived_at !== null) return false;
    return phase !== "idle" || inputs.length > 0 || calls.length > 0 || (awaiting_model && !stopped);
  });
}
