/**
 * Port: the work queue of `self_hosted` environments and the credentials of the workers that serve it. The API knows
 * only this; `queue.ts` and `credentials.ts` implement it over the records.
 */

export type WorkState = "queued" | "starting" | "active" | "stopping" | "stopped";

/** Who asked for an item to stop: a person's stop is not undone by offering the session again at once. */
export type StopCause = "person" | "worker" | "lease_lost" | "session_over";

/** One offer of a session to the workers of its environment. Times are ISO 8601 with milliseconds. */
export interface WorkItem {
  id: string;
  environment_id: string;
  session_id: string;
  state: WorkState;
  metadata: Record<string, string>;
  created_at: string;
  /** When it entered the queue last: at its creation, or when a lost lease put it back. */
  queued_at: string;
  /** Not handed out before: the pause after workers that gave the session back at once. */
  available_at: string;
  /** When it was handed to a poller that has not acknowledged it yet. */
  polled_at: string | null;
  /** Pollers that were given the item since it entered the queue. */
  deliveries: number;
  acknowledged_at: string | null;
  started_at: string | null;
  latest_heartbeat_at: string | null;
  stop_requested_at: string | null;
  stopped_at: string | null;
  stop_cause: StopCause | null;
  /** New work arrived while the item was stopping: the session is offered again when it has stopped. */
  wanted_again: boolean;
  ttl_seconds: number;
  /** When the lease ends unless a heartbeat comes; null while nobody holds the item. */
  lease_expires_at: string | null;
  /** Hash of the item token whose heartbeat took the lease; null: none, or an environment key did. */
  lease_token: string | null;
  /** Workers in a row that gave the session back within seconds. */
  quick_stops: number;
}

export interface PollRequest {
  /** Milliseconds to wait for work; 0 answers at once. */
  block_ms: number;
  /** Items that were handed out and not acknowledged for so long are offered again. */
  reclaim_older_than_ms: number;
  /** Name that the worker gives itself; null when it gives none. */
  worker_id: string | null;
  /** Aborts when the poller is gone: it is not handed anything any more. */
  signal: AbortSignal;
}

export interface HeartbeatRequest {
  /** null: not compared. `NO_HEARTBEAT`: there must have been none. Else the last answer's `last_heartbeat`. */
  expected: string | null;
  desired_ttl_seconds: number | null;
  /** Hash of the item token that came with the request; null for an environment key. */
  token: string | null;
}

export interface HeartbeatAnswer {
  item: WorkItem;
  lease_extended: boolean;
}

export interface WorkQueueStats {
  depth: number;
  pending: number;
  oldest_queued_at: string | null;
  workers_polling: number;
}

export interface WorkPage {
  limit: number;
  after?: { created_at: string; id: string };
}

/** The lease is not the caller's: answered with 412 and the lease as it is. Nothing was changed. */
export class LeaseMismatch extends Error {
  override readonly name = "LeaseMismatch";
  readonly item: WorkItem;

  constructor(item: WorkItem, message: string) {
    super(message);
    this.item = item;
  }
}

/** The item's state does not allow the request: answered with 409. Nothing was changed. */
export class WorkConflict extends Error {
  override readonly name = "WorkConflict";
}

export interface WorkQueue {
  /** Hands out the oldest item that nobody has, with the one copy of its token; null when there is none in time. */
  poll(environmentId: string, request: PollRequest): Promise<{ item: WorkItem; token: string } | null>;
  /** An item with its lease looked at first: what has expired is back in the queue or stopped. Null when unknown. */
  get(environmentId: string, workId: string): Promise<WorkItem | null>;
  /** Newest first, stopped ones too. */
  list(environmentId: string, page: WorkPage): Promise<WorkItem[]>;
  stats(environmentId: string): Promise<WorkQueueStats>;
  /** queued → starting. Rejects with {@link WorkConflict} when somebody else has it. */
  ack(item: WorkItem): Promise<WorkItem>;
  /** Takes or extends the lease. Rejects with {@link LeaseMismatch} when it is not the caller's. */
  heartbeat(item: WorkItem, request: HeartbeatRequest): Promise<HeartbeatAnswer>;
  /**
   * Rejects with {@link WorkConflict} when it has stopped already, or when `token` is not the one that holds the lease.
   * @param by a worker that gives an item back lets the session be offered again when work is left
   */
  stop(item: WorkItem, request: { force: boolean; by: "person" | "worker"; token: string | null }): Promise<WorkItem>;
  /** Replaces the metadata by what `patch` makes of it. */
  setMetadata(item: WorkItem, patch: (before: Record<string, string>) => Record<string, string>): Promise<WorkItem>;
  /** A session of the environment that is not over, if there is one: its environment may not go away. */
  sessionInUse(environmentId: string): Promise<string | null>;
  /** Removes everything of an environment that is deleted. */
  forget(environmentId: string): Promise<void>;
}

/** Who sent a request. */
export type Caller =
  | { kind: "api_key" }
  | { kind: "environment_key"; environment_id: string; key_id: string }
  | { kind: "item_token"; environment_id: string; session_id: string; work_id: string; hash: string };

/** An environment's standing credential; its value is known only to whoever created it. */
export interface EnvironmentKey {
  id: string;
  environment_id: string;
  name: string | null;
  /** Last characters of the value, to tell keys apart. */
  hint: string;
  created_at: string;
}

/** An environment has as many keys as it can have. */
export class TooManyKeys extends Error {
  override readonly name = "TooManyKeys";

  constructor(max: number) {
    super(`The environment has ${max} keys already. Delete those that are not used any more.`);
  }
}

export interface WorkerCredentials {
  /** Who the bearer token belongs to; null when it is none of ours, or was revoked. */
  identify(bearer: string): Promise<Exclude<Caller, { kind: "api_key" }> | null>;
  /** Rejects with {@link TooManyKeys}. */
  createKey(environmentId: string, name: string | null): Promise<{ key: EnvironmentKey; value: string }>;
  listKeys(environmentId: string): Promise<EnvironmentKey[]>;
  /** False when the environment has no such key. */
  revokeKey(environmentId: string, keyId: string): Promise<boolean>;
  /** Revokes all keys of an environment that is deleted. */
  forget(environmentId: string): Promise<void>;
}
