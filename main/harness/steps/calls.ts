/**
 * The step that runs tool calls, and the recovery of calls that were in flight when a process died (DESIGN.md §6):
 * every intent gets exactly one result, and where nobody can know what happened the model and the person are told so.
 */
import type { EventDraft, Settlement } from "../../contract/events.ts";
import { isDenied, type OpenCall, withNotice } from "../../contract/fold_calls.ts";
import { crashPoint } from "../../crash_points.ts";
import {
  CallInterrupted,
  type CallState,
  type Hand,
  OutcomeUnknown,
  SandboxLost,
  SandboxRebuildable,
  ToolFailure,
} from "../../sandbox/port.ts";
import { runAgentCall } from "../agents/call.ts";
import { clean } from "../context/transcript.ts";
import { runMcpCall } from "../mcp/call.ts";
import { withWhole } from "../mcp/whole.ts";
import { toolKind } from "../permissions.ts";
import type { Emit, HarnessPorts, StepSignals } from "../ports.ts";
import { readSessionEvents } from "../session_events.ts";
import { runningEvents } from "../statuses.ts";
import type { ThreadView } from "../thread_view.ts";
import { webEvents } from "../web/step.ts";

export const UNKNOWN_OUTCOME_TEXT =
  "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.";
const STOPPED_TEXT = "The run was stopped before it finished. Inspect the state before repeating.";
const MAX_RESULT_CHARS = 110_000;

export interface StepContext {
  view: ThreadView;
  ports: HarnessPorts;
  emit: Emit;
  signals: StepSignals;
}

interface CallContext extends StepContext {
  /** Threads that calls of this round have spawned so far. */
  spawning: number;
}

/**
 * Runs all calls concurrently; each result is committed as it comes, but for the last.
 * @returns the events of the last result, for the caller to commit at once: alone, or with the request they lead to.
 *   Only a stale lease rejects.
 */
export async function callsStep(step: StepContext, calls: readonly OpenCall[]): Promise<EventDraft[]> {
  const { view, emit } = step;
  const context: CallContext = { ...step, spawning: 0 };
  const confirmations = calls.flatMap((call) => (call.confirmation === null ? [] : [call.confirmation.event_id]));
  const waiting = new Set(view.fold.inputs.map((input) => input.id));
  const consumed = confirmations.filter((id) => waiting.has(id));
  const fresh = new Set(calls.filter((call) => view.takeStarted(call.id)).map((call) => call.id));
  const starting = calls.filter((call) => !isDenied(call) && !fresh.has(call.id));
  const events: EventDraft[] = runningEvents(view.fold);
  if (consumed.length > 0) events.push({ type: "longhaul.inputs_consumed", event_ids: consumed });
  for (const call of starting) {
    events.push({ type: "longhaul.tool_started", tool_use_id: call.id, attempt: call.attempts + 1 });
  }
  if (events.length > 0) await emit(events);
  const inFlight = (call: OpenCall): boolean => call.attempts > 0 && !fresh.has(call.id);
  let left = calls.length;
  let last: EventDraft[] = [];
  const run = async (call: OpenCall): Promise<void> => {
    const settled = await settle(context, call, inFlight(call));
    left -= 1;
    if (left === 0) last = settled;
    else await commitResult(emit, settled);
  };
  const outcomes = await Promise.allSettled(calls.map(run));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  return last;
}

async function commitResult(emit: Emit, events: EventDraft[]): Promise<void> {
  if (events.length === 0) return;
  await emit(events);
  crashPoint("tool.after_result");
}

/**
 * Events that settle a call; none when it was stopped or this process goes away.
 * @param again an earlier process had recorded the call as started: what it knows of it is asked first
 */
async function settle(context: CallContext, call: OpenCall, again: boolean): Promise<EventDraft[]> {
  if (isDenied(call)) return deniedEvents(context, call);
  const events = await perform(context, call, again);
  // On shutdown the call goes on in its sandbox: the next process collects its result.
  if (events === null || context.signals.shutdown.aborted) return [];
  crashPoint("tool.before_result");
  return events;
}

