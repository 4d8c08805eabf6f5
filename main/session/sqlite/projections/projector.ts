/** Keeps the projections in step with the events, and makes them anew when they are not (L10). */
import type Database from "better-sqlite3";
import type { SessionSnapshot, StoredEvent } from "../../../contract/events.ts";
import { foldAll, type SessionFold } from "../../../contract/fold.ts";
import { basePos, type EventRows, endPos } from "../event_rows.ts";
import { SEQ_BITS } from "../file/schema.ts";
import type { SessionState, SessionStates } from "../session_states.ts";
import type { LateIndex } from "./late_index.ts";
import { concernsPlaces, type PublicEvents } from "./public_events.ts";
import { type SessionRows, sameColumns } from "./session_rows.ts";

/** Grows when the projections' content changes: those of an older version are then made anew at the next start. */
const VERSION = 1;

/** The fields of a fold stand beside the version, so that a new field is never missing from an old row. */
const MADE_BY = `${VERSION} ${Object.keys(foldAll([firstEvent()]) ?? {})
  .sort()
  .join(" ")}`;

function firstEvent(): StoredEvent {
  const created_at = new Date(0).toISOString();
  const session = {} as SessionSnapshot;
  const event = { type: "longhaul.session_created", id: "", processed_at: created_at, session } as const;
  return { seq: 1, session_id: "", thread_id: "", created_at, event };
}

export interface ProjectionParts {
  rows: EventRows;
  states: SessionStates;
  sessions: SessionRows;
  places: PublicEvents;
  report: (problem: string) => void;
}

/** A row's fold is at most this far behind its events: what a start after a crash has to fold again. */
const MAX_BEHIND = 500;

interface StaleSession {
  no: number;
  id: string;
  /** Position up to which the projections are complete; null when they must be made anew. */
  through: number | null;
}

export class Projector {
  readonly #db: Database.Database;
  readonly #parts: ProjectionParts;
  readonly #mark: Database.Statement<unknown[]>;
  readonly #keep: Database.Statement<unknown[]>;
  readonly #undo: Database.Statement<unknown[]>;
  /** Sessions whose projections failed: left alone until the next start, so that a broken table costs one try. */
  readonly #broken = new Set<string>();

  constructor(db: Database.Database, parts: ProjectionParts) {
    this.#db = db;
    this.#parts = parts;
    this.#mark = db.prepare("SAVEPOINT projection");
    this.#keep = db.prepare("RELEASE projection");
    this.#undo = db.prepare("ROLLBACK TO projection");
  }

  /** Ids of sessions whose rows are behind their events. */
  get broken(): ReadonlySet<string> {
    return this.#broken;
  }

  /**
   * Takes new events into what lists and filters look at, inside the append's transaction but never the reason that it
   * fails. Most events change nothing there; the row's fold then follows later ({@link LateIndex}).
   * @returns the fold that the session's row holds now
   */
  append(state: SessionState, events: readonly StoredEvent[]): SessionFold | null {
    const { no, id, fold, written } = state;
    const isNear = written !== null && fold.last_seq - written.last_seq < MAX_BEHIND;
    const rowIsRight = isNear && sameColumns(fold, written);
    if (this.#broken.has(id) || (rowIsRight && !events.some(({ event }) => concernsPlaces(event)))) return written;
    this.#mark.run();
    try {
      this.#parts.places.add(no, events);
      if (!rowIsRight) this.#parts.sessions.put(no, fold, written);
      this.#keep.run();
      return rowIsRight ? written : fold;
    } catch (error) {
      // When a full disk undid the whole transaction, the append itself has failed.
      if (!this.#db.inTransaction) throw error;
      this.#undo.run();
      this.#keep.run();
      this.#fail(id, error);
      return written;
    }
  }

  /** Brings a session's row to its newest fold. */
  refreshRow(sessionId: string): void {
    const { states, sessions } = this.#parts;
    const state = this.#broken.has(sessionId) ? null : states.get(sessionId);
    if (state === null || state.written?.last_seq === state.seq) return;
    this.#db.transaction(() => sessions.put(state.no, state.fold, state.written)).immediate();
    states.keep({ ...state, written: state.fold });
  }

  remove(no: number, sessionId: string): void {
    this.#parts.sessions.remove(no);
    this.#parts.places.remove(no);
    this.#broken.delete(sessionId);
  }

  /** Brings every session's projections up to date; those of an older version of this code are made anew. */
  repair(late: LateIndex): void {
    const madeBy = this.#db.prepare("SELECT made_by FROM projections").pluck().get();
    if (madeBy !== MADE_BY) return this.rebuild(late);
    for (const stale of this.#stale()) this.#repairOne(stale);
    late.catchUp();
  }

  /** Makes all projections anew from the events. */
  rebuild(late: LateIndex): void {
    this.#broken.clear();
    const sessions = this.#db.prepare<unknown[], { no: number; id: string }>("SELECT no, id FROM session_keys").all();
    for (const session of sessions) this.#repairOne({ ...session, through: null });
    late.reset();
    this.#db.prepare("UPDATE projections SET made_by = ?").run(MADE_BY);
  }

  #repairOne(stale: StaleSession): void {
    try {
      this.#db.transaction(() => this.#takeIn(stale)).immediate();
    } catch (error) {
      this.#fail(stale.id, error);
    }
  }

  #takeIn({ no, id, through }: StaleSession): void {
    const { states, sessions, places, rows } = this.#parts;
    if (through === null) this.remove(no, id);
    states.forget(id);
    const state = states.get(id);
    if (state === null) return;
    for (const slice of rows.slices(no, id, { after_seq: through ?? 0, types: places.types, hydrate: false })) {
      places.add(no, slice);
    }
    sessions.put(no, state.fold, null);
    states.forget(id);
  }

  #fail(sessionId: string, error: unknown): void {
    this.#broken.add(sessionId);
    this.#parts.report(
      `The projections of ${sessionId} could not be updated: ${String(error)}. Its events are safe; the session list ` +
        "may be behind for it until the next start.",
    );
  }

  /** Sessions whose row is missing, damaged, or not at their last event. */
  #stale(): StaleSession[] {
    const sql = `
      SELECT k.no, k.id,
        iif(s.last_seq < head AND json_valid(s.fold) AND json_valid(n.snapshot), s.last_seq, NULL) AS through
      FROM (
        SELECT no, id,
          (SELECT max(pos) FROM events WHERE pos BETWEEN (no << ${SEQ_BITS}) AND ((no + 1) << ${SEQ_BITS}) - 1)
            - (no << ${SEQ_BITS}) AS head
        FROM session_keys) k
      LEFT JOIN sessions s ON s.no = k.no
      LEFT JOIN session_snapshots n ON n.session_no = k.no
      WHERE s.last_seq IS NOT head OR NOT json_valid(s.fold) OR NOT coalesce(json_valid(n.snapshot), 0)`;
    return this.#db.prepare<unknown[], StaleSession>(sql).all();
  }
}

/** Removes everything that a session has: the explicit act of a person (L1). */
export function removeSession(db: Database.Database, state: SessionState, projector: Projector, late: LateIndex): void {
  const { no, id } = state;
  db.prepare("INSERT INTO deleting VALUES (?)").run(no);
  db.prepare("DELETE FROM events WHERE pos > ? AND pos < ?").run(basePos(no), endPos(no));
  db.prepare("DELETE FROM deleting WHERE session_no = ?").run(no);
  db.prepare("DELETE FROM leases WHERE session_no = ?").run(no);
  db.prepare("DELETE FROM session_keys WHERE no = ?").run(no);
  projector.remove(no, id);
  late.remove(no);
}
