/** Events in the contract's order (L6): their own places, merged with those of queued client events. */
import type Database from "better-sqlite3";
import { isQueuedType, type LedgerEvent, type StoredEvent } from "../../../contract/events.ts";
import type { PublicEventPage, PublicEventQuery } from "../../ledger.ts";
import {
  decodeCursor,
  encodeCursor,
  type Order,
  PENDING,
  type Place,
  withProcessedAt,
} from "../../record/public_order.ts";
import { timeRange } from "../../record/time_range.ts";
import { basePos, type EventColumns, type EventRows, endPos, seqOf } from "../event_rows.ts";
import { SEQ_BITS } from "../file/schema.ts";
import type { SessionState } from "../session_states.ts";

type Columns = [place: number, place_index: number, processed_at: string | null, ...EventColumns];

interface Bounds {
  low: number;
  high: number;
}

/** True for events that decide where the contract lists a queued event. */
export function concernsPlaces(event: LedgerEvent): boolean {
  return isQueuedType(event.type) || event.type === CONSUMED;
}

const CONSUMED = "longhaul.inputs_consumed";
const QUEUED_TYPES = ["user.message", "user.interrupt", "user.tool_confirmation", "system.message"].filter(
  isQueuedType,
);
const QUEUED = QUEUED_TYPES.map((type) => `'${type}'`).join(", ");

/** The filters of {@link isShown} in SQL: none, a spawned thread's own events, the session's. */
const THREADS = {
  none: "",
  own: " AND thread_id = @thread",
  session:
    " AND (thread_id = @thread OR type = 'session.error' OR json_extract(event, '$.session_thread_id') IS NOT NULL)",
} as const;

export class PublicEvents {
  /** Types of the events that {@link add} looks at. */
  readonly types: readonly string[] = [...QUEUED_TYPES, CONSUMED];
  readonly #db: Database.Database;
  readonly #rows: EventRows;
  readonly #queue: Database.Statement<unknown[]>;
  readonly #consume: Database.Statement<unknown[]>;
  readonly #remove: Database.Statement<unknown[]>;
  readonly #timeAt: Database.Statement<unknown[], string>;
  readonly #pages = new Map<string, Database.Statement<unknown[], Columns>>();

