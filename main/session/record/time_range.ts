/** The `created_at[gt|gte|lt|lte]` filters of every list, as one closed interval of the ledger's own time strings. */
import { invalid } from "../../contract/errors.ts";

export interface CreatedFilter {
  created_gt?: string;
  created_gte?: string;
  created_lt?: string;
  created_lte?: string;
}

export interface TimeRange {
  /** First and last time inside the range, ISO 8601 with milliseconds: such strings sort by time. */
  from: string;
  to: string;
  /** False when the query named no bound at all. */
  bounded: boolean;
}

/** @throws {ApiError} 400 that names the bound which is not a time */
export function timeRange(filter: CreatedFilter): TimeRange {
  const earliest = [bound("gt", filter.created_gt, 1), bound("gte", filter.created_gte, 0)].filter(isSet);
  const latest = [bound("lt", filter.created_lt, -1), bound("lte", filter.created_lte, 0)].filter(isSet);
  return {
    from: earliest.length === 0 ? "" : new Date(Math.max(...earliest)).toISOString(),
    to: latest.length === 0 ? AFTER_ALL : new Date(Math.min(...latest)).toISOString(),
    bounded: earliest.length + latest.length > 0,
  };
}

/** Greater than every time string. */
const AFTER_ALL = "~";

/** Milliseconds of the first or last time inside. Times have a resolution of one: "after x" is "from x + 1 ms". */
function bound(name: string, value: string | undefined, shiftMs: number): number | undefined {
  if (value === undefined) return undefined;
  const time = Date.parse(value) + shiftMs;
  if (Number.isNaN(time) || Math.abs(time) > MAX_TIME_MS) {
    return invalid(
      `created_at[${name}]: ${JSON.stringify(value)} is not an RFC 3339 time such as 2026-01-31T12:00:00Z.`,
    );
  }
  return time;
}

/** The last time that a Date can hold. */
const MAX_TIME_MS = 8.64e15;

function isSet(value: number | undefined): value is number {
  return value !== undefined;
}
