/** How SDK clients see an event. */
import type { LedgerEvent } from "../../../contract/events.ts";

/**
 * The event as the contract shows it: an update that cleared the metadata carries no `metadata` (contract.md §3.3), and a
 * tool call that is cross-posted names its thread on the session's stream only.
 * @param own the reader follows the spawned thread that the event belongs to
 */
export function publicEvent(event: LedgerEvent, own: boolean): LedgerEvent {
  if (own && event.type.startsWith("agent.") && "session_thread_id" in event) {
    const { session_thread_id: _, ...rest } = event;
    return rest as LedgerEvent;
  }
  if (event.type !== "session.updated" || event.metadata === undefined) return event;
  if (Object.keys(event.metadata).length > 0) return event;
  const { metadata: _, ...rest } = event;
  return rest;
}