  constructor(db: Database.Database, rows: EventRows) {
    this.#db = db;
    this.#rows = rows;
    this.#queue = db.prepare("INSERT OR IGNORE INTO inputs VALUES (?, ?, ?, NULL)");
    this.#consume = db.prepare(
      `UPDATE inputs SET place = ?, place_index = ?, processed_at = ?
       WHERE pos = (SELECT pos FROM events WHERE pos >> ${SEQ_BITS} = ? AND id = ?) AND processed_at IS NULL`,
    );
    this.#remove = db.prepare("DELETE FROM inputs WHERE pos > ? AND pos < ?");
    this.#timeAt = db.prepare<unknown[], string>("SELECT created_at FROM events WHERE pos = ?").pluck();
  }

  /**
   * Keeps the places of queued events: the first `longhaul.inputs_consumed` that names one decides. Taking in the same
   * events twice changes nothing.
   */
  add(no: number, events: readonly StoredEvent[]): void {
    for (const { seq, created_at, event } of events) {
      const pos = basePos(no) + seq;
      if (isQueuedType(event.type)) this.#queue.run(pos, pendingPlace(no), seq);
      if (event.type !== CONSUMED || !Array.isArray(event.event_ids)) continue;
      for (const [index, id] of event.event_ids.entries()) this.#consume.run(pos, index, created_at, no, id);
    }
  }

  remove(no: number): void {
    this.#remove.run(basePos(no), endPos(no));
  }

  page({ no, id, seq: lastSeq, fold }: SessionState, query: PublicEventQuery): PublicEventPage {
    const order = query.order ?? "asc";
    const after = query.after === undefined ? null : decodeCursor(query.after, order);
    const { low, high } = this.#bounds(no, lastSeq, query);
    // The position is also the range's near end: without that, a page far in would walk over all before it.
    const begin = start(order, low, high);
    const [place, index] = after === null ? begin : further(order, begin, [placeOf(no, after), after.index]);
    const thread = query.thread_id ?? fold.primary_thread_id;
    const isSession = thread === fold.primary_thread_id;
    // Where there is one thread, all events are its own.
    const filter = !isSession ? "own" : fold.threads.length > 0 ? "session" : "none";
    const rows = this.#page(order, query.types !== undefined, filter).all({
      low,
      high,
      place,
      index,
      thread,
      types: JSON.stringify(query.types ?? []),
      limit: query.limit + 1,
    });
    const page = rows.slice(0, query.limit);
    const last = page.at(-1);
    return {
      events: page.map(([, , processedAt, ...event]) =>
        withProcessedAt(this.#rows.stored(id, event, true), processedAt),
      ),
      next: last !== undefined && rows.length > page.length ? encodeCursor(order, cursorPlace(no, last)) : null,
    };
  }

  /** First and last place inside the query's times. Unprocessed events have no time: a bounded query leaves them out. */
  #bounds(no: number, lastSeq: number, query: PublicEventQuery): Bounds {
    const { from, to, bounded } = timeRange(query);
    if (!bounded) return { low: basePos(no) + 1, high: pendingPlace(no) };
    const low = this.#firstSeq(no, lastSeq, (time) => time >= from);
    const high = this.#firstSeq(no, lastSeq, (time) => time > to) - 1;
    return { low: basePos(no) + low, high: basePos(no) + high };
  }

  /** Binary search: `created_at` never decreases within a session. Returns lastSeq + 1 when no event is far enough. */
  #firstSeq(no: number, lastSeq: number, reached: (time: string) => boolean): number {
    let low = 1;
    let high = lastSeq + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (reached(this.#timeAt.get(basePos(no) + middle) ?? "~")) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Both halves come out of an index in order and are merged: no page sorts anything. */
  #page(order: Order, byType: boolean, threads: keyof typeof THREADS): Database.Statement<unknown[], Columns> {
    const key = `${order} ${byType} ${threads}`;
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const [past, end, direction] = order === "asc" ? [">", "<= @high", "ASC"] : ["<", ">= @low", "DESC"];
    const filters = (byType ? " AND type IN (SELECT value FROM json_each(@types))" : "") + THREADS[threads];
    const event = "e.pos, thread_id, created_at, event, bodies";
    const sql = `
      SELECT e.pos AS place, 0 AS place_index, created_at AS processed_at, ${event} FROM events e
      WHERE e.pos ${past} @place AND e.pos ${end}
        AND type NOT GLOB 'longhaul.*' AND type NOT IN (${QUEUED})${filters}
      UNION ALL
      SELECT place, place_index, processed_at, ${event} FROM inputs i JOIN events e ON e.pos = i.pos
      WHERE place ${past}= @place AND place ${end} AND (place <> @place OR place_index ${past} @index)${filters}
      ORDER BY place ${direction}, place_index ${direction} LIMIT @limit`;
    const statement = this.#db.prepare<unknown[], Columns>(sql).raw();
    this.#pages.set(key, statement);
    return statement;
  }
}

/** Unprocessed events stand after every position of the session, in order of arrival. */
function pendingPlace(no: number): number {
  return endPos(no) - 1;
}

function placeOf(no: number, { at }: Place): number {
  return at === PENDING ? pendingPlace(no) : basePos(no) + Math.min(at, seqOf(pendingPlace(no)));
}

function cursorPlace(no: number, [place, index]: Columns): Place {
  return { at: place === pendingPlace(no) ? PENDING : seqOf(place), index };
}

type Position = [place: number, index: number];

/** Just before everything in the range. */
function start(order: Order, low: number, high: number): Position {
  return order === "asc" ? [low - 1, Number.MAX_SAFE_INTEGER] : [high + 1, -1];
}

function further(order: Order, a: Position, b: Position): Position {
  return a[0] < b[0] === (order === "asc") ? b : a;
}
