/** The step that has an outcome graded: one request to the model in a context of its own, its verdict committed as a whole. */
import type { EventDraft } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import type { Outcome } from "../../contract/outcome/outcomes.ts";
import { addUsage, NO_USAGE } from "../../contract/threads/state.ts";
import { crashPoint } from "../../crash_points.ts";
import { LiveDeltas } from "../../session/live.ts";
import { ModelError } from "../model.ts";
import type { Emit, HarnessPorts, StepSignals } from "../ports.ts";
import { runningEvents } from "../statuses.ts";
import { closeRequest, retryEvents } from "../steps/failure.ts";
import { ask, requestStarted, responseEvent } from "../steps/request.ts";
import type { Answer } from "../steps/respond.ts";
import type { ThreadView } from "../thread_view.ts";
import { failedEvents, verdictEvents } from "./ends.ts";
import { graderRequest } from "./grader_request.ts";
import { readVerdict } from "./verdict.ts";

/** A sign of life for readers of a long evaluation. */
const HEARTBEAT_MS = 10_000;

/**
 * Evaluates the outcome. An evaluation that an earlier process, or a failed request, left open is gone on with: it has
 * one start and one end, and counts once. Failures become events; only a stale lease rejects.
 */
export async function gradeStep(
  view: ThreadView,
  outcome: Outcome,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
): Promise<void> {
  const { evaluation } = outcome;
  const shortened = evaluation?.shortened ?? false;
  const before_seq = view.fold.last_seq + 1;
  const built = await graderRequest(ports.ledger, view.fold, outcome, { shortened, before_seq });
  const sent = requestStarted(view.fold, built, { kind: "grading", shortened }, ports);
  const start: EventDraft = {
    type: "span.outcome_evaluation_start",
    id: newId("event"),
    outcome_id: outcome.id,
    iteration: outcome.iteration,
  };
  await emit([...runningEvents(view.fold), ...(evaluation === null ? [start] : []), ...sent.events]);
  crashPoint("outcome.before_request");
  const beat = new Heartbeat(emit, outcome);
  // Nobody is shown the grader's words before its verdict: they are not the agent's.
  const quiet = { ...ports, live: new LiveDeltas() };
  const failed = (failure: ModelError) => failureOf(view, sent.id, failure, ports);
  const answer = await ask(view, quiet, emit, signals, sent, failed).finally(() => beat.stop());
  if (answer === null || !answer.complete || signals.shutdown.aborted) return;
  const events = answerEvents(view, sent.id, answer, ports);
  crashPoint("outcome.before_commit");
  await emit(events);
  crashPoint("outcome.after_commit");
}

/** The outcome as the fold has it now: with its evaluation open. */
function current(view: ThreadView): Outcome {
  const outcome = view.fold.outcomes.at(-1);
  if (outcome === undefined) throw new Error(`Session ${view.sessionId} has no outcome.`);
  return outcome;
}

function answerEvents(view: ThreadView, requestId: string, answer: Answer, ports: HarnessPorts): EventDraft[] {
  const outcome = current(view);
  const verdict = readVerdict(answer.content);
  const events: EventDraft[] = [
    { ...responseEvent(requestId, answer, {}), kind: "grading" },
    {
      type: "span.model_request_end",
      model_request_start_id: requestId,
      is_error: verdict === null,
      model_usage: { ...answer.usage, speed: answer.speed },
    },
  ];
  const usage = addUsage(outcome.evaluation?.usage ?? NO_USAGE, answer.usage);
  if (verdict !== null) return [...events, ...verdictEvents(outcome, verdict, usage)];
  const failure = new ModelError("failed", "The grader answered without a verdict.");
  const retry = retryEvents(view.fold, failure, ports);
  if (retry !== null) return [...events, ...retry];
  const { evaluation } = outcome;
  return [
    ...events,
    ...failedEvents({ ...outcome, evaluation: evaluation && { ...evaluation, usage } }, failure.message),
  ];
}

/** What a request of the grader that failed means: another one, now with less in it or later, or the outcome's end. */
function failureOf(view: ThreadView, requestId: string, failure: ModelError, ports: HarnessPorts): EventDraft[] {
  const closed = closeRequest(requestId, "failed");
  const outcome = current(view);
  if (failure.kind === "context_too_long" && outcome.evaluation?.shortened === false) {
    return [...closed, { type: "longhaul.context_full", model_request_start_id: requestId, kind: "grading" }];
  }
  return [...closed, ...(retryEvents(view.fold, failure, ports) ?? failedEvents(outcome, failure.message))];
}

class Heartbeat {
  readonly #timer: NodeJS.Timeout;
  #beating: Promise<unknown> = Promise.resolve();

  constructor(emit: Emit, { id, iteration }: Outcome) {
    this.#timer = setInterval(() => {
      const beat: EventDraft = { type: "span.outcome_evaluation_ongoing", outcome_id: id, iteration };
      // A refused append shows itself at the next one, which the step waits for.
      this.#beating = emit([beat]).catch(() => undefined);
    }, HEARTBEAT_MS);
  }

  /** Resolves when no sign of life is on its way any more: none may come after the end. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beating;
  }
}
