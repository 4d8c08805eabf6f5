/** Keeps the projections in step with the events, and rebuilds them when they are not (L10). */
import type Database from "better-sqlite3";
import type { SessionSnapshot, StoredEvent } from "../../../contract/events.ts";
import { foldAll } from "../../../contract/fold.ts";
import { basePos, type EventRows, endPos } from "../event_rows.ts";
import { SEQ_BITS } from "../file/schema.ts";
import type { SessionState, SessionStates } from "../session_states.ts";
import type { MinuteTable } from "./minutes.ts";
import type { PublicEvents } from "./public_events.ts";
import type { SearchIndex } from "./search_index.ts";
import type { SessionRows } from "./session_rows.ts";

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
  minutes: MinuteTable;
  search: SearchIndex;
  report: (problem: string) => void;
}

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
  /** Sessions whose projections failed: left alone until they are rebuilt, so that a broken table costs one try. */
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

  forget(sessionId: string): void {
    this.#broken.delete(sessionId);
  }

  /**
   * Takes new events into the projections, inside the append's transaction but never the reason that it fails.
   * @returns the state with what the projections hold now
   */
  append(state: SessionState, events: readonly StoredEvent[]): SessionState {
    if (this.#broken.has(state.id)) return state;
    this.#mark.run();
    try {
      const through = state.written?.last_seq ?? 0;
      if (through + events.length === state.seq) this.#apply(state, events);
      else this.#takeIn(state, state.written === null ? null : through);
      this.#keep.run();
      return { ...state, written: state.fold };
    } catch (error) {
      // When a full disk undid the whole transaction, the append itself has failed.
      if (!this.#db.inTransaction) throw error;
      this.#undo.run();
      this.#keep.run();
      this.#broken.add(state.id);
      this.#parts.report(
        `The projections of ${state.id} could not be updated: ${String(error)}. Its events are safe; lists and search ` +
          "may be behind for it until the next start.",
      );
      return state;
    }
  }

  remove(no: number): void {
    this.#parts.sessions.remove(no);
    this.#parts.places.remove(no);
    this.#parts.minutes.remove(no);
  }

  /** Brings every session's projections up to date; those of an older version of this code are made anew. */
  repair(): void {
    const madeBy = this.#db.prepare("SELECT made_by FROM projections").pluck().get();
    if (madeBy !== MADE_BY) return this.rebuild();
    for (const stale of this.#stale()) this.#repairOne(stale);
  }

  /** Makes all projections anew from the events. */
  rebuild(): void {
    this.#parts.states.clear();
    const sessions = this.#db.prepare<unknown[], { no: number; id: string }>("SELECT no, id FROM session_keys").all();
    this.#broken.clear();
    for (const session of sessions) this.#repairOne({ ...session, through: null });
    this.#parts.search.reset();
    this.#db.prepare("UPDATE projections SET made_by = ?").run(MADE_BY);
  }

  #repairOne(stale: StaleSession): void {
    try {
      this.#db.transaction(() => this.#takeInOne(stale)).immediate();
    } catch (error) {
      this.#broken.add(stale.id);
      this.#parts.report(`The projections of ${stale.id} could not be made: ${String(error)}. Its events are safe.`);
    }
  }

  #takeInOne({ no, id, through }: StaleSession): void {
    if (through === null) this.#parts.sessions.remove(no);
    this.#parts.states.forget(id);
    const state = this.#parts.states.get(id);
    if (state === null) return;
    this.#takeIn(state, through);
    this.#parts.states.forget(id);
  }

  #takeIn(state: SessionState, through: number | null): void {
    const { sessions, places, minutes, rows } = this.#parts;
    if (through === null) this.remove(state.no);
    const range = { after_seq: through ?? 0, before_seq: state.seq + 1, hydrate: false };
    for (const slice of rows.slices(state.no, state.id, range)) {
      places.add(state.no, slice);
      minutes.add(state.no, slice);
    }
    sessions.put(state.no, state.fold, null);
  }

  #apply(state: SessionState, events: readonly StoredEvent[]): void {
    const { sessions, places, minutes } = this.#parts;
    places.add(state.no, events);
    minutes.add(state.no, events);
    sessions.put(state.no, state.fold, state.written);
  }

  /** Sessions whose row is missing, damaged, or not at their last event. */
  #stale(): StaleSession[] {
    const sql = `
      SELECT k.no, k.id, iif(s.last_seq < head AND json_valid(s.fold) AND n.session_no IS NOT NULL, s.last_seq, NULL) AS through
      FROM (SELECT no, id, (SELECT max(pos) FROM events WHERE pos BETWEEN (no << ${SEQ_BITS}) AND ((no + 1) << ${SEQ_BITS}) - 1)
        - (no << ${SEQ_BITS}) AS head FROM session_keys) k
      LEFT JOIN sessions s ON s.no = k.no LEFT JOIN session_snapshots n ON n.session_no = k.no
      WHERE s.last_seq IS NOT head OR NOT json_valid(s.fold) OR NOT coalesce(json_valid(n.snapshot), 0)`;
    return this.#db.prepare<unknown[], StaleSession>(sql).all();
  }
}

/** Removes everything that a session has: the explicit act of a person (L1). */
export function removeSession(db: Database.Database, no: number, projector: Projector, search: SearchIndex): void {
  db.prepare("INSERT INTO deleting VALUES (?)").run(no);
  db.prepare("DELETE FROM events WHERE pos > ? AND pos < ?").run(basePos(no), endPos(no));
  db.prepare("DELETE FROM deleting WHERE session_no = ?").run(no);
  db.prepare("DELETE FROM leases WHERE session_no = ?").run(no);
  db.prepare("DELETE FROM session_keys WHERE no = ?").run(no);
  projector.remove(no);
  search.remove(no);
}
