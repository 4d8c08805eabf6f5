/** What is left to do in a session, derived from its fold: shared by triggers, the harness and the Resume button. */

import type { SessionFold } from "./fold.ts";
import { type OpenCall, waitsForClient } from "./fold_calls.ts";

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
export function runnableCalls(fold: SessionFold): OpenCall[] {
  const waiting = fold.calls.some(waitsForClient);
  return fold.calls.filter((call) => {
    if (call.kind === "custom") return false;
    if (call.permission === "allow" || call.permission === "deny") return true;
    return call.confirmation !== null && !waiting;
  });
}

/** Ids of the calls that a client must answer before the session can go on. */
export function blockedCalls(fold: SessionFold): string[] {
  return fold.calls.filter(waitsForClient).map((call) => call.id);
}

/** Classifies what is left. `now` says whether a planned retry is due. */
export function unfinishedWork(fold: SessionFold, now: number = Date.now()): Work {
  if (fold.archived_at !== null || fold.phase === "terminated") return "none";
  if (fold.inputs.some((input) => input.type === "user.interrupt")) return "now";
  if (fold.model_request !== null) return "now";
  if (runnableCalls(fold).length > 0) return "now";
  const blocked = blockedCalls(fold);
  if (blocked.length > 0) return blockedIsAnnounced(fold, blocked) ? "client" : "now";
  if (fold.inputs.length > 0) return "now";
  if (fold.awaiting_model) {
    if (fold.stopped) return "stopped";
    if (fold.retry !== null && Date.parse(fold.retry.at) > now) return "later";
    return "now";
  }
  return fold.phase === "idle" ? "none" : "now";
}

/** True when the last idle status named exactly the calls that are blocked, and no confirmation waits to be consumed. */
function blockedIsAnnounced(fold: SessionFold, blocked: string[]): boolean {
  if (fold.phase !== "idle" || fold.stop_reason?.type !== "requires_action") return false;
  if (fold.inputs.some((input) => input.type === "user.tool_confirmation")) return false;
  const named = new Set(fold.stop_reason.event_ids);
  return named.size === blocked.length && blocked.every((id) => named.has(id));
}
