/** Who a request acts as, for the history of memories. */
import type { BetaManagedAgentsActor } from "@anthropic-ai/sdk/resources/beta/memory-stores";
import type { ApiContext } from "../../http/context.ts";

export type ActorOf = (c: ApiContext) => BetaManagedAgentsActor;

/** There is one API key for a data directory; this names it and is not made from it. */
const KEY_ID = "apikey_local";

/** The holder of the engine's API key. */
export function keyActor(): BetaManagedAgentsActor {
  return { type: "api_actor", api_key_id: KEY_ID };
}
