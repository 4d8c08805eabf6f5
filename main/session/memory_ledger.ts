/** The ledger in memory: for tests, and the simplest statement of what the SQLite ledger does. Nothing survives it. */
import {
  type EventDraft,
  isContractEvent,
  isQueuedType,
  type StoredEvent,
  type WakeReason,
} from "../contract/events.ts";
import { foldEvent, type SessionFold } from "../contract/fold.ts";
import { isShown } from "../contract/threads/visible.ts";
import { unfinishedWork } from "../contract/work.ts";
import { memoryBlobStore } from "./blobs.ts";
import type { BlobStore } from "./catalog.ts";
import {
  type EventRange,
  type Holder,
  type Lease,
  type Ledger,
  type PublicEventPage,
  type PublicEventQuery,
  type SearchHit,
  type SessionQuery,
  type SessionRecord,
  StaleLeaseError,
  UnknownSessionError,
} from "./ledger.ts";
import { InvalidAppendError } from "./record/append_error.ts";
import { holdsLease, type IsHolderAlive, type LeaseRow, liveLease, takeLease } from "./record/lease_rules.ts";
import {
  comparePlaces,
  decodeCursor,
  encodeCursor,
  PENDING,
  type Place,
  withProcessedAt,
} from "./record/public_order.ts";
import { appendTime, chainHash, readRow, type StoredRow, sealEvent } from "./record/seal.ts";
import { queryTerms, searchText, snippetOf } from "./record/search_text.ts";
import { timeRange } from "./record/time_range.ts";
import { type ScrubEvent, scrubbed } from "./secrets/mask_event.ts";

export interface MemoryLedgerOptions {
  now?: () => number;
  blobs?: BlobStore;
  /** Tells whether a holder's process lives. Default: every holder does until its lease expires. */
  isHolderAlive?: IsHolderAlive;
  /** Takes known secret values out of every event that is appended. Default: nothing is known. */
  scrub?: ScrubEvent;
}

interface MemoryRow extends StoredRow {
  id: string;
  type: string;
  hash: string;
}

interface MemorySession {
  rows: MemoryRow[];
  ids: Set<string>;
  fold: SessionFold;
  lease: LeaseRow | null;
}

type Listener = (events: readonly StoredEvent[]) => void;

export class MemoryLedger implements Ledger {
  readonly #sessions = new Map<string, MemorySession>();
  readonly #listeners = new Set<Listener>();
  readonly #now: () => number;
  readonly #blobs: BlobStore;
  readonly #isAlive: IsHolderAlive;
  readonly #scrub: ScrubEvent;

  constructor(options: MemoryLedgerOptions = {}) {
    this.#now = options.now ?? Date.now;
    this.#blobs = options.blobs ?? memoryBlobStore();
    this.#isAlive = options.isHolderAlive ?? (() => true);
    this.#scrub = options.scrub ?? ((text) => text);
  }

