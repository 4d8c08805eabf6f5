/** What follows from a verdict, or from there being none. */
import type { EventDraft, Usage } from "../../contract/events.ts";
import { evaluationEnd } from "../../contract/outcome/ends.ts";
import type { Outcome } from "../../contract/outcome/outcomes.ts";
import { NO_USAGE } from "../../contract/threads/state.ts";
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
