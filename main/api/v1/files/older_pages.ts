/** Pages of files as SDKs before 0.122 and other clients ask for them: by the id of a file instead of by a cursor. */
import { invalid } from "../../../contract/errors.ts";
import type { Catalog, FileRecord } from "../../../session/catalog.ts";
import type { Query } from "../../http/query.ts";

type Position = { created_at: string; id: string };

const WALK = 500;

/** What these clients read beside `data`: null ids for an empty page. */
export function olderFields(files: readonly { id: string }[], hasMore: boolean) {
  return { has_more: hasMore, first_id: files[0]?.id ?? null, last_id: files.at(-1)?.id ?? null };
}

/**
 * The file that `after_id` or `before_id` names; null when neither is given.
 * @throws ApiError 400 for both, for one together with `page`, or for one that does not exist
 */
export async function olderPosition(
  catalog: Catalog,
  query: Query,
): Promise<{ side: "after" | "before"; file: Position } | null> {
  const given = (["after_id", "before_id"] as const).filter((name) => query.text(name) !== undefined);
  const [name] = given;
  if (name === undefined) return null;
  if (given.length > 1 || query.text("page") !== undefined) {
    invalid("`after_id`, `before_id` and `page` cannot be combined: give one of them.");
  }
  const id = query.text(name) ?? "";
  const file = await catalog.getFile(id);
  if (file === null) invalid(`\`${name}\`: there is no file ${JSON.stringify(id)}. Begin again without it.`);
  return { side: name === "after_id" ? "after" : "before", file };
}

/** The page that ends right before `file` in the list, which begins with the newest; `hasMore` when others come before it. */
export async function filesBefore(
  catalog: Catalog,
  file: Position,
  limit: number,
  scope: { scope_id?: string },
): Promise<{ data: FileRecord[]; hasMore: boolean }> {
  let last: FileRecord[] = [];
  let hasMore = false;
  let after: Position | undefined;
  for (;;) {
    const rows = await catalog.listFiles({ limit: WALK, ...scope, ...(after === undefined ? {} : { after }) });
    const newer = rows.filter((row) => isNewer(row, file));
    hasMore ||= last.length + newer.length > limit;
    last = [...last, ...newer].slice(-limit);
    after = newer.at(-1);
    if (newer.length < WALK) return { data: last, hasMore };
  }
}

function isNewer(row: Position, than: Position): boolean {
  return row.created_at === than.created_at ? row.id > than.id : row.created_at > than.created_at;
}
