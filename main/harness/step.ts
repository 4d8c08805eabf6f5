/**
 * One step of a session: (view, ports, signals) → events. It must not throw: failures are events. The one exception is
 * a refused append (stale lease, unknown session, ledger not writable): then there is nobody to write for.
 */
import type { EventDraft } from "../contract/events.ts";
import { isMessage, type PendingInput } from "../contract/fold_calls.ts";
import { interruptedOutcome } from "../contract/outcome/ends.ts";
import { crashPoint } from "../crash_points.ts";
import { type Action, decide } from "./decide.ts";
import { gradeStep } from "./outcome/grade.ts";
import type { Emit, HarnessPorts, StepSignals } from "./ports.ts";
import { exhaustedEvents, idleEvents, runningEvents } from "./statuses.ts";
import { callsStep, result } from "./steps/calls.ts";
import { compactStep } from "./steps/compact.ts";
import { closeRequest } from "./steps/failure.ts";
import { type Carried, requestStep } from "./steps/request.ts";
import type { ThreadView } from "./thread_view.ts";

const INTERRUPTED_TEXT = "Tool execution was interrupted before completion. Please retry.";

/** Does the next thing there is to do. `rest` means: nothing now; look again when something new arrives. */
export async function step(
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
): Promise<"continue" | "rest"> {
  const action = decide(view.fold, ports.limits, ports.now());
  if (action.kind === "rest") return "rest";
  await perform(action, view, ports, emit, signals);
  return "continue";
}

async function perform(
  action: Exclude<Action, { kind: "rest" }>,
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
): Promise<void> {
  switch (action.kind) {
    case "interrupt":
      await ports.hands.rest(view.fold);
      return void (await emit(interruptEvents(view, action.event_ids)));
    case "abandon_request":
      return void (await emit(closeRequest(action.model_request_start_id, "cut_off")));
    case "calls": {
      const events = await callsStep({ view, ports, emit, signals }, action.calls);
      return commit({ events, committed: "tool.after_result" }, view, ports, emit, signals);
    }
    case "consume": {
      const events: EventDraft[] = runningEvents(view.fold);
      events.push({ type: "longhaul.inputs_consumed", event_ids: action.event_ids });
      return commit({ events, committed: "inputs.after_consumed" }, view, ports, emit, signals);
    }
    case "compact":
      return compactStep(view, ports, emit, signals);
    case "request":
      return requestStep(view, ports, emit, signals);
    case "grade":
      return gradeStep(view, action.outcome, ports, emit, signals);
    case "tool_limit":
      return void (await emit(toolLimitEvents(view, ports)));
    case "idle": {
      await ports.hands.rest(view.fold);
      // What came in meanwhile is done first: readers would take this rest for the end.
      const still = decide(view.fold, ports.limits, ports.now());
      if (still.kind !== "idle") return;
      crashPoint("turn.before_idle");
      const consumed: EventDraft[] =
        still.consumes.length > 0 ? [{ type: "longhaul.inputs_consumed", event_ids: still.consumes }] : [];
      await emit([...consumed, ...idleEvents(view.fold, still.stop_reason)]);
      return crashPoint("turn.after_idle");
    }
  }
}

/** Commits events: with the start of the model request when that is what they lead to, else alone. */
async function commit(
  carried: Carried,
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
): Promise<void> {
  if (carried.events.length === 0) return;
  const next = decide(view.preview(carried.events).fold, ports.limits, ports.now());
  const stopping = signals.interrupt.aborted || signals.shutdown.aborted;
  if (next.kind === "request" && !stopping) return requestStep(view, ports, emit, signals, carried);
  await emit(carried.events);
  crashPoint(carried.committed);
}

/** Ends the turn: open calls get an error result, an open request is closed, and nothing is sampled (contract.md §3.4). */
function interruptEvents(view: ThreadView, interruptIds: string[]): EventDraft[] {
  const { fold } = view;
  const events: EventDraft[] = [];
  if (fold.model_request !== null) events.push(...closeRequest(fold.model_request.id, "interrupted"));
  for (const call of fold.calls) {
    const answer = result(call, INTERRUPTED_TEXT, true);
    // A client that was shown the call of a spawned thread is shown that it is over.
    const posted = call.by_client && fold.child !== null;
    events.push(posted ? ({ ...answer, session_thread_id: view.threadId } as EventDraft) : answer);
    events.push({ type: "longhaul.call_settled", tool_use_id: call.id, how: "interrupted" });
  }
  const last = Math.max(...fold.inputs.filter((input) => interruptIds.includes(input.id)).map((input) => input.seq));
  events.push(...interruptedOutcome(fold, last));
  const queued = fold.inputs.findIndex(isMessage);
  // On a session that has not started, what was sent before the interrupt is what the person wants stopped. A system
  // message goes with the message or the result that it came with.
  const stopped = (input: PendingInput, index: number): boolean => {
    if (input.type === "user.tool_confirmation") return true;
    if (input.seq >= last) return false;
    if (input.type === "system.message") return fold.phase === "idle" || queued === -1 || index < queued;
    return fold.phase === "idle" && isMessage(input);
  };
  const consumed = fold.inputs.filter(stopped);
  const unstarted = consumed.some(isMessage);
  if (unstarted) events.push(...runningEvents(fold));
  events.push({ type: "longhaul.inputs_consumed", event_ids: [...consumed.map((input) => input.id), ...interruptIds] });
  const blocked = fold.stop_reason?.type === "requires_action";
  // A turn that the budget had stopped is over now, and its parent has not been told how it ended.
  const stoppedTask = fold.child?.report_due === true && fold.awaiting_model;
  if (fold.phase !== "idle" || blocked || unstarted || stoppedTask)
    events.push(...idleEvents(fold, { type: "end_turn" }));
  return events;
}

function toolLimitEvents(view: ThreadView, ports: HarnessPorts): EventDraft[] {
  const message =
    `The turn was stopped after ${ports.limits.max_rounds} tool rounds. Everything done so far is kept. ` +
    "Send a message to go on.";
  return exhaustedEvents(view.fold, "tool_use_limit_reached_error", message);
}
