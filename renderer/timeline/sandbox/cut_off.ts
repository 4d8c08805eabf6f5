/** What another process finds of the sandbox work of the one before it. */
import type { StoredEvent } from "../../../main/contract/events.ts";
import { openTurn, requestOf, rowOfKind, type Timeline, updateRow } from "../timeline.ts";

/**
 * The model request of its thread that sandbox work belongs to now. None at rest, and none after another process has taken over: what
 * it does is no part of a request that its predecessor made, and would stand out of order there.
 */
export function requestNow(timeline: Timeline, stored: StoredEvent): string | null {
  if (openTurn(timeline) === null) return null;
  const request = rowOfKind(timeline, requestOf(timeline, stored), "request");
  const lease = rowOfKind(timeline, timeline.latest.lease, "notice");
  if (request === undefined || (lease !== undefined && lease.seq > request.seq)) return null;
  return request.id;
}

/** Ends a provisioning whose process is gone: nobody goes on with it, a later one begins anew. */
export function cutOffProvisioning(timeline: Timeline, at: number): void {
  const row = rowOfKind(timeline, timeline.latest.sandbox, "sandbox");
  if (row?.state === "provisioning") updateRow(timeline, row.id, { state: "cut_off", end: Math.max(row.at, at) });
}
