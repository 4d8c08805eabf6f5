/** `view` of memories and versions: with their content or without, and how many fit on a page. */
import { pageLimit, type Query } from "../../http/query.ts";

export type View = "basic" | "full";

const MOST: Record<View, number> = { basic: 100, full: 20 };

export function viewOf(query: Query, fallback: View): View {
  return query.choice("view", ["basic", "full"]) ?? fallback;
}

/** Contract: larger limits are cut to what a page of this view holds. */
export function viewLimit(query: Query, view: View): number {
  return Math.min(pageLimit(query), MOST[view]);
}