function deniedEvents(context: CallContext, call: OpenCall): EventDraft[] {
  if (call.permission === "deny") {
    const text =
      toolKind(context.view.fold, call.name) === "unknown"
        ? `There is no tool named ${call.name} in this session. Use one of the tools you were given.`
        : `The permission policy of this session does not allow ${call.name}.`;
    return [result(call, text, true), settled(call, "denied")];
  }
  const reason = call.confirmation?.deny_message;
  const text = `The user rejected this call of ${call.name}; it did not run.${reason ? ` Reason: ${reason}` : ""}`;
  return [result(call, text, true), settled(call, "denied")];
}

/** Events that settle a call; null when it was stopped by an interrupt, which settles it in a step of its own. */
async function perform(context: CallContext, call: OpenCall, again: boolean): Promise<EventDraft[] | null> {
  const { view, ports, signals } = context;
  if (call.kind === "mcp") return mcpEvents(context, call, again);
  if (toolKind(view.fold, call.name) === "session_events") {
    return [
      result(
        call,
        await readSessionEvents(ports.ledger, view.sessionId, view.threadId, view.callInput(call.id)),
        false,
      ),
    ];
  }
  if (toolKind(view.fold, call.name) === "agents") return agentEvents(context, call);
  if (toolKind(view.fold, call.name) === "web") {
    const given = { session_id: view.sessionId, agent: view.fold.agent, input: view.callInput(call.id) };
    return webEvents(ports, call, given, again, AbortSignal.any([signals.interrupt, signals.shutdown]));
  }
  let note: EventDraft[] = [];
  try {
    if (again) note = [settled(call, HOW[await ports.hands.callState(view.fold, call.id)])];
    const text = await execute(context, call);
    return [result(call, told(view, text), false), ...note];
  } catch (error) {
    if (signals.interrupt.aborted || signals.shutdown.aborted) return null;
    // Stopped by somebody else: without a result here the same call would be dispatched again and again.
    if (error instanceof CallInterrupted) return [result(call, STOPPED_TEXT, true), ...note];
    if (error instanceof ToolFailure) return [result(call, told(view, error.message), true), ...note];
    if (error instanceof OutcomeUnknown) return unknownEvents(call, told(view, UNKNOWN_OUTCOME_TEXT));
    ports.hands.drop(view.sessionId);
    const message = error instanceof Error ? error.message : String(error);
    const reason = error instanceof SandboxLost ? message : `The sandbox failed unexpectedly: ${message}`;
    const lost: EventDraft[] =
      view.fold.sandbox?.state === "lost"
        ? []
        : [{ type: "longhaul.sandbox_lost", provider: view.fold.sandbox?.provider ?? "unknown", reason }];
    return [...lost, result(call, reason, true), ...note];
  }
}

async function mcpEvents(context: CallContext, call: OpenCall, again: boolean): Promise<EventDraft[] | null> {
  const { view, ports, signals } = context;
  const stop = AbortSignal.any([signals.interrupt, signals.shutdown]);
  const outcome = await runMcpCall(ports, view, call, again, stop);
  if (outcome === null) return null;
  if (outcome.unknown || outcome.result === null) {
    return [...outcome.events, ...unknownEvents(call, UNKNOWN_OUTCOME_TEXT)];
  }
  const { content, is_error } = await withWhole(context, call, outcome.result, stop);
  return [...outcome.events, { type: "agent.mcp_tool_result", mcp_tool_use_id: call.id, content, is_error }];
}

