/** The ledger on SQLite. Rules L1–L12 of the design; the parts are in the files beside this one. */
import type Database from "better-sqlite3";
import type { EventDraft, StoredEvent, WakeReason } from "../../contract/events.ts";
import type { BlobStore } from "../catalog.ts";
import type {
  EventRange,
  Holder,
  Lease,
  Ledger,
  PublicEventPage,
  PublicEventQuery,
  SearchHit,
  SessionQuery,
  SessionRecord,
} from "../ledger.ts";
import { holdsLease, type IsHolderAlive, liveLease, takeLease } from "../record/lease_rules.ts";
import { type ScrubEvent, scrubbed } from "../secrets/mask_event.ts";
import { EventRows } from "./event_rows.ts";
import { LeaseTable } from "./leases.ts";
import { LateIndex } from "./projections/late_index.ts";
import { type MinuteCount, MinuteTable } from "./projections/minutes.ts";
import { Projector, removeSession } from "./projections/projector.ts";
import { PublicEvents } from "./projections/public_events.ts";
import { type ListedSession, SessionRows } from "./projections/session_rows.ts";
import { type SessionState, SessionStates } from "./session_states.ts";
import { UnitOfWork } from "./unit_of_work.ts";
import { verifySession } from "./verify.ts";
import { WriteQueue } from "./write_queue.ts";

export interface SqliteLedgerOptions {
  blobs: BlobStore;
  isHolderAlive: IsHolderAlive;
  now: () => number;
  /** Takes known secret values out of every event that is appended. */
  scrub: ScrubEvent;
  /** Told of failures that no caller can be told of: a subscriber that throws, a projection that is behind. */
  report: (problem: string) => void;
}

type Listener = (events: readonly StoredEvent[]) => void;

export class SqliteLedger implements Ledger {
  readonly #db: Database.Database;
  readonly #options: SqliteLedgerOptions;
  readonly #rows: EventRows;
  readonly #leases: LeaseTable;
  readonly #sessions: SessionRows;
  readonly #places: PublicEvents;
  readonly #minutes: MinuteTable;
  readonly #late: LateIndex;
  readonly #states: SessionStates;
  readonly #projector: Projector;
  readonly #queue: WriteQueue<UnitOfWork>;
  readonly #listeners = new Set<Listener>();

