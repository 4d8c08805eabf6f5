/** One page of a store's memories: all below a prefix, or the direct children with deeper ones rolled up. */
import type { BetaManagedAgentsMemoryPrefix } from "@anthropic-ai/sdk/resources/beta/memory-stores";
import { z } from "zod";
import { invalid } from "../../../contract/errors.ts";
import type { MemoryRow } from "../../../session/memories/tables.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import type { Query } from "../../http/query.ts";
import { type View, viewLimit, viewOf } from "./view.ts";

type OrderBy = "path" | "created_at" | "updated_at";
type Item = MemoryRow | BetaManagedAgentsMemoryPrefix;
type Position = z.output<typeof cursorSchema>;

/** Where a page ended: the last item's value in the order, and its path. */
const cursorSchema = z.strictObject({
  by: z.enum(["path", "created_at", "updated_at"]),
  order: z.enum(["asc", "desc"]),
  value: z.string().max(2048),
  path: z.string().max(2048),
});

export interface ListQuery {
  prefix: string;
  depth: 0 | 1;
  view: View;
  limit: number;
  by: OrderBy;
  order: "asc" | "desc";
  after: Position | null;
}

/** @throws ApiError 400 that names the parameter */
export function readListQuery(query: Query): ListQuery {
  const prefix = query.text("path_prefix") ?? "/";
  if (!prefix.startsWith("/") || !prefix.endsWith("/")) {
    invalid('`path_prefix` must begin and end with "/", for example /notes/.');
  }
  const depth = query.integer("depth", 0, 1) === 1 ? 1 : 0;
  const view = viewOf(query, "basic");
  // Both are of older versions of the API: a client that leaves them out gets the order of the paths.
  const by = query.choice("order_by", ["path", "created_at", "updated_at"]) ?? "path";
  const order = query.choice("order", ["asc", "desc"]) ?? "asc";
  if (depth === 1 && by !== "path") invalid("`order_by` must be path together with `depth=1`: prefixes have no times.");
  const page = query.text("page");
  const after = page === undefined ? null : decodeCursor(cursorSchema, page);
  if (after !== null && (after.by !== by || after.order !== order)) invalid("page token order does not match request");
  return { prefix, depth, view, limit: viewLimit(query, view), by, order, after };
}

/** @param rows every memory below the prefix */
export function memoryPage(rows: readonly MemoryRow[], query: ListQuery): { items: Item[]; next_page: string | null } {
  const { by, order, after, limit } = query;
  const sign = order === "asc" ? 1 : -1;
  const items = (query.depth === 0 ? [...rows] : rolledUp(rows, query.prefix))
    .map((item) => ({ item, at: positionOf(item, by, order) }))
    .filter(({ at }) => after === null || sign * compare(at, after) > 0)
    .sort((a, b) => sign * compare(a.at, b.at));
  const last = items[limit - 1];
  const next_page = items.length > limit && last !== undefined ? encodeCursor(last.at) : null;
  return { items: items.slice(0, limit).map(({ item }) => item), next_page };
}

function rolledUp(rows: readonly MemoryRow[], prefix: string): Item[] {
  const items: Item[] = [];
  const prefixes = new Set<string>();
  for (const row of rows) {
    const end = row.path.indexOf("/", prefix.length);
    if (end === -1) items.push(row);
    else prefixes.add(row.path.slice(0, end + 1));
  }
  for (const path of prefixes) items.push({ type: "memory_prefix", path });
  return items;
}

function positionOf(item: Item, by: OrderBy, order: "asc" | "desc"): Position {
  const value = item.type === "memory_prefix" || by === "path" ? "" : item[by];
  return { by, order, value, path: item.path };
}

function compare(a: Position, b: Position): number {
  if (a.value !== b.value) return a.value < b.value ? -1 : 1;
  return Buffer.compare(Buffer.from(a.path), Buffer.from(b.path));
}
