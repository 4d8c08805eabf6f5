/** `outcome_evaluations` of a session: the fold's outcomes with the texts that their events hold. */
import type { BetaManagedAgentsOutcomeEvaluationResource } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import type { Outcome } from "../../../contract/outcome/outcomes.ts";
import type { Ledger, SessionRecord } from "../../../session/ledger.ts";

export async function outcomeEvaluations(
  ledger: Ledger,
  { id, fold }: SessionRecord,
): Promise<BetaManagedAgentsOutcomeEvaluationResource[]> {
  return Promise.all(fold.outcomes.map((outcome) => evaluation(ledger, id, outcome)));
}

async function evaluation(
  ledger: Ledger,
  sessionId: string,
  outcome: Outcome,
): Promise<BetaManagedAgentsOutcomeEvaluationResource> {
  const defined = (await ledger.getEvent(sessionId, outcome.defined_id))?.event;
  const verdict = outcome.verdict_id === null ? null : (await ledger.getEvent(sessionId, outcome.verdict_id))?.event;
  return {
    type: "outcome_evaluation",
    outcome_id: outcome.id,
    description: defined?.type === "user.define_outcome" ? defined.description : "",
    result: outcome.result,
    iteration: outcome.iteration,
    explanation: verdict?.type === "span.outcome_evaluation_end" ? verdict.explanation : null,
    completed_at: outcome.completed_at,
  };
}