/** Threads that are spawned and messages that are sent, together with the result: a call of an agent tool is one append. */
function agentEvents(context: CallContext, call: OpenCall): EventDraft[] | null {
  const { view, signals } = context;
  // What is spawned after an interrupt of the session would go on working: it does not reach threads that come later.
  if (signals.interrupt.aborted) return null;
  const done = runAgentCall(view.fold, call, view.callInput(call.id), context.spawning);
  if (done.events.some(({ type }) => type === "longhaul.thread_created")) context.spawning += 1;
  return done.text === null ? done.events : [...done.events, result(call, done.text, done.is_error)];
}

/** A sandbox that was replaced says with its first result what was lost. */
function told(view: ThreadView, text: string): string {
  return withNotice(view.fold.sandbox?.notice ?? null, text);
}

const HOW: Record<CallState, Settlement> = {
  done: "collected",
  running: "reattached",
  unknown: "run_again",
  lost: "run_again",
};

async function execute(context: CallContext, call: OpenCall): Promise<string> {
  const { view, ports, emit } = context;
  crashPoint("tool.before_dispatch");
  const hand = ports.hands.get(view, emit);
  try {
    return await executeOn(context, call, hand);
  } catch (error) {
    if (!(error instanceof SandboxRebuildable)) throw error;
    // Nothing has run: the rebuilt sandbox takes the call, and its first result says what was lost.
    ports.hands.drop(view.sessionId, hand);
    return executeOn(context, call, ports.hands.get(view, emit));
  }
}

async function executeOn(context: CallContext, call: OpenCall, promised: Promise<Hand>): Promise<string> {
  const { view, ports, signals } = context;
  const hand = await leaveOn(promised, AbortSignal.any([signals.interrupt, signals.shutdown]));
  // Provisioning goes on for the next call; this one must not begin any more.
  if (hand === null) throw new CallInterrupted("stopped before the sandbox was ready");
  const execution = hand.execute(call.name, view.callInput(call.id), {
    tool_use_id: call.id,
    signal: signals.interrupt,
    onOutput: (chunk) => ports.live.publish(view.sessionId, { type: "tool_output", tool_use_id: call.id, chunk }),
  });
  crashPoint("tool.after_dispatch");
  return (await leaveOn(execution, signals.shutdown)) ?? "";
}

/** The promise's value, or null as soon as the signal aborts; what the promise stands for goes on. */
export function leaveOn<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const leave = (): void => resolve(null);
    if (signal.aborted) leave();
    signal.addEventListener("abort", leave, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
  });
}

function unknownEvents(call: OpenCall, text: string): EventDraft[] {
  return [
    result(call, text, true),
    settled(call, "outcome_unknown"),
    { type: "longhaul.outcome_unknown", tool_use_id: call.id, tool_name: call.name, message: UNKNOWN_OUTCOME_TEXT },
  ];
}

function settled(call: OpenCall, how: Settlement): EventDraft {
  return { type: "longhaul.call_settled", tool_use_id: call.id, how };
}

/** The result event of a call; text is made safe for every later request and bounded. */
export function result(call: OpenCall, text: string, isError: boolean): EventDraft {
  let safe = clean(text);
  if (safe.length > MAX_RESULT_CHARS) {
    safe = `${safe.slice(0, MAX_RESULT_CHARS).toWellFormed()}\n[output cut at ${MAX_RESULT_CHARS} characters]`;
  }
  const content = [{ type: "text" as const, text: safe === "" ? "(no output)" : safe }];
  if (call.kind === "mcp")
    return { type: "agent.mcp_tool_result", mcp_tool_use_id: call.id, content, is_error: isError };
  // The pair that clients know the call by: the official tool runner would run an interrupted call again without it.
  if (call.by_client && call.kind === "custom")
    return { type: "user.custom_tool_result", custom_tool_use_id: call.id, content, is_error: isError };
  if (call.by_client && !isDenied(call))
    return { type: "user.tool_result", tool_use_id: call.id, content, is_error: isError };
  return { type: "agent.tool_result", tool_use_id: call.id, content, is_error: isError };
}
