/** The order in which the contract lists events (L6), and the cursor that goes on in it. */
import { invalid } from "../../contract/errors.ts";
import type { LedgerEvent, StoredEvent } from "../../contract/events.ts";

/**
 * Where an event stands: at its own seq; for a queued client event at the seq of the `longhaul.inputs_consumed` that
 * named it, `index` being its place there; while unprocessed at {@link PENDING}, `index` being its own seq.
 */
export interface Place {
  at: number;
  index: number;
}

export const PENDING = Number.MAX_SAFE_INTEGER;

export type Order = "asc" | "desc";

/** Negative when `a` is listed before `b` in ascending order. */
export function comparePlaces(a: Place, b: Place): number {
  return a.at - b.at || a.index - b.index;
}

export function encodeCursor(order: Order, place: Place): string {
  return Buffer.from(`${order}.${place.at}.${place.index}`).toString("base64url");
}

/** @throws {ApiError} 400 when the cursor is not one of ours or was made for the other order */
export function decodeCursor(cursor: string, order: Order): Place {
  const match = /^(asc|desc)\.(\d{1,16})\.(\d{1,16})$/.exec(Buffer.from(cursor, "base64url").toString());
  if (match === null) return invalid("invalid page cursor");
  if (match[1] !== order) return invalid("page token order does not match request");
  return { at: Number(match[2]), index: Number(match[3]) };
}

/** The event as the API reports it. */
export function withProcessedAt(stored: StoredEvent, processedAt: string | null): StoredEvent {
  return { ...stored, event: { ...stored.event, processed_at: processedAt } as LedgerEvent };
}
