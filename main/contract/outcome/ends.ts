/** The event that ends an evaluation, and with it the outcome unless a revision follows. */
import type { EventDraft, Usage } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import { NO_USAGE } from "../threads/state.ts";
import { activeOutcome, type Outcome, type OutcomeResult } from "./outcomes.ts";

export function evaluationEnd(
  outcome: Outcome,
  result: OutcomeResult | "needs_revision",
  explanation: string,
  usage: Usage,
): EventDraft {
  return {
    type: "span.outcome_evaluation_end",
    outcome_evaluation_start_id: outcome.evaluation?.start_id ?? "",
    outcome_id: outcome.id,
    iteration: outcome.iteration,
    result,
    explanation,
    usage: { ...usage, speed: null },
  };
}

/**
 * The end of the outcome that is stopped from outside, also where no evaluation has begun: that end then names no start.
 * None when no outcome is active.
 * @param beforeSeq position of what stops it: an outcome that was defined after that is left alone
 */
export function interruptedOutcome(fold: Pick<SessionFold, "outcomes">, beforeSeq: number): EventDraft[] {
  const outcome = activeOutcome(fold);
  if (outcome === null || outcome.defined_seq > beforeSeq) return [];
  const usage = outcome.evaluation?.usage ?? NO_USAGE;
  return [evaluationEnd(outcome, "interrupted", "It was interrupted before a verdict was reached.", usage)];
}
