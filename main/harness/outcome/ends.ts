/** The events that end an evaluation, and with it the outcome unless a revision follows. */
import type { EventDraft, Usage } from "../../contract/events.ts";
import { activeOutcome, type Outcome } from "../../contract/outcome/outcomes.ts";
import { NO_USAGE } from "../../contract/threads/state.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";
import { limitText, revisionText } from "./words.ts";

export interface Verdict {
  result: "satisfied" | "needs_revision" | "failed";
  explanation: string;
}

/** What a verdict means: the end of the evaluation, and what the agent is told when it has to speak once more. */
export function verdictEvents(outcome: Outcome, { result, explanation }: Verdict, usage: Usage): EventDraft[] {
  const { iteration, max_iterations } = outcome;
  if (result !== "needs_revision") return [evaluationEnd(outcome, result, explanation, usage)];
  if (iteration + 1 < max_iterations) {
    const text = revisionText(explanation, iteration, max_iterations);
    return [
      evaluationEnd(outcome, result, explanation, usage),
      { type: "longhaul.continuation", text, cause: "outcome_revision" },
    ];
  }
  return [
    evaluationEnd(outcome, "max_iterations_reached", explanation, usage),
    { type: "longhaul.continuation", text: limitText(explanation), cause: "outcome_limit" },
  ];
}

/** The end of an outcome that cannot be graded. */
export function failedEvents(outcome: Outcome, reason: string): EventDraft[] {
  const explanation = `The outcome could not be evaluated. ${reason}`;
  return [evaluationEnd(outcome, "failed", explanation, outcome.evaluation?.usage ?? NO_USAGE)];
}

/**
 * The end of the outcome that an interrupt stops, also where no evaluation has begun; none when nothing is active.
 * @param beforeSeq position of the interrupt: an outcome that was defined after it is left alone
 */
export function interruptedOutcome(fold: Pick<ThreadFold, "outcomes">, beforeSeq: number): EventDraft[] {
  const outcome = activeOutcome(fold);
  if (outcome === null || outcome.defined_seq > beforeSeq) return [];
  const usage = outcome.evaluation?.usage ?? NO_USAGE;
  return [evaluationEnd(outcome, "interrupted", "It was interrupted before a verdict was reached.", usage)];
}

function evaluationEnd(outcome: Outcome, result: string, explanation: string, usage: Usage): EventDraft {
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
