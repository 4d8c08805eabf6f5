/** `GET /v1/sessions`: the one list that can be read in both directions. */

import { z } from "zod";
import { invalid } from "../../../contract/errors.ts";
import type { SessionQuery, SessionRecord } from "../../../session/ledger.ts";
import type { Api, Deps } from "../../http/context.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { type ApiSession, apiSession, statusOf } from "./session.ts";

const STATUSES = ["rescheduling", "running", "idle", "terminated"] as const;
/** Rows read at a time while a filter drops some of them. */
const BATCH = 200;

const cursorSchema = z.strictObject({
  order: z.enum(["asc", "desc"]),
  created_at: z.iso.datetime(),
  id: z.string().min(1).max(128),
  backward: z.boolean(),
});

type Cursor = z.output<typeof cursorSchema>;
type Filter = Omit<SessionQuery, "limit" | "from">;

export function mountSessionList(api: Api, deps: Deps): void {
  api.get("/v1/sessions", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const statuses = query.choices("statuses", STATUSES, 100);
    const filter = readFilter(query);
    const cursor = readCursor(query, filter.order ?? "desc");
    const store = query.text("memory_store_id");
    const passes = (row: SessionRecord): boolean =>
      (statuses.length === 0 || statuses.includes(statusOf(deps, row))) &&
      (store === undefined ||
        row.fold.resources.some((it) => it.type === "memory_store" && it.memory_store_id === store));
    const whole = statuses.length === 0 && store === undefined;
    const found = await collect(deps, filter, cursor, limit + 1, whole ? null : passes);
    return c.json(await pageOfSessions(deps, found, limit, filter.order ?? "desc", cursor));
  });
}

function readFilter(query: Query): Filter {
  const agent_id = query.text("agent_id");
  const agent_version = query.integer("agent_version", 1, 999_999_999);
  const deployment_id = query.text("deployment_id");
  return {
    order: query.choice("order", ["asc", "desc"]) ?? "desc",
    include_archived: query.flag("include_archived") ?? false,
    ...query.createdRange(),
    ...(agent_id === undefined ? {} : { agent_id }),
    // The contract: a version only means something beside its agent.
    ...(agent_id === undefined || agent_version === undefined ? {} : { agent_version }),
    ...(deployment_id === undefined ? {} : { deployment_id }),
  };
}

function readCursor(query: Query, order: "asc" | "desc"): Cursor | undefined {
  const page = query.text("page");
  if (page === undefined) return undefined;
  const cursor = decodeCursor(cursorSchema, page);
  if (cursor.order !== order) invalid("page token order does not match request");
  return cursor;
}

/** Cuts rows that were read with one too many; the extra one lies beyond the page in the direction of reading. */
async function pageOfSessions(
  deps: Deps,
  found: readonly SessionRecord[],
  limit: number,
  order: "asc" | "desc",
  cursor: Cursor | undefined,
): Promise<{ data: ApiSession[]; next_page: string | null; prev_page: string | null }> {
  const backward = cursor?.backward ?? false;
  const more = found.length > limit;
  const rows = backward ? found.slice(-limit) : found.slice(0, limit);
  const point = (row: SessionRecord | undefined, back: boolean) =>
    row === undefined ? null : encodeCursor({ order, created_at: row.fold.created_at, id: row.id, backward: back });
  return {
    data: await Promise.all(rows.map((row) => apiSession(deps, row))),
    next_page: backward || more ? point(rows.at(-1), false) : null,
    prev_page: (backward ? more : cursor !== undefined) ? point(rows[0], true) : null,
  };
}

/** Up to `wanted` rows nearest to the cursor, in the order of the list; `passes` null takes every row. */
async function collect(
  deps: Deps,
  filter: Filter,
  cursor: Cursor | undefined,
  wanted: number,
  passes: ((row: SessionRecord) => boolean) | null,
): Promise<SessionRecord[]> {
  const backward = cursor?.backward ?? false;
  const limit = passes === null ? wanted : Math.max(wanted, BATCH);
  const found: SessionRecord[] = [];
  let from = cursor === undefined ? undefined : { created_at: cursor.created_at, id: cursor.id, backward };
  for (;;) {
    const rows = await deps.ledger.listSessions({ ...filter, limit, ...(from === undefined ? {} : { from }) });
    const matching = passes === null ? rows : rows.filter(passes);
    if (backward) found.unshift(...matching);
    else found.push(...matching);
    const edge = backward ? rows[0] : rows.at(-1);
    if (found.length >= wanted || rows.length < limit || edge === undefined) break;
    from = { created_at: edge.fold.created_at, id: edge.id, backward };
  }
  return backward ? found.slice(-wanted) : found.slice(0, wanted);
}
