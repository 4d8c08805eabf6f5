/** From a checked client event to what the ledger appends. */
import type { EventDraft } from "../../../contract/events.ts";
import type { ClientEvent } from "../../../contract/schemas/events.ts";

/**
 * The draft of a client event. The schema has the fields of the contract's event; its type only differs in optional
 * fields that may be `undefined`, which a parsed JSON body never holds.
 */
export function draftOf(event: ClientEvent): EventDraft {
  return event as EventDraft;
}
