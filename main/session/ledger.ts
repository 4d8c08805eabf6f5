/**
 * Port: the append-only session ledger (DESIGN.md §4, rules L1–L12). Adapters: `sqlite_ledger.ts`, `memory_ledger.ts`;
 * both pass `ledger_suite.ts`.
 */
import type { EventDraft, StoredEvent, WakeReason } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";

/** Who holds a session. A holder is one orchestrator in one process; `token` fences its late writes (L4). */
export interface Lease {
  session_id: string;
  holder: string;
  /** Grows with every acquisition of the session, also across restarts. */
  token: number;
  expires_at: number;
  /** Holder whose unreleased lease this one replaced; null when the session was free. */
  taken_over_from: string | null;
}

/** Identity of the process that wants a lease. */
export interface Holder {
  id: string;
  boot_id: string;
  pid: number;
  /** Milliseconds since the epoch at which the process started: tells a reused pid from the process itself. */
  pid_started_at: number;
}

/** Positional slice of one session's events. */
export interface EventRange {
  after_seq?: number;
  before_seq?: number;
  types?: readonly string[];
  thread_id?: string;
  order?: "asc" | "desc";
  limit?: number;
  /** false: large bodies stay `{longhaul_blob, bytes, preview}` markers. Default true. */
  hydrate?: boolean;
}

export interface SessionRecord {
  id: string;
  fold: SessionFold;
  /** The live lease, if any: the only source of "running" (a stored flag would lie after a crash). */
  lease: Pick<Lease, "holder" | "token" | "expires_at"> | null;
  first_seq: number;
  last_seq: number;
}

export interface SessionQuery {
  agent_id?: string;
  agent_version?: number;
  created_gt?: string;
  created_gte?: string;
  created_lt?: string;
  created_lte?: string;
  include_archived?: boolean;
  deployment_id?: string;
  order?: "asc" | "desc";
  limit: number;
  /** Exclusive position: creation time and id of the neighbouring row. `backward` reads towards the list's start. */
  from?: { created_at: string; id: string; backward: boolean };
}

/**
 * Query of events in the order that the contract lists them: by `processed_at`, queued ones last. `thread_id` narrows to
 * what that thread's stream shows; the primary thread's, which is the default, is the session's.
 */
export interface PublicEventQuery {
  order?: "asc" | "desc";
  types?: readonly string[];
  thread_id?: string;
  created_gt?: string;
  created_gte?: string;
  created_lt?: string;
  created_lte?: string;
  limit: number;
  /** Opaque position after which to go on, from a former answer's `next`. */
  after?: string;
}

/** A contract event with the `processed_at` that the API reports for it. */
export interface PublicEventPage {
  events: StoredEvent[];
  next: string | null;
}

export interface SearchHit {
  session_id: string;
  seq: number;
  snippet: string;
}

/** Thrown when an append carries a lease token that is no longer the session's newest. Nothing was written. */
export class StaleLeaseError extends Error {
  constructor(sessionId: string) {
    super(`The lease on ${sessionId} was taken over; this harness may no longer write to it.`);
    this.name = "StaleLeaseError";
  }
}

/** Thrown when the session does not exist (or was deleted). */
export class UnknownSessionError extends Error {
  constructor(sessionId: string) {
    super(`There is no session ${sessionId} in this ledger.`);
    this.name = "UnknownSessionError";
  }
}

/** Thrown when an append cannot be made durable (full disk, read-only, I/O error). Nothing of it was written. */
export class LedgerWriteError extends Error {
  override readonly name = "LedgerWriteError";
}

export interface Ledger {
  /** Appends the first events of a new session (`longhaul.session_created` first) in one transaction. */
  createSession(sessionId: string, events: readonly EventDraft[]): Promise<StoredEvent[]>;

  /** Metadata, fold and event range; null when unknown. */
  getSession(sessionId: string): Promise<SessionRecord | null>;

  listSessions(query: SessionQuery): Promise<SessionRecord[]>;

  /** Events of a session by position. Reads a consistent slice; safe while appends go on. */
  getEvents(sessionId: string, range?: EventRange): AsyncIterable<StoredEvent>;

  /** One event by id, or null. */
  getEvent(sessionId: string, eventId: string): Promise<StoredEvent | null>;

  /** Contract events in the contract's order, `processed_at` filled in (L6). */
  listPublicEvents(sessionId: string, query: PublicEventQuery): Promise<PublicEventPage>;

  /** Appends one event. Resolves after COMMIT (L3) with what was stored; a stale lease token is refused (L4). */
  emitEvent(sessionId: string, event: EventDraft, lease?: Pick<Lease, "token">): Promise<StoredEvent>;

  /** Appends several events contiguously in one transaction: all of them or none. */
  emitEvents(sessionId: string, events: readonly EventDraft[], lease?: Pick<Lease, "token">): Promise<StoredEvent[]>;

  /**
   * The event as an append would keep it: with known secret values masked. What is derived from events before they are
   * appended, such as the request that goes out with them, is derived from this.
   */
  asAppended<E extends object>(event: E): E;

  /**
   * Takes the session's lease and records `longhaul.lease_acquired` in the same transaction.
   * Returns null while another live holder has it. A holder in `deadHolders` or past its expiry is taken over.
   */
  acquireLease(sessionId: string, holder: Holder, ttlMs: number, reason: WakeReason): Promise<Lease | null>;

  /** Extends a lease; false when it was taken over meanwhile. */
  renewLease(lease: Lease, ttlMs: number): Promise<boolean>;

  /** Appends `events` and `longhaul.lease_released`, and frees the lease, in one transaction. A stale lease is refused. */
  releaseLease(
    lease: Lease,
    outcome: "rested" | "rescheduled" | "shutdown",
    events?: readonly EventDraft[],
  ): Promise<void>;

  /** Sessions that an engine start must look at: unfinished work, a retry that is due later, or an unreleased lease. */
  unfinishedSessions(): Promise<SessionRecord[]>;

  /** Removes a session's rows: the explicit user act of L1. Its `session.deleted` has reached subscribers before. */
  deleteSession(sessionId: string): Promise<void>;

  /** Calls `listener` after every COMMIT with the events it made durable, in ledger order. Returns the unsubscriber. */
  subscribe(listener: (events: readonly StoredEvent[]) => void): () => void;

  /** Full-text search over messages, tool inputs and results. */
  search(text: string, limit: number): Promise<SearchHit[]>;

  /** Walks the hash chain (L9). `broken_at` is the first bad seq, null when the chain is whole. */
  verify(sessionId: string): Promise<{ events: number; broken_at: number | null; reason: string | null }>;

  close(): Promise<void>;
}
