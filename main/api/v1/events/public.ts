/** How SDK clients see an event. */
import type { LedgerEvent } from "../../../contract/events.ts";

/** The event as the contract shows it: an update that cleared the metadata carries no `metadata` (contract.md §3.3). */
export function publicEvent(event: LedgerEvent): LedgerEvent {
  if (event.type !== "session.updated" || event.metadata === undefined) return event;
  if (Object.keys(event.metadata).length > 0) return event;
  const { metadata: _, ...rest } = event;
  return rest;
}