  /** @param db open, migrated; the ledger closes it */
  constructor(db: Database.Database, options: SqliteLedgerOptions) {
    const { blobs, now, report, scrub } = options;
    this.#db = db;
    this.#options = options;
    this.#rows = new EventRows(db, blobs);
    this.#leases = new LeaseTable(db);
    this.#sessions = new SessionRows(db);
    this.#places = new PublicEvents(db, this.#rows);
    this.#minutes = new MinuteTable(db);
    this.#states = new SessionStates(db, this.#rows, this.#sessions, report);
    this.#projector = new Projector(db, {
      rows: this.#rows,
      states: this.#states,
      sessions: this.#sessions,
      places: this.#places,
      report,
    });
    const refresh = (sessionId: string): void => this.#projector.refreshRow(sessionId);
    this.#late = new LateIndex(db, this.#rows, this.#minutes, refresh, report);
    const parts = {
      db,
      blobs,
      rows: this.#rows,
      states: this.#states,
      leases: this.#leases,
      projector: this.#projector,
      now,
      scrub,
      publish: (unit: UnitOfWork) => this.#publish(unit),
    };
    this.#queue = new WriteQueue(db, () => new UnitOfWork(parts));
    this.#projector.repair(this.#late);
  }

  createSession(sessionId: string, events: readonly EventDraft[]): Promise<StoredEvent[]> {
    return this.#queue.run((unit) => unit.createSession(sessionId, events));
  }

  async getSession(sessionId: string): Promise<SessionRecord | null> {
    const state = this.#states.get(sessionId);
    return state === null ? null : this.#record(state.no, sessionId, state);
  }

  async listSessions(query: SessionQuery): Promise<SessionRecord[]> {
    return this.#records(this.#sessions.list(query));
  }

  async *getEvents(sessionId: string, range: EventRange = {}): AsyncIterable<StoredEvent> {
    const no = this.#states.no(sessionId);
    if (no === null) return;
    for (const slice of this.#rows.slices(no, sessionId, range)) yield* slice;
  }

  async getEvent(sessionId: string, eventId: string): Promise<StoredEvent | null> {
    const no = this.#states.no(sessionId);
    return no === null ? null : this.#rows.byId(no, sessionId, eventId);
  }

  async listPublicEvents(sessionId: string, query: PublicEventQuery): Promise<PublicEventPage> {
    const state = this.#states.get(sessionId);
    if (state === null) return { events: [], next: null };
    return this.#places.page(state, query);
  }

  async emitEvent(sessionId: string, event: EventDraft, lease?: Pick<Lease, "token">): Promise<StoredEvent> {
    const [stored] = await this.emitEvents(sessionId, [event], lease);
    if (stored === undefined) throw new Error("an append of one event stored none");
    return stored;
  }

  emitEvents(sessionId: string, events: readonly EventDraft[], lease?: Pick<Lease, "token">): Promise<StoredEvent[]> {
    return this.#queue.run((unit) => {
      const state = unit.session(sessionId);
      if (lease !== undefined) unit.heldLease(state, lease.token);
      return unit.append(state, events);
    });
  }

  asAppended<E extends object>(event: E): E {
    return scrubbed(event, this.#options.scrub);
  }

  acquireLease(sessionId: string, holder: Holder, ttlMs: number, reason: WakeReason): Promise<Lease | null> {
    return this.#queue.run((unit) => {
      const state = unit.session(sessionId);
      const current = this.#leases.get(state.no);
      const { isHolderAlive } = this.#options;
      const taken = takeLease(sessionId, current, holder, unit.now, ttlMs, reason, isHolderAlive);
      if (taken === null) return null;
      this.#leases.put(state.no, taken.row);
      unit.append(state, [taken.event]);
      return taken.lease;
    });
  }

  renewLease(lease: Lease, ttlMs: number): Promise<boolean> {
    return this.#queue.run((unit) => {
      const no = this.#states.no(lease.session_id);
      if (no === null || !holdsLease(this.#leases.get(no), lease.token)) return false;
      this.#leases.extend(no, unit.now + ttlMs);
      return true;
    });
  }

  async releaseLease(
    lease: Lease,
    outcome: "rested" | "rescheduled" | "shutdown",
    events: readonly EventDraft[] = [],
  ): Promise<void> {
    const { holder, token } = lease;
    await this.#queue.run((unit) => {
      const state = unit.session(lease.session_id);
      unit.heldLease(state, token);
      unit.append(state, [...events, { type: "longhaul.lease_released", holder, token, outcome }]);
      this.#leases.release(state.no);
    });
  }

  async unfinishedSessions(): Promise<SessionRecord[]> {
    const behind = [...this.#projector.broken].map((id) => ({ no: this.#states.no(id), id, fold: null }));
    const listed = this.#sessions.unfinished().filter(({ id }) => !this.#projector.broken.has(id));
    return this.#records([...listed, ...behind.flatMap(({ no, ...rest }) => (no === null ? [] : [{ no, ...rest }]))]);
  }

  deleteSession(sessionId: string): Promise<void> {
    return this.#queue.run((unit) => {
      removeSession(this.#db, unit.session(sessionId), this.#projector, this.#late);
      unit.markDeleted(sessionId);
    });
  }

  subscribe(listener: Listener): () => void {
    // A wrapper of its own: the same function may subscribe twice, and each unsubscriber ends its own subscription.
    const own: Listener = (events) => listener(events);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  search(text: string, limit: number): Promise<SearchHit[]> {
    return this.#late.search(text, limit);
  }

  verify(sessionId: string): Promise<{ events: number; broken_at: number | null; reason: string | null }> {
    return verifySession(this.#db, this.#options.blobs, sessionId);
  }

  /** Events per minute and lane, oldest first: the overview of a long timeline. */
  minutes(sessionId: string): MinuteCount[] {
    const no = this.#states.no(sessionId);
    if (no === null) return [];
    this.#late.finishNow();
    return this.#minutes.list(no);
  }

  countSessions(): number {
    return Number(this.#db.prepare("SELECT count(*) FROM session_keys").pluck().get());
  }

  /** Makes the session list, the places of queued events, the minutes and the search index anew from the events. */
  rebuildProjections(): void {
    this.#projector.rebuild(this.#late);
  }

  async close(): Promise<void> {
    if (!this.#db.open) return;
    this.#queue.close();
    this.#late.close();
    this.#listeners.clear();
    this.#db.close();
  }

  #record(no: number, id: string, { fold }: Pick<SessionState, "fold">): SessionRecord {
    const { now, isHolderAlive } = this.#options;
    const lease = liveLease(this.#leases.get(no), now(), isHolderAlive);
    return { id, fold, lease, first_seq: 1, last_seq: fold.last_seq };
  }

  #records(listed: readonly ListedSession[]): SessionRecord[] {
    return listed.flatMap(({ no, id, fold }) => {
      const isBehind = this.#late.isWaiting(no) || this.#projector.broken.has(id);
      if (fold !== null && !isBehind) return [this.#record(no, id, { fold })];
      const state = this.#states.get(id);
      return state === null ? [] : [this.#record(no, id, state)];
    });
  }

  #publish(unit: UnitOfWork): void {
    for (const { no, id } of unit.touched()) this.#late.schedule(no, id);
    if (unit.events.length === 0) return;
    for (const listener of [...this.#listeners]) {
      try {
        listener(unit.events);
      } catch (error) {
        this.#options.report(
          `A subscriber of the ledger failed: ${error instanceof Error ? error.stack : String(error)}`,
        );
      }
    }
  }
}
