/** Which events a reader of a session, or of one of its threads, is shown (contract.md §3.5). */
import type { LedgerEvent, StoredEvent } from "../events.ts";

/** True for an event that the stream of this thread holds. The primary thread's stream is the session's. */
export function isShown(stored: StoredEvent, threadId: string, primaryThreadId: string): boolean {
  if (stored.thread_id === threadId) return true;
  return threadId === primaryThreadId && isCrossPosted(stored.event);
}

/** True for events of other threads that the session's stream shows too: their life, their errors, what blocks them. */
function isCrossPosted(event: LedgerEvent): boolean {
  return event.type === "session.error" || ("session_thread_id" in event && event.session_thread_id != null);
}