  async createSession(sessionId: string, drafts: readonly EventDraft[]): Promise<StoredEvent[]> {
    await null;
    if (this.#sessions.has(sessionId))
      throw new InvalidAppendError(`Session ${sessionId} exists already; nothing was written.`);
    if (drafts[0]?.type !== "longhaul.session_created") {
      throw new InvalidAppendError(
        "The first event of a session must be longhaul.session_created; nothing was written.",
      );
    }
    return this.#append(sessionId, null, drafts);
  }

  async getSession(sessionId: string): Promise<SessionRecord | null> {
    const session = this.#sessions.get(sessionId);
    return session === undefined ? null : this.#record(sessionId, session);
  }

  async listSessions(query: SessionQuery): Promise<SessionRecord[]> {
    const { from, to } = timeRange(query);
    const sign = query.order === "asc" ? 1 : -1;
    const position = query.from;
    const records = [...this.#sessions]
      .map(([id, session]) => this.#record(id, session))
      .filter(({ fold }) => query.include_archived === true || fold.archived_at === null)
      .filter(({ fold }) => query.agent_id === undefined || fold.agent.id === query.agent_id)
      .filter(({ fold }) => query.agent_version === undefined || fold.agent.version === query.agent_version)
      .filter(({ fold }) => query.deployment_id === undefined || fold.deployment_id === query.deployment_id)
      .filter(({ fold }) => fold.created_at >= from && fold.created_at <= to)
      .sort((a, b) => sign * compareCreation(a.fold.created_at, a.id, b.fold.created_at, b.id));
    if (position === undefined) return records.slice(0, query.limit);
    const side = position.backward ? -1 : 1;
    const beyond = records.filter(
      ({ id, fold }) => side * sign * compareCreation(fold.created_at, id, position.created_at, position.id) > 0,
    );
    if (!position.backward) return beyond.slice(0, query.limit);
    return query.limit > 0 ? beyond.slice(-query.limit) : [];
  }

  async *getEvents(sessionId: string, range: EventRange = {}): AsyncIterable<StoredEvent> {
    const rows = this.#sessions.get(sessionId)?.rows ?? [];
    const { after_seq = 0, before_seq = Number.POSITIVE_INFINITY, types, thread_id, limit } = range;
    const slice = rows
      .filter((row) => row.seq > after_seq && row.seq < before_seq)
      .filter((row) => types === undefined || types.includes(row.type))
      .filter((row) => thread_id === undefined || row.thread_id === thread_id);
    if (range.order === "desc") slice.reverse();
    for (const row of slice.slice(0, limit)) yield readRow(sessionId, row, this.#blobs, range.hydrate !== false);
  }

  async getEvent(sessionId: string, eventId: string): Promise<StoredEvent | null> {
    const row = this.#sessions.get(sessionId)?.rows.find(({ id }) => id === eventId);
    return row === undefined ? null : readRow(sessionId, row, this.#blobs, true);
  }

  async listPublicEvents(sessionId: string, query: PublicEventQuery): Promise<PublicEventPage> {
    const order = query.order ?? "asc";
    const sign = order === "asc" ? 1 : -1;
    const after = query.after === undefined ? null : decodeCursor(query.after, order);
    const { from, to, bounded } = timeRange(query);
    const primary = this.#sessions.get(sessionId)?.fold.primary_thread_id ?? "";
    const listed = this.#places(sessionId)
      .filter(({ processedAt }) => !bounded || (processedAt !== null && processedAt >= from && processedAt <= to))
      .filter(({ row }) => query.types === undefined || query.types.includes(row.type))
      .filter(({ row }) => isShown(readRow(sessionId, row, this.#blobs, false), query.thread_id ?? primary, primary))
      .filter(({ place }) => after === null || sign * comparePlaces(place, after) > 0)
      .sort((a, b) => sign * comparePlaces(a.place, b.place));
    const page = listed.slice(0, query.limit);
    const last = page.at(-1);
    return {
      events: page.map(({ row, processedAt }) =>
        withProcessedAt(readRow(sessionId, row, this.#blobs, true), processedAt),
      ),
      next: last !== undefined && listed.length > page.length ? encodeCursor(order, last.place) : null,
    };
  }

  async emitEvent(sessionId: string, event: EventDraft, lease?: Pick<Lease, "token">): Promise<StoredEvent> {
    const [stored] = await this.emitEvents(sessionId, [event], lease);
    if (stored === undefined) throw new Error("an append of one event stored none");
    return stored;
  }

  async emitEvents(
    sessionId: string,
    drafts: readonly EventDraft[],
    lease?: Pick<Lease, "token">,
  ): Promise<StoredEvent[]> {
    await null;
    const session = this.#existing(sessionId);
    if (lease !== undefined && !holdsLease(session.lease, lease.token)) throw new StaleLeaseError(sessionId);
    return this.#append(sessionId, session, drafts);
  }

  asAppended<E extends object>(event: E): E {
    return scrubbed(event, this.#scrub);
  }

  async acquireLease(sessionId: string, holder: Holder, ttlMs: number, reason: WakeReason): Promise<Lease | null> {
    await null;
    const session = this.#existing(sessionId);
    const taken = takeLease(sessionId, session.lease, holder, this.#now(), ttlMs, reason, this.#isAlive);
    if (taken === null) return null;
    session.lease = taken.row;
    this.#append(sessionId, session, [taken.event]);
    return taken.lease;
  }

  async renewLease(lease: Lease, ttlMs: number): Promise<boolean> {
    const session = this.#sessions.get(lease.session_id);
    if (session?.lease == null || !holdsLease(session.lease, lease.token)) return false;
    session.lease = { ...session.lease, expires_at: this.#now() + ttlMs };
    return true;
  }

  async releaseLease(
    lease: Lease,
    outcome: "rested" | "rescheduled" | "shutdown",
    drafts: readonly EventDraft[] = [],
  ): Promise<void> {
    await null;
    const session = this.#existing(lease.session_id);
    const held = session.lease;
    if (held === null || !holdsLease(held, lease.token)) throw new StaleLeaseError(lease.session_id);
    const { holder, token } = lease;
    const released: EventDraft = { type: "longhaul.lease_released", holder, token, outcome };
    this.#append(lease.session_id, session, [...drafts, released], { ...held, released: true });
  }

  async unfinishedSessions(): Promise<SessionRecord[]> {
    const now = this.#now();
    return [...this.#sessions]
      .filter(([, { fold, lease }]) => {
        const work = unfinishedWork(fold, now);
        return work === "now" || work === "later" || (lease !== null && !lease.released);
      })
      .map(([id, session]) => this.#record(id, session))
      .sort((a, b) => compareCreation(a.fold.created_at, a.id, b.fold.created_at, b.id));
  }

  async deleteSession(sessionId: string): Promise<void> {
    await null;
    this.#existing(sessionId);
    this.#sessions.delete(sessionId);
  }

  subscribe(listener: Listener): () => void {
    // A wrapper of its own: the same function may subscribe twice, and each unsubscriber ends its own subscription.
    const own: Listener = (events) => listener(events);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  async search(text: string, limit: number): Promise<SearchHit[]> {
    const terms = queryTerms(text);
    if (terms.length === 0) return [];
    const hits: SearchHit[] = [];
    for (const [sessionId, { rows }] of this.#sessions) {
      for (const row of rows) {
        const found = searchText(readRow(sessionId, row, this.#blobs, true).event);
        const lower = found.toLowerCase();
        if (!terms.every((term) => lower.includes(term.toLowerCase()))) continue;
        hits.push({ session_id: sessionId, seq: row.seq, snippet: snippetOf(found, terms) });
      }
    }
    return hits.slice(0, limit);
  }

  async verify(sessionId: string): Promise<{ events: number; broken_at: number | null; reason: string | null }> {
    const rows = this.#sessions.get(sessionId)?.rows;
    if (rows === undefined) throw new UnknownSessionError(sessionId);
    let previous = "";
    for (const row of rows) {
      if (chainHash(previous, sessionId, row) !== row.hash) {
        return {
          events: rows.length,
          broken_at: row.seq,
          reason: "the event does not have the hash it was written with",
        };
      }
      previous = row.hash;
    }
    return { events: rows.length, broken_at: null, reason: null };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  #existing(sessionId: string): MemorySession {
    const session = this.#sessions.get(sessionId);
    if (session === undefined) throw new UnknownSessionError(sessionId);
    return session;
  }

  #record(id: string, { fold, rows, lease }: MemorySession): SessionRecord {
    return { id, fold, lease: liveLease(lease, this.#now(), this.#isAlive), first_seq: 1, last_seq: rows.length };
  }

  /** All or none: everything that can fail happens before the session is touched. */
  #append(
    sessionId: string,
    session: MemorySession | null,
    drafts: readonly EventDraft[],
    lease: LeaseRow | null = session?.lease ?? null,
  ): StoredEvent[] {
    const rows: MemoryRow[] = [];
    const stored: StoredEvent[] = [];
    const ids = new Set<string>();
    let fold = session?.fold ?? null;
    let previous = session?.rows.at(-1)?.hash ?? "";
    const time = appendTime(this.#now(), session?.rows.at(-1)?.created_at ?? "");
    const primary = fold?.primary_thread_id ?? primaryThread(drafts);
    for (const draft of drafts) {
      const { event, thread_id, created_at, text, bodies } = sealEvent(draft, time, primary, this.#blobs, this.#scrub);
      if (ids.has(event.id) || session?.ids.has(event.id)) {
        throw new InvalidAppendError(`Event id ${event.id} is already in session ${sessionId}; nothing was written.`);
      }
      ids.add(event.id);
      const row = { seq: (session?.rows.length ?? 0) + rows.length + 1, thread_id, created_at, text, bodies };
      previous = chainHash(previous, sessionId, row);
      rows.push({ ...row, id: event.id, type: event.type, hash: previous });
      const one: StoredEvent = { seq: row.seq, session_id: sessionId, thread_id, created_at, event };
      fold = foldEvent(fold, one);
      stored.push(one);
    }
    if (fold === null) throw new UnknownSessionError(sessionId);
    const next = session ?? { rows: [], ids: new Set<string>(), fold, lease };
    next.rows.push(...rows);
    for (const id of ids) next.ids.add(id);
    next.fold = fold;
    next.lease = lease;
    this.#sessions.set(sessionId, next);
    this.#tell(stored);
    return stored;
  }

  #tell(events: readonly StoredEvent[]): void {
    if (events.length === 0) return;
    for (const listener of [...this.#listeners]) {
      try {
        listener(events);
      } catch (error) {
        process.emitWarning(`A subscriber of the ledger failed: ${String(error)}`);
      }
    }
  }

  #places(sessionId: string): { row: MemoryRow; place: Place; processedAt: string | null }[] {
    const rows = this.#sessions.get(sessionId)?.rows ?? [];
    const consumed = new Map<string, { place: Place; processedAt: string }>();
    for (const row of rows) {
      const { event } = readRow(sessionId, row, this.#blobs, true);
      if (event.type !== "longhaul.inputs_consumed") continue;
      event.event_ids.forEach((id, index) => {
        if (!consumed.has(id)) consumed.set(id, { place: { at: row.seq, index }, processedAt: row.created_at });
      });
    }
    return rows
      .filter((row) => isContractEvent(readRow(sessionId, row, this.#blobs, false).event))
      .map((row) => {
        if (!isQueuedType(row.type)) return { row, place: { at: row.seq, index: 0 }, processedAt: row.created_at };
        const { place, processedAt } = consumed.get(row.id) ?? {
          place: { at: PENDING, index: row.seq },
          processedAt: null,
        };
        return { row, place, processedAt };
      });
  }
}

function primaryThread(drafts: readonly EventDraft[]): string {
  const first = drafts[0];
  return first?.type === "longhaul.session_created" ? first.session.primary_thread_id : "";
}

function compareCreation(aTime: string, aId: string, bTime: string, bId: string): number {
  if (aTime !== bTime) return aTime < bTime ? -1 : 1;
  if (aId === bId) return 0;
  return aId < bId ? -1 : 1;
}
