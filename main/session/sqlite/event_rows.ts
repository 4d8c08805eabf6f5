/** The rows of `events`: appended in a transaction, read in slices by position. */
import Database from "better-sqlite3";
import type { StoredEvent } from "../../contract/events.ts";
import type { BlobStore } from "../catalog.ts";
import type { EventRange } from "../ledger.ts";
import { InvalidAppendError } from "../record/append_error.ts";
import { readRow, type SealedEvent, type StoredRow } from "../record/seal.ts";
import { SEQ_BITS } from "./file/schema.ts";

const SESSION_SPAN = 2 ** SEQ_BITS;

/** Position before a session's first event. */
export function basePos(sessionNo: number): number {
  return sessionNo * SESSION_SPAN;
}

/** Position after the last one that a session can have. */
export function endPos(sessionNo: number): number {
  return (sessionNo + 1) * SESSION_SPAN;
}

export function seqOf(pos: number): number {
  return pos % SESSION_SPAN;
}

export function sessionNoOf(pos: number): number {
  return Math.floor(pos / SESSION_SPAN);
}

/** Newest event of a session. */
interface Head {
  seq: number;
  hash: string;
  created_at: string;
}

/** Columns as SQLite returns them: arrays are much cheaper than objects for long reads. */
export type EventColumns = [pos: number, thread_id: string, created_at: string, event: string, bodies: string | null];
const COLUMNS = "pos, thread_id, created_at, event, bodies";

/** Rows per read: enough that the cost of a statement vanishes, few enough to keep memory and pauses small. */
const BATCH = 256;

export class EventRows {
  readonly #db: Database.Database;
  readonly #blobs: BlobStore;
  readonly #insert: Database.Statement<unknown[]>;
  readonly #head: Database.Statement<unknown[], [number, string, string]>;
  readonly #byId: Database.Statement<unknown[], EventColumns>;
  readonly #slices = new Map<string, Database.Statement<unknown[], EventColumns>>();

  constructor(db: Database.Database, blobs: BlobStore) {
    this.#db = db;
    this.#blobs = blobs;
    this.#insert = db.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    this.#head = db
      .prepare<unknown[], [number, string, string]>(
        "SELECT pos, hash, created_at FROM events WHERE pos > ? AND pos < ? ORDER BY pos DESC LIMIT 1",
      )
      .raw();
    this.#byId = db
      .prepare<unknown[], EventColumns>(`SELECT ${COLUMNS} FROM events WHERE pos >> ${SEQ_BITS} = ? AND id = ?`)
      .raw();
  }

  /** Inside a write transaction this is what the next `seq` follows from: nobody else can append meanwhile (L2). */
  head(sessionNo: number): Head | null {
    const row = this.#head.get(basePos(sessionNo), endPos(sessionNo));
    return row === undefined ? null : { seq: seqOf(row[0]), hash: row[1], created_at: row[2] };
  }

  /** @throws {InvalidAppendError} when the session has an event with this id */
  insert(sessionNo: number, seq: number, sealed: SealedEvent, hash: string): void {
    const { event, thread_id, created_at, text, bodies } = sealed;
    try {
      this.#insert.run(basePos(sessionNo) + seq, event.id, event.type, thread_id, created_at, text, bodies, hash);
    } catch (error) {
      if (!(error instanceof Database.SqliteError) || error.code !== "SQLITE_CONSTRAINT_UNIQUE") throw error;
      throw new InvalidAppendError(
        `Event id ${event.id} is in this session already; nothing of the append was written. Leave \`id\` out to be given one.`,
      );
    }
  }

  byId(sessionNo: number, sessionId: string, eventId: string): StoredEvent | null {
    const row = this.#byId.get(sessionNo, eventId);
    return row === undefined ? null : this.stored(sessionId, row, true);
  }

  stored(sessionId: string, [pos, thread_id, created_at, text, bodies]: EventColumns, hydrate: boolean): StoredEvent {
    const row: StoredRow = { seq: seqOf(pos), thread_id, created_at, text, bodies };
    return readRow(sessionId, row, this.#blobs, hydrate);
  }

  /**
   * Slices of at most {@link BATCH} events. Each is read whole, so no statement stays open between two of them: an
   * open one would keep the log from being checkpointed. Events appended after the first slice are not included.
   */
  *slices(sessionNo: number, sessionId: string, range: EventRange): Generator<StoredEvent[]> {
    const head = this.head(sessionNo)?.seq ?? 0;
    const descending = range.order === "desc";
    let after = basePos(sessionNo) + clamp(range.after_seq ?? 0, head);
    let before = basePos(sessionNo) + clamp(range.before_seq ?? head + 1, head + 1);
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    const statement = this.#slice(range.types !== undefined, range.thread_id !== undefined, descending);
    const filters = [
      ...(range.types === undefined ? [] : [JSON.stringify(range.types)]),
      ...(range.thread_id === undefined ? [] : [range.thread_id]),
    ];
    while (left > 0 && after < before) {
      const wanted = Math.min(BATCH, left);
      const rows = statement.all(after, before, ...filters, wanted);
      const last = rows.at(-1);
      if (last === undefined) return;
      yield rows.map((row) => this.stored(sessionId, row, range.hydrate !== false));
      if (rows.length < wanted) return;
      left -= rows.length;
      if (descending) before = last[0];
      else after = last[0];
    }
  }

  #slice(byType: boolean, byThread: boolean, descending: boolean): Database.Statement<unknown[], EventColumns> {
    const key = `${byType} ${byThread} ${descending}`;
    const known = this.#slices.get(key);
    if (known !== undefined) return known;
    const sql =
      `SELECT ${COLUMNS} FROM events WHERE pos > ? AND pos < ?` +
      (byType ? " AND type IN (SELECT value FROM json_each(?))" : "") +
      (byThread ? " AND thread_id = ?" : "") +
      ` ORDER BY pos${descending ? " DESC" : ""} LIMIT ?`;
    const statement = this.#db.prepare<unknown[], EventColumns>(sql).raw();
    this.#slices.set(key, statement);
    return statement;
  }
}

function clamp(seq: number, max: number): number {
  return Math.max(0, Math.min(Math.trunc(seq), max));
}
