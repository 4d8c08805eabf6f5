/** `GET /v1/sessions`: the one list that can be read in both directions. */

import { z } from "zod";
import { invalid } from "../../../contract/errors.ts";
import type { SessionStatus } from "../../../contract/events.ts";
import type { SessionQuery, SessionRecord } from "../../../session/ledger.ts";
import type { Api, Deps } from "../../http/context.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { apiSession, statusOf } from "./session.ts";

const STATUSES = ["rescheduling", "running", "idle", "terminated"] as const;
/** Rows read at a time while a status filter drops some of them. */
const BATCH = 200;

const cursorSchema = z.strictObject({
  order: z.enum(["asc", "desc"]),
  created_at: z.iso.datetime(),
  id: z.string().min(1).max(128),
  backward: z.boolean(),
});

export function mountSessionList(api: Api, deps: Deps): void {
  api.get("/v1/sessions", async (c) => {
    const query = new Query(c);
    const order = query.choice("order", ["asc", "desc"]) ?? "desc";
    const limit = pageLimit(query);
    const statuses = query.choices("statuses", STATUSES, 100);
    const page = query.text("page");
    const cursor = page === undefined ? undefined : decodeCursor(cursorSchema, page);
    if (cursor !== undefined && cursor.order !== order) invalid("page token order does not match request");
    const agent_id = query.text("agent_id");
    const agent_version = query.integer("agent_version", 1, 999_999_999);
    const deployment_id = query.text("deployment_id");
    const base: Omit<SessionQuery, "limit" | "from"> = {
      order,
      include_archived: query.flag("include_archived") ?? false,
      ...query.createdRange(),
      ...(agent_id === undefined ? {} : { agent_id }),
      ...(agent_id === undefined || agent_version === undefined ? {} : { agent_version }),
      ...(deployment_id === undefined ? {} : { deployment_id }),
    };
    // No session has a memory store in this version: the filter matches none.
    if (query.text("memory_store_id") !== undefined) return c.json({ data: [], next_page: null, prev_page: null });
    const found = await collect(deps, base, cursor, limit + 1, statuses);
    const backward = cursor?.backward ?? false;
    const more = found.length > limit;
    // The extra row lies beyond the page in the direction of reading.
    const rows = !more ? found : backward ? found.slice(1) : found.slice(0, limit);
    const point = (row: SessionRecord | undefined, back: boolean) =>
      row === undefined ? null : encodeCursor({ order, created_at: row.fold.created_at, id: row.id, backward: back });
    return c.json({
      data: rows.map((row) => apiSession(deps, row)),
      next_page: backward || more ? point(rows.at(-1), false) : null,
      prev_page: (backward ? more : cursor !== undefined) ? point(rows[0], true) : null,
    });
  });
}

/** Up to `wanted` rows nearest to the cursor, in the order of the list. */
async function collect(
  deps: Deps,
  base: Omit<SessionQuery, "limit" | "from">,
  cursor: { created_at: string; id: string; backward: boolean } | undefined,
  wanted: number,
  statuses: readonly SessionStatus[],
): Promise<SessionRecord[]> {
  const backward = cursor?.backward ?? false;
  const limit = statuses.length === 0 ? wanted : Math.max(wanted, BATCH);
  const found: SessionRecord[] = [];
  let from = cursor === undefined ? undefined : { created_at: cursor.created_at, id: cursor.id, backward };
  for (;;) {
    const rows = await deps.ledger.listSessions({ ...base, limit, ...(from === undefined ? {} : { from }) });
    const matching = rows.filter((row) => statuses.length === 0 || statuses.includes(statusOf(deps, row)));
    if (backward) found.unshift(...matching);
    else found.push(...matching);
    const edge = backward ? rows[0] : rows.at(-1);
    if (found.length >= wanted || rows.length < limit || edge === undefined) break;
    from = { created_at: edge.fold.created_at, id: edge.id, backward };
  }
  return backward ? found.slice(-wanted) : found.slice(0, wanted);
}
