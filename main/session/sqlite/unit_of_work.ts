/** One transaction of the ledger: stages sessions while its jobs run, and publishes them when it has been committed. */
import type Database from "better-sqlite3";
import type { EventDraft, StoredEvent } from "../../contract/events.ts";
import type { BlobStore } from "../catalog.ts";
import { StaleLeaseError, UnknownSessionError } from "../ledger.ts";
import { InvalidAppendError } from "../record/append_error.ts";
import { holdsLease, type LeaseRow } from "../record/lease_rules.ts";
import { appendTime, chainHash, sealEvent } from "../record/seal.ts";
import type { ScrubEvent } from "../secrets/mask_event.ts";
import type { EventRows } from "./event_rows.ts";
import type { LeaseTable } from "./leases.ts";
import type { Projector } from "./projections/projector.ts";
import type { SessionState, SessionStates } from "./session_states.ts";
import type { Unit } from "./write_queue.ts";

export interface UnitParts {
  db: Database.Database;
  blobs: BlobStore;
  rows: EventRows;
  states: SessionStates;
  leases: LeaseTable;
  projector: Projector;
  now: () => number;
  scrub: ScrubEvent;
  publish: (unit: UnitOfWork) => void;
}

type Staged = Map<string, SessionState | null>;

export class UnitOfWork implements Unit {
  readonly #parts: UnitParts;
  /** Time of this transaction. */
  readonly now: number;
  /** Sessions as this transaction leaves them; null for a deleted one. */
  readonly #kept: Staged = new Map();
  readonly #events: StoredEvent[] = [];
  #jobSessions: Staged = new Map();
  #jobEvents: StoredEvent[] = [];

  constructor(parts: UnitParts) {
    this.#parts = parts;
    this.now = parts.now();
  }

  /** What this transaction appended, in ledger order. */
  get events(): readonly StoredEvent[] {
    return this.#events;
  }

  begin(): void {
    if (this.#jobSessions.size > 0) this.#jobSessions = new Map();
    this.#jobEvents = [];
  }

  settle(kept: boolean): void {
    if (!kept) return;
    for (const [id, state] of this.#jobSessions) this.#kept.set(id, state);
    for (const stored of this.#jobEvents) this.#events.push(stored);
  }

  /** One update of the projections per session, however many jobs appended to it. */
  finish(): void {
    const { projector } = this.#parts;
    for (const [id, state] of this.#kept) {
      if (state === null) continue;
      const own = this.#kept.size === 1 ? this.#events : this.#events.filter((stored) => stored.session_id === id);
      if (own.length === 0) continue;
      const written = projector.append(state, own);
      if (written !== state.written) this.#kept.set(id, { ...state, written });
    }
  }

  committed(): void {
    const { states, publish } = this.#parts;
    for (const [id, state] of this.#kept) {
      if (state === null) states.forget(id);
      else states.keep(state);
    }
    publish(this);
  }

  /** Sessions that got events. */
  touched(): SessionState[] {
    return [...this.#kept.values()].filter((state) => state !== null);
  }

  /** @throws {UnknownSessionError} */
  session(sessionId: string): SessionState {
    const staged = this.#staged(sessionId);
    const state = staged === undefined ? this.#parts.states.get(sessionId) : staged;
    if (state === null) throw new UnknownSessionError(sessionId);
    return state;
  }

  /** @throws {InvalidAppendError} when it exists or the first event is not `longhaul.session_created` */
  createSession(sessionId: string, drafts: readonly EventDraft[]): StoredEvent[] {
    const { db, states } = this.#parts;
    const [first] = drafts;
    if (first?.type !== "longhaul.session_created") {
      throw new InvalidAppendError(
        "The first event of a session must be longhaul.session_created; nothing was written.",
      );
    }
    const staged = this.#staged(sessionId);
    if (staged === undefined ? states.no(sessionId) !== null : staged !== null) {
      throw new InvalidAppendError(`Session ${sessionId} exists already; nothing was written.`);
    }
    const { lastInsertRowid } = db.prepare("INSERT INTO session_keys (id) VALUES (?)").run(sessionId);
    const empty = {
      no: Number(lastInsertRowid),
      id: sessionId,
      seq: 0,
      hash: "",
      created_at: "",
      fold: null,
      written: null,
    };
    return this.#append(empty, drafts, first.session.primary_thread_id);
  }

  append(state: SessionState, drafts: readonly EventDraft[]): StoredEvent[] {
    return this.#append(state, drafts, state.fold.primary_thread_id);
  }

  /** The session's lease, if `token` is its newest and was not released. @throws {StaleLeaseError} otherwise */
  heldLease(state: SessionState, token: number): LeaseRow {
    const row = this.#parts.leases.get(state.no);
    if (row === null || !holdsLease(row, token)) throw new StaleLeaseError(state.id);
    return row;
  }

  markDeleted(sessionId: string): void {
    this.#jobSessions.set(sessionId, null);
  }

  /** Null when this transaction deleted the session, undefined when it has not touched it. */
  #staged(sessionId: string): SessionState | null | undefined {
    const own = this.#jobSessions.get(sessionId);
    return own === undefined ? this.#kept.get(sessionId) : own;
  }

  #append(
    before: Omit<SessionState, "fold"> & { fold: SessionState["fold"] | null },
    drafts: readonly EventDraft[],
    threadId: string,
  ): StoredEvent[] {
    const { rows, blobs, states, scrub } = this.#parts;
    const created_at = appendTime(this.now, before.created_at);
    const appended: StoredEvent[] = [];
    let { seq, hash, fold } = before;
    for (const draft of drafts) {
      const sealed = sealEvent(draft, created_at, threadId, blobs, scrub);
      const { thread_id, text, bodies, event } = sealed;
      seq += 1;
      hash = chainHash(hash, before.id, { seq, thread_id, created_at, text, bodies });
      rows.insert(before.no, seq, sealed, hash);
      const stored: StoredEvent = { seq, session_id: before.id, thread_id, created_at, event };
      fold = states.fold(fold, stored);
      appended.push(stored);
      this.#jobEvents.push(stored);
    }
    if (fold === null)
      throw new InvalidAppendError(`Session ${before.id} has no valid first event; nothing was written.`);
    this.#jobSessions.set(before.id, { ...before, seq, hash, created_at, fold });
    return appended;
  }
}
