/** Opaque page cursors: base64url of a small JSON value. */

import { z } from "zod";
import { invalid } from "../../contract/errors.ts";

/** The text of a cursor. */
export function encodeCursor(value: Record<string, unknown>): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

/** The value of a cursor that this API made; anything else is refused with the contract's text. */
export function decodeCursor<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  if (text.length > 4096 || !/^[A-Za-z0-9_-]+$/.test(text)) invalidCursor();
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    invalidCursor();
  }
  const result = schema.safeParse(value);
  return result.success ? result.data : invalidCursor();
}

/** Throws the contract's 400 for a cursor that is not one. */
export function invalidCursor(): never {
  invalid("invalid page cursor");
}

/** Position of a row in a list ordered by creation. */
export const rowCursor = z.strictObject({ created_at: z.iso.datetime(), id: z.string().min(1).max(128) });

/** Cuts a list that was read with one row too many into a page; the cursor names its last row. */
export function pageOf<T extends { created_at: string; id: string }>(
  rows: readonly T[],
  limit: number,
): { data: T[]; next_page: string | null } {
  const data = rows.slice(0, limit);
  const last = data.at(-1);
  const more = rows.length > limit && last !== undefined;
  return { data, next_page: more ? encodeCursor({ created_at: last.created_at, id: last.id }) : null };
}
