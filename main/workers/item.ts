/** How a work item changes: pure functions of the item, the request and the time. */
import {
  type HeartbeatAnswer,
  type HeartbeatRequest,
  LeaseMismatch,
  type StopCause,
  WorkConflict,
  type WorkItem,
} from "./port.ts";

/** What the contract's clients take for the server's default. */
export const DEFAULT_TTL_SECONDS = 300;
/** The official worker beats at half the lease, and never more often than once a second. */
export const MIN_TTL_SECONDS = 2;
export const MAX_TTL_SECONDS = 3600;
export const NO_HEARTBEAT = "NO_HEARTBEAT";

/** Longer than the longest pause between two heartbeats of the official worker, with time to clean up behind it. */
const STOPPING_MS = 60_000;
/** An item that was held for less than this was given back at once. */
const QUICK_STOP_MS = 10_000;
const MAX_PAUSE_MS = 60_000;

export const iso = (ms: number): string => new Date(ms).toISOString();

export interface NewItem {
  id: string;
  environment_id: string;
  session_id: string;
  ttl_seconds: number;
  quick_stops: number;
}

/** An item that has just entered the queue; after workers that gave the session back at once, with a pause. */
export function newItem(fields: NewItem, now: number): WorkItem {
  const pause = fields.quick_stops <= 1 ? 0 : Math.min(MAX_PAUSE_MS, 1000 * 2 ** (fields.quick_stops - 2));
  return {
    ...fields,
    state: "queued",
    metadata: {},
    created_at: iso(now),
    queued_at: iso(now),
    available_at: iso(now + pause),
    polled_at: null,
    deliveries: 0,
    acknowledged_at: null,
    started_at: null,
    latest_heartbeat_at: null,
    stop_requested_at: null,
    stopped_at: null,
    stop_cause: null,
    wanted_again: false,
    lease_expires_at: null,
    lease_token: null,
  };
}

/** When a queued item can be handed out, in ms: at once, after its pause, or when its last poller has had its time. */
export function offeredAt(item: WorkItem, reclaimMs: number): number {
  const reclaimed = item.polled_at === null ? 0 : Date.parse(item.polled_at) + reclaimMs;
  return Math.max(Date.parse(item.available_at), reclaimed);
}

export function delivered(item: WorkItem, now: number): WorkItem {
  return { ...item, polled_at: iso(now), deliveries: item.deliveries + 1 };
}

/** @throws WorkConflict unless it is in the queue, or its only poller repeats an acknowledgement whose answer was lost */
export function acknowledged(item: WorkItem, now: number): WorkItem {
  if (item.state === "starting" && item.deliveries === 1) return item;
  if (item.state !== "queued") {
    throw new WorkConflict(
      `Work item ${item.id} is ${item.state}: it is not in the queue any more. Poll for another one.`,
    );
  }
  return {
    ...item,
    state: "starting",
    acknowledged_at: iso(now),
    polled_at: null,
    lease_expires_at: iso(now + item.ttl_seconds * 1000),
  };
}

/**
 * The item after a heartbeat, and whether it extended the lease. A stopping or stopped item is answered as it is.
 * @throws LeaseMismatch when the expected heartbeat is not the stored one, or nobody has acknowledged the item
 */
export function beaten(item: WorkItem, request: HeartbeatRequest, now: number): HeartbeatAnswer {
  if (item.state === "stopping" || item.state === "stopped") return { item, lease_extended: false };
  if (item.state === "queued") {
    throw new LeaseMismatch(
      item,
      `Work item ${item.id} is in the queue: nobody holds it. Poll and acknowledge it first.`,
    );
  }
  const { expected } = request;
  const stored = item.latest_heartbeat_at ?? NO_HEARTBEAT;
  if (expected !== null && expected !== stored) {
    throw new LeaseMismatch(
      item,
      `The last heartbeat of work item ${item.id} is ${stored}, not ${expected}: another worker may hold the lease.`,
    );
  }
  // Two heartbeats must never look the same, or a stale one would pass for the newest.
  const at = Math.max(now, item.latest_heartbeat_at === null ? 0 : Date.parse(item.latest_heartbeat_at) + 1);
  const wanted = request.desired_ttl_seconds;
  const ttl_seconds = wanted === null ? item.ttl_seconds : Math.min(MAX_TTL_SECONDS, Math.max(MIN_TTL_SECONDS, wanted));
  const first = item.latest_heartbeat_at === null;
  const next: WorkItem = {
    ...item,
    state: "active",
    started_at: item.started_at ?? iso(now),
    latest_heartbeat_at: iso(at),
    ttl_seconds,
    lease_expires_at: iso(now + ttl_seconds * 1000),
    lease_token: first ? request.token : item.lease_token,
  };
  return { item: next, lease_extended: true };
}

/**
 * The item after a request to stop: at once when forced or when nobody works on it, else `stopping`, so that its worker
 * hears of it with the next heartbeat.
 * @throws WorkConflict when it has stopped already
 */
export function stopRequested(item: WorkItem, request: { force: boolean; cause: StopCause }, now: number): WorkItem {
  if (item.state === "stopped") throw new WorkConflict(`Work item ${item.id} has stopped already.`);
  const stop_requested_at = item.stop_requested_at ?? iso(now);
  const stop_cause = item.stop_cause ?? request.cause;
  const held = item.latest_heartbeat_at !== null;
  if (request.force || !held) return { ...stopped(item, stop_cause, now), stop_requested_at };
  return { ...item, state: "stopping", stop_requested_at, stop_cause };
}

export function stopped(item: WorkItem, cause: StopCause, now: number): WorkItem {
  return {
    ...item,
    state: "stopped",
    stopped_at: iso(now),
    stop_cause: item.stop_cause ?? cause,
    polled_at: null,
    lease_expires_at: null,
    quick_stops: wasQuick(item, now) ? item.quick_stops + 1 : 0,
  };
}

function wasQuick(item: WorkItem, now: number): boolean {
  return now - Date.parse(item.acknowledged_at ?? item.queued_at) < QUICK_STOP_MS;
}

/**
 * When the item must be looked at because its worker said nothing, in ms; null while nothing runs out.
 * @param engineStart a lease that ran out while no engine was there to take its heartbeats gets one more interval
 */
export function runsOutAt(item: WorkItem, engineStart: number): number | null {
  if (item.state === "stopping" && item.stop_requested_at !== null) {
    return Date.parse(item.stop_requested_at) + Math.min(item.ttl_seconds * 1000, STOPPING_MS);
  }
  if (item.lease_expires_at === null) return null;
  const grace = Math.min(item.ttl_seconds * 500, 30_000) + 1000;
  return Math.max(Date.parse(item.lease_expires_at), engineStart + grace);
}

/** Back in the queue after a lost lease: the same item, without a trace of its holder. */
export function offeredAgain(item: WorkItem, now: number): WorkItem {
  return {
    ...item,
    state: "queued",
    queued_at: iso(now),
    available_at: iso(now),
    polled_at: null,
    deliveries: 0,
    acknowledged_at: null,
    started_at: null,
    latest_heartbeat_at: null,
    lease_expires_at: null,
    lease_token: null,
  };
}
