/** `GET /v1/sessions/{id}/events`: the contract's events in the contract's order. */
import { invalid } from "../../../contract/errors.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { existingSession } from "../sessions/session.ts";
import { publicEvent } from "./public.ts";

const DEFAULT_LIMIT = 100;
const MAX_TYPES = 200;

export function mountEventList(api: Api, deps: Deps): void {
  api.get("/v1/sessions/:id/events", (c) => listEvents(c, deps));
}

/** The page that the request's query asks for, of a thread or of the session. */
export async function listEvents(c: ApiContext, deps: Deps, threadId?: string): Promise<Response> {
  const query = new Query(c);
  const { id } = await existingSession(deps, param(c, "id"));
  const types = query.list("types", MAX_TYPES);
  const local = types.find((type) => type.startsWith("longhaul."));
  if (local !== undefined) {
    invalid(
      `\`types[]\`: ${JSON.stringify(local)} is not an event of the contract. GET /longhaul/v1/sessions/{id}/events lists those.`,
    );
  }
  const after = query.text("page");
  const page = await deps.ledger.listPublicEvents(id, {
    order: query.choice("order", ["asc", "desc"]) ?? "asc",
    limit: pageLimit(query, DEFAULT_LIMIT),
    ...query.createdRange(),
    ...(types.length === 0 ? {} : { types }),
    ...(after === undefined ? {} : { after }),
    ...(threadId === undefined ? {} : { thread_id: threadId }),
  });
  return c.json({
    data: page.events.map((stored) => publicEvent(stored.event, stored.thread_id === threadId)),
    next_page: page.next,
  });
}
