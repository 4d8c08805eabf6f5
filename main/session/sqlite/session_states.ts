/** What an append needs to know of its session, cached: the newest event and the fold. */
import type Database from "better-sqlite3";
import type { StoredEvent } from "../../contract/events.ts";
import { foldEvent, type SessionFold } from "../../contract/fold.ts";
import type { EventRows } from "./event_rows.ts";
import type { SessionRows } from "./projections/session_rows.ts";

/** A session at one moment. Never changed in place: a transaction that fails must leave no trace in the cache. */
export interface SessionState {
  no: number;
  id: string;
  seq: number;
  hash: string;
  created_at: string;
  fold: SessionFold;
  /** The fold that the session's row holds; null when there is no row. */
  written: SessionFold | null;
}

const MAX_CACHED = 256;

export class SessionStates {
  readonly #rows: EventRows;
  readonly #sessions: SessionRows;
  readonly #report: (problem: string) => void;
  readonly #key: Database.Statement<unknown[], number>;
  readonly #version: Database.Statement<unknown[], number>;
  /** Least recently used first. */
  readonly #cache = new Map<string, SessionState>();
  /** Id of the cache's last entry. */
  #newest = "";
  /** Sessions whose cached state is the database's at {@link #checkedAt}. */
  readonly #checked = new Set<string>();
  #checkedAt: number | undefined;

  constructor(db: Database.Database, rows: EventRows, sessions: SessionRows, report: (problem: string) => void) {
    this.#rows = rows;
    this.#sessions = sessions;
    this.#report = report;
    this.#key = db.prepare<unknown[], number>("SELECT no FROM session_keys WHERE id = ?").pluck();
    this.#version = db.prepare<unknown[], number>("PRAGMA data_version").pluck();
  }

  no(sessionId: string): number | null {
    return this.#cache.get(sessionId)?.no ?? this.#key.get(sessionId) ?? null;
  }

  /** The session as the database has it now; null when it does not exist. */
  get(sessionId: string): SessionState | null {
    const cached = this.#cache.get(sessionId);
    if (cached !== undefined && this.#isCurrent(sessionId)) {
      this.keep(cached);
      return cached;
    }
    const no = this.no(sessionId);
    if (no === null) return null;
    const head = this.#rows.head(no);
    if (head === null) return null;
    if (cached?.hash === head.hash) {
      this.keep(cached);
      return cached;
    }
    const written = this.#sessions.get(no);
    const fold = written?.last_seq === head.seq ? written : this.foldEvents(no, sessionId, written, head.seq);
    if (fold === null) return null;
    const state = { no, id: sessionId, ...head, fold, written };
    this.keep(state);
    return state;
  }

  /**
   * The version changes when another connection has committed, never by this one's own commits. Asked within an append's
   * transaction, it says that the cached state is what the next `seq` follows from (L2), without reading the head.
   */
  #isCurrent(sessionId: string): boolean {
    const version = this.#version.get();
    if (version !== this.#checkedAt) this.#checked.clear();
    this.#checkedAt = version;
    return this.#checked.has(sessionId);
  }

  /** Folds the events after `from`; all of them when `from` is null or claims events that are not there. */
  foldEvents(no: number, sessionId: string, from: SessionFold | null, lastSeq: number): SessionFold | null {
    let fold = from !== null && from.last_seq <= lastSeq ? from : null;
    for (const slice of this.#rows.slices(no, sessionId, { after_seq: fold?.last_seq ?? 0 })) {
      for (const stored of slice) fold = this.fold(fold, stored);
    }
    return fold;
  }

  /** An event that the fold cannot digest moves the position only: neither an append nor a start may fail of it. */
  fold(fold: SessionFold | null, stored: StoredEvent): SessionFold | null {
    try {
      return foldEvent(fold, stored);
    } catch (error) {
      this.#report(
        `Event ${stored.seq} of ${stored.session_id} (${stored.event.type}) was not folded: ${String(error)}`,
      );
      return fold === null ? null : { ...fold, last_seq: stored.seq, updated_at: stored.created_at };
    }
  }

  keep(state: SessionState): void {
    // Deleted and set again: a Map keeps the order of insertion, so its first entry is the least recently used.
    if (state.id !== this.#newest) this.#cache.delete(state.id);
    this.#newest = state.id;
    this.#checked.add(state.id);
    this.#cache.set(state.id, state);
    if (this.#cache.size <= MAX_CACHED) return;
    const [oldest] = this.#cache.keys();
    if (oldest !== undefined) this.#cache.delete(oldest);
  }

  forget(sessionId: string): void {
    this.#cache.delete(sessionId);
  }

  clear(): void {
    this.#cache.clear();
  }
}
