/** From checked client events to what the ledger appends. */
import type { EventDraft } from "../../../contract/events.ts";
import type { ClientEvent } from "../../../contract/schemas/events.ts";
import type { Deps } from "../../http/context.ts";
import { checkContentFiles } from "./files.ts";
import { outcomeDraft } from "./input/outcome.ts";

/**
 * The drafts of client events, in their order. Files that they name must exist and be readable; nothing is stored.
 * @param field name of the list in messages, for example `events`
 * @param within session whose files alone may be named; null for all files
 * @throws ApiError 400 that names the field
 */
export async function draftsOf(
  deps: Pick<Deps, "catalog" | "blobs" | "now">,
  events: readonly ClientEvent[],
  field: string,
  within: string | null = null,
): Promise<EventDraft[]> {
  const drafts: EventDraft[] = [];
  for (const [index, event] of events.entries()) {
    const name = `${field}[${index}]`;
    if (event.type === "user.define_outcome") {
      drafts.push(await outcomeDraft(deps, event, name));
      continue;
    }
    if ("content" in event && event.content !== undefined) {
      await checkContentFiles(deps, event.content, `${name}.content`, within);
    }
    // The schema has the fields of the contract's event; its type only differs in optional fields that may be
    // `undefined`, which a parsed JSON body never holds.
    drafts.push(event as EventDraft);
  }
  return drafts;
}
