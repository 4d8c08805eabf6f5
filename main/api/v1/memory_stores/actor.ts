/** Who a request acts as, for the history of memories. */
import type { BetaManagedAgentsActor } from "@anthropic-ai/sdk/resources/beta/memory-stores";
import type { ApiContext } from "../../http/context.ts";

/** There is one API key for a data directory; this names it and is not made from it. */
const KEY_ID = "apikey_local";

/** A worker that holds the token of a work item acts as the item's session. */
export function actorOf(c: ApiContext): BetaManagedAgentsActor {
  const caller = c.get("caller");
  if (caller.kind === "item_token") return { type: "session_actor", session_id: caller.session_id };
  return { type: "api_actor", api_key_id: KEY_ID };
}
