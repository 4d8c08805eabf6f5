/**
 * The part of the fold that follows outcomes: what the agent works towards, and how often that was graded. Texts stay in
 * the events (contract.md §3.6): a fold is read and written with every append.
 */
import type { EventOf, StoredEvent, Usage } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import { addUsage, NO_USAGE, type ThreadState } from "../threads/state.ts";

export type OutcomeResult =
  | "pending"
  | "running"
  | "evaluating"
  | "satisfied"
  | "max_iterations_reached"
  | "failed"
  | "interrupted";

/** An evaluation that has started and not ended. */
export interface OpenEvaluation {
  /** Id of its `span.outcome_evaluation_start`. */
  start_id: string;
  /** Of all requests of the grader so far. */
  usage: Usage;
  /** The endpoint found the grader's request too large: the next one shows less of the work. */
  shortened: boolean;
}

export interface Outcome {
  /** `outc_…` */
  id: string;
  /** The `user.define_outcome` event and its position: description and rubric are read from there. */
  defined_id: string;
  defined_seq: number;
  max_iterations: number;
  /** 0 for the first evaluation. */
  iteration: number;
  result: OutcomeResult;
  /** Id of the last `span.outcome_evaluation_end`, whose explanation is the newest; null before the first. */
  verdict_id: string | null;
  /** When a terminal result was reached. */
  completed_at: string | null;
  evaluation: OpenEvaluation | null;
}

/** Evaluations before giving up, where the client names no number. */
export const DEFAULT_ITERATIONS = 3;

/** The outcome that the session works towards: there is one at most. */
export function activeOutcome(fold: { outcomes: readonly Outcome[] }): Outcome | null {
  const last = fold.outcomes.at(-1);
  return last === undefined || last.completed_at !== null ? null : last;
}

/** True for a thread whose budget was used up when its outcome was to be graded: that is what it goes on with. */
export function holdsGrading(thread: ThreadState & { outcomes?: readonly Outcome[] }): boolean {
  if (thread.phase !== "idle" || thread.stop_reason?.type !== "budget_reached" || thread.awaiting_model) return false;
  return activeOutcome({ outcomes: thread.outcomes ?? [] }) !== null;
}

type OutcomeEvent =
  | EventOf<"user.define_outcome">
  | EventOf<"span.outcome_evaluation_start">
  | EventOf<"span.outcome_evaluation_end">;

export function foldOutcome(next: SessionFold, event: OutcomeEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "user.define_outcome":
      next.outcomes = [
        ...next.outcomes,
        {
          id: event.outcome_id,
          defined_id: event.id,
          defined_seq: stored.seq,
          max_iterations: event.max_iterations ?? DEFAULT_ITERATIONS,
          iteration: 0,
          result: "pending",
          verdict_id: null,
          completed_at: null,
          evaluation: null,
        },
      ];
      return;
    case "span.outcome_evaluation_start": {
      const evaluation = { start_id: event.id, usage: NO_USAGE, shortened: false };
      return change(next, event.outcome_id, () => ({ result: "evaluating", evaluation }));
    }
    case "span.outcome_evaluation_end":
      return foldVerdict(next, event, stored);
  }
}

function foldVerdict(next: SessionFold, event: EventOf<"span.outcome_evaluation_end">, stored: StoredEvent): void {
  const again = event.result === "needs_revision";
  const ended = next.outcomes.find(({ id }) => id === event.outcome_id);
  change(next, event.outcome_id, ({ iteration }) => ({
    result: again ? "running" : (event.result as OutcomeResult),
    iteration: again ? iteration + 1 : iteration,
    verdict_id: event.id,
    completed_at: again ? null : stored.created_at,
    evaluation: null,
  }));
  next.failures = 0;
  // A revision has as many tool rounds as a turn.
  next.rounds = 0;
  // One that ended before the agent was told of it is not begun any more.
  if (!again) next.inputs = next.inputs.filter(({ id }) => id !== ended?.defined_id);
}

/** Messages enter the transcript: the agent works, on the outcome if that is one of them. */
export function foldBegin(next: SessionFold, consumed: ReadonlySet<string>, message: boolean): void {
  const active = activeOutcome(next);
  if (active === null) return;
  const resumes = active.result === "evaluating" && message;
  if (resumes || consumed.has(active.defined_id)) change(next, active.id, () => ({ result: "running" }));
}

/** A request of the grader begins, is found too large, or ends. */
export function foldGrading(next: SessionFold, what: "begun" | "too_large" | Usage): void {
  const active = activeOutcome(next);
  if (active === null || active.evaluation === null) return;
  const { evaluation } = active;
  change(next, active.id, () => {
    if (what === "begun") return { result: "evaluating" };
    if (what === "too_large") return { evaluation: { ...evaluation, shortened: true } };
    return { evaluation: { ...evaluation, usage: addUsage(evaluation.usage, what) } };
  });
}

function change(next: SessionFold, id: string, by: (outcome: Outcome) => Partial<Outcome>): void {
  next.outcomes = next.outcomes.map((outcome) => (outcome.id === id ? { ...outcome, ...by(outcome) } : outcome));
}
