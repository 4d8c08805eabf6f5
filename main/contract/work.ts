/** What is left to do in a session, derived from its fold: shared by triggers, the harness and the Resume button. */

import type { SessionFold } from "./fold.ts";
import { isDenied, type OpenCall, waitsForClient } from "./fold_calls.ts";
import { holdsGrading } from "./outcome/outcomes.ts";
import { consumableInputs } from "./threads/inputs.ts";
import type { RetryPlan, ThreadState } from "./threads/state.ts";

export type Work =
  /** Something can be done at once. */
  | "now"
  /** A retry is planned. */
  | "later"
  /** Only a person or a client can move it on: approvals, custom tool results. */
  | "client"
  /** Work is left, but the turn died: a person's resume or a new message goes on. */
  | "stopped"
  | "none";

/** Calls that may run now: allowed ones, and confirmed ones once no confirmation is missing (contract.md §3.4). */
export function runnableCalls(thread: Pick<ThreadState, "calls">): OpenCall[] {
  const waiting = thread.calls.some(waitsForClient);
  return thread.calls.filter((call) => {
    if (call.by_thread || (call.by_client && !isDenied(call))) return false;
    if (call.permission === "allow" || call.permission === "deny") return true;
    return call.confirmation !== null && !waiting;
  });
}

/** Ids of the calls that a client must answer before the thread can go on. */
export function blockedCalls(thread: Pick<ThreadState, "calls">): string[] {
  return thread.calls.filter(waitsForClient).map((call) => call.id);
}

/** True while nothing but spawned threads can move the thread on. */
export function waitsForThread(thread: Pick<ThreadState, "calls">): boolean {
  return thread.calls.length > 0 && thread.calls.every((call) => call.by_thread);
}

/**
 * True when the spawned threads that the thread waits for were stopped by a budget and it has not come to rest itself:
 * none of them can move it on.
 */
export function isHeldUp(thread: Pick<ThreadState, "calls" | "phase"> & { threads?: SessionFold["threads"] }): boolean {
  if (thread.phase === "idle" || !waitsForThread(thread)) return false;
  const waited = new Set(thread.calls.map(({ id }) => id));
  const asked = (thread.threads ?? []).filter(({ tool_use_id }) => tool_use_id !== null && waited.has(tool_use_id));
  return asked.length > 0 && asked.every(({ phase, stopped }) => phase === "idle" && stopped);
}

const BY_URGENCY: readonly Work[] = ["now", "later", "client", "stopped", "none"];

/** Classifies what is left in a session: what its most urgent thread can do. `now` says whether a planned retry is due. */
export function unfinishedWork(fold: SessionFold, now: number = Date.now()): Work {
  if (fold.archived_at !== null || fold.phase === "terminated") return "none";
  const own = threadWork(fold.primary === null ? fold : { ...fold, ...fold.primary }, now);
  if (fold.threads.length === 0) return own;
  const works = [
    own,
    ...fold.threads.map((thread) => (thread.archived_at === null ? threadWork(thread, now) : "none")),
  ];
  return BY_URGENCY.find((work) => works.includes(work)) ?? "none";
}

/** Classifies what is left in one thread of a session that is not over; the primary one has the session's outcomes and threads. */
export function threadWork(
  thread: ThreadState & Partial<Pick<SessionFold, "outcomes" | "threads">>,
  now: number,
): Work {
  if (thread.phase === "terminated") return "none";
  if (thread.inputs.some((input) => input.type === "user.interrupt")) return "now";
  if (thread.model_request !== null) return "now";
  if (runnableCalls(thread).length > 0) return "now";
  const blocked = blockedCalls(thread);
  if (blocked.length > 0) return blockedIsAnnounced(thread, blocked) ? "client" : "now";
  // The spawned thread has the work; messages wait until its answer is in.
  if (waitsForThread(thread)) return isHeldUp(thread) ? "now" : "none";
  if (consumableInputs(thread).length > 0) return "now";
  if (thread.awaiting_model) return requestWork(thread, now);
  if (holdsGrading(thread)) return thread.stopped ? "stopped" : "now";
  // The grader's request is not the agent's: nothing waits for the model, and still a retry can be planned.
  if (thread.phase !== "idle" && thread.retry !== null && Date.parse(thread.retry.at) > now) return "later";
  return thread.phase === "idle" ? "none" : "now";
}

function requestWork({ stopped, phase, retry }: ThreadState, now: number): Work {
  // One that began to run without a message that lets the dead turn go on has still to say that it rests.
  if (stopped) return phase === "idle" ? "stopped" : "now";
  return retry !== null && Date.parse(retry.at) > now ? "later" : "now";
}

/** When the first planned retry of a session is due; null when none is planned. */
export function nextRetry(fold: SessionFold): RetryPlan | null {
  const plans = [fold, ...fold.threads].flatMap(({ retry }) => (retry === null ? [] : [retry]));
  return plans.sort((a, b) => Date.parse(a.at) - Date.parse(b.at))[0] ?? null;
}

/** True when the last idle status named exactly the calls that are blocked, and no confirmation waits to be consumed. */
function blockedIsAnnounced(thread: ThreadState, blocked: string[]): boolean {
  if (thread.phase !== "idle" || thread.stop_reason?.type !== "requires_action") return false;
  if (thread.inputs.some((input) => input.type === "user.tool_confirmation")) return false;
  const named = new Set(thread.stop_reason.event_ids);
  return named.size === blocked.length && blocked.every((id) => named.has(id));
}

/** True for a plan that may come true before its time: when the network is back or the key can be had. */
export function waitsOutside(retry: RetryPlan): boolean {
  return retry.waits_for_network || retry.waits_for_keychain === true;
}
