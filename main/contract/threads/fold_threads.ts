/** The fold of a session with spawned threads: each event changes the thread that it belongs to, or the session as a whole. */

import type { TokenPrice } from "../cost/prices.ts";
import type { LedgerEvent, LonghaulEventOf, StoredEvent } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import { startClock } from "../fold_calls.ts";
import { applyEvent, goOn, rest, run, stopClock } from "./apply_event.ts";
import {
  type ChildThread,
  newThreadState,
  primaryOwn,
  spend,
  THREAD_FIELDS,
  type ThreadState,
  threadName,
} from "./state.ts";

export function foldThreads(next: SessionFold, event: LedgerEvent, stored: StoredEvent): void {
  if (event.type === "longhaul.thread_created") return addThread(next, event, stored);
  if (belongsToSession(event)) {
    // Whether its turn died or a retry is planned is the primary thread's own: the session's status says nothing of it.
    const { stopped, retry } = next;
    applyEvent(next, event, stored);
    Object.assign(next, { stopped, retry });
    if (event.type === "session.updated" && event.budget !== undefined) eachThread(next, goOn);
    return;
  }
  if (concernsAll(event)) {
    applyEvent(next, event, stored);
    // A thread whose turn had died goes on: how it ends now is news to its parent again.
    const revived = next.threads.filter(({ stopped }) => stopped && event.type === "longhaul.resume_requested");
    eachThread(next, (thread) => applyEvent(thread, event, stored));
    const due = new Set(revived.map(({ id }) => id));
    if (due.size > 0)
      next.threads = next.threads.map((child) => (due.has(child.id) ? { ...child, report_due: true } : child));
    return;
  }
  if (event.type === "user.interrupt" && event.session_thread_id == null) {
    // It stops every thread that has something to stop; the primary one takes it in any case.
    toPrimary(next, event, stored);
    next.threads = next.threads.map((thread) => (isBusy(thread) ? inThread(next, thread, event, stored) : thread));
    return;
  }
  const child = next.threads.find(({ id }) => id === stored.thread_id);
  if (child === undefined) return toPrimary(next, event, stored);
  const changed = inThread(next, child, event, stored);
  next.threads = next.threads.map((thread) => (thread === child ? changed : thread));
}

function addThread(next: SessionFold, event: LonghaulEventOf<"longhaul.thread_created">, stored: StoredEvent): void {
  next.primary ??= primaryOwn(next);
  next.threads = [
    ...next.threads,
    {
      ...newThreadState(),
      id: event.spawned_thread_id,
      parent_thread_id: event.parent_thread_id,
      agent: event.agent,
      name: threadName(event.agent),
      created_at: stored.created_at,
      updated_at: stored.created_at,
      archived_at: null,
      turns: 0,
      report_due: false,
      tool_use_id: event.tool_use_id,
    },
  ];
  next.calls = next.calls.map((call) => (call.id === event.tool_use_id ? { ...call, by_thread: true } : call));
}

/** Events about the session itself, whatever its threads do. */
function belongsToSession(event: LedgerEvent): boolean {
  return (
    (event.type.startsWith("session.status_") || event.type === "session.updated") &&
    event.type !== "session.status_terminated"
  );
}

/** Events that hold for every thread. */
function concernsAll(event: LedgerEvent): boolean {
  return (
    event.type === "longhaul.resume_requested" ||
    event.type === "longhaul.cut_off" ||
    event.type === "longhaul.sleep_gap" ||
    event.type === "session.status_terminated"
  );
}

function isBusy(thread: ChildThread): boolean {
  if (thread.archived_at !== null) return false;
  return thread.phase !== "idle" || thread.calls.length > 0 || thread.inputs.length > 0 || thread.awaiting_model;
}

/** Changes the primary thread's state; where the session has a value of its own, that stays. */
function toPrimary(next: SessionFold, event: LedgerEvent, stored: StoredEvent): void {
  const { phase, stop_reason, running_since, active_ms, usage, cost } = next;
  const thread: SessionFold = { ...next, ...next.primary };
  applyInThread(thread, event, stored);
  const price = next.model_request?.price ?? null;
  Object.assign(next, thread, {
    phase,
    stop_reason,
    running_since,
    active_ms,
    usage,
    cost,
    primary: primaryOwn(thread),
  });
  applyToSession(next, event, stored, price);
}

/** The child after the event. What the event changes in the session, for example its sandbox, is put into `next`. */
function inThread(next: SessionFold, child: ChildThread, event: LedgerEvent, stored: StoredEvent): ChildThread {
  const thread: SessionFold = { ...next, ...stateOf(child) };
  applyInThread(thread, event, stored);
  const consumed = event.type === "longhaul.inputs_consumed" && thread.turns > next.turns;
  const own = stateOf(thread);
  // A thread's message is not the session's task, and its turns are not the session's.
  Object.assign(next, thread, stateOf(next), { task: next.task, turns: next.turns });
  applyToSession(next, event, stored, child.model_request?.price ?? null);
  return {
    ...child,
    ...own,
    updated_at: stored.created_at,
    archived_at: event.type === "session.thread_status_terminated" ? stored.created_at : child.archived_at,
    turns: consumed ? child.turns + 1 : child.turns,
    report_due: event.type === "agent.thread_message_sent" ? false : child.report_due || consumed,
  };
}

function applyInThread(thread: SessionFold, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "session.thread_status_running":
      return run(thread, stored.created_at);
    case "session.thread_status_idle":
      return rest(thread, event.stop_reason, stored.created_at);
    case "session.thread_status_rescheduled":
      thread.phase = "rescheduling";
      return stopClock(thread, stored.created_at);
    case "session.thread_status_terminated":
      thread.phase = "terminated";
      return stopClock(thread, stored.created_at);
    default:
      return applyEvent(thread, event, stored);
  }
}

/**
 * What an event of any thread means for the session's own clock and totals.
 * @param price of the thread's request that was under way before the event
 */
function applyToSession(next: SessionFold, event: LedgerEvent, stored: StoredEvent, price: TokenPrice | null): void {
  spend(next, event, event.type === "longhaul.web_request" ? event.price : price);
  if (event.type === "span.model_request_start" || event.type === "longhaul.tool_started") {
    startClock(next, stored.created_at);
  }
}

/** Changes the state of every thread, the primary one's own included. */
function eachThread(next: SessionFold, change: (thread: SessionFold) => void): void {
  const primary: SessionFold = { ...next, ...next.primary };
  change(primary);
  next.primary = primaryOwn(primary);
  next.stopped = primary.stopped;
  next.threads = next.threads.map((child) => {
    const thread: SessionFold = { ...next, ...stateOf(child) };
    change(thread);
    return { ...child, ...stateOf(thread) };
  });
}

function stateOf(thread: ThreadState): ThreadState {
  const state = newThreadState();
  for (const field of THREAD_FIELDS) Object.assign(state, { [field]: thread[field] });
  return state;
}
