/**
 * Projections that follow the events a moment later, in transactions of their own: search text, minutes, and the fold in
 * the session's row. Cutting one kilobyte into words costs more than the rest of its append. Nothing reads them stale:
 * a search first takes in what is missing, and lists take the newest fold from memory.
 */
import { setImmediate, setTimeout } from "node:timers";
import Database from "better-sqlite3";
import type { StoredEvent } from "../../../contract/events.ts";
import type { SearchHit } from "../../ledger.ts";
import { queryTerms, searchText, snippetOf, spaced } from "../../record/search_text.ts";
import { basePos, type EventRows, endPos, seqOf, sessionNoOf } from "../event_rows.ts";
import { CREATE_SEARCH_INDEX } from "../file/schema.ts";
import type { MinuteTable } from "./minutes.ts";

/** Work begins when nothing was appended for this long. */
const QUIET_MS = 250;
/** It begins anyway when it was put off for this long. */
const PATIENCE_MS = 10_000;
/** Pause between two transactions while appends go on: late work takes a few hundredths of the time, not the half. */
const BUSY_PAUSE_MS = 250;
/** Events per transaction: a few milliseconds during which nothing else runs. */
const SLICE = 64;

export class LateIndex {
  readonly #db: Database.Database;
  readonly #rows: EventRows;
  readonly #minutes: MinuteTable;
  readonly #refreshRow: (sessionId: string) => void;
  readonly #report: (problem: string) => void;
  readonly #behind: Database.Statement<unknown[], { no: number; id: string }>;
  readonly #progress: Database.Statement<unknown[], number>;
  readonly #setProgress: Database.Statement<unknown[]>;
  readonly #removeProgress: Database.Statement<unknown[]>;
  readonly #sessionId: Database.Statement<unknown[], string>;
  /** Sessions with events to take in. */
  readonly #waiting = new Map<number, string>();
  #timer: NodeJS.Timeout | null = null;
  #healed = false;
  #firstAt = 0;
  #lastAt = 0;
  #closed = false;

  /** @param refreshRow brings a session's row to its newest fold */
  constructor(
    db: Database.Database,
    rows: EventRows,
    minutes: MinuteTable,
    refreshRow: (sessionId: string) => void,
    report: (problem: string) => void,
  ) {
    this.#db = db;
    this.#rows = rows;
    this.#minutes = minutes;
    this.#refreshRow = refreshRow;
    this.#report = report;
    this.#behind = db.prepare(
      `SELECT s.no, s.id FROM sessions s LEFT JOIN index_progress p ON p.session_no = s.no
       WHERE s.last_seq > coalesce(p.seq, 0)`,
    );
    this.#progress = db.prepare<unknown[], number>("SELECT seq FROM index_progress WHERE session_no = ?").pluck();
    this.#setProgress = db.prepare("INSERT OR REPLACE INTO index_progress VALUES (?, ?)");
    this.#removeProgress = db.prepare("DELETE FROM index_progress WHERE session_no = ?");
    this.#sessionId = db.prepare<unknown[], string>("SELECT id FROM session_keys WHERE no = ?").pluck();
  }

  /** Finds what an earlier process left behind. */
  catchUp(): void {
    for (const { no, id } of this.#behind.all()) this.schedule(no, id);
  }

  /** Says that events of a session were appended. */
  schedule(no: number, id: string): void {
    this.#waiting.set(no, id);
    this.#lastAt = performance.now();
    if (this.#timer === null && !this.#closed) {
      this.#firstAt = this.#lastAt;
      this.#arm(QUIET_MS);
    }
  }

  /** True while the session's row may be behind its events. */
  isWaiting(no: number): boolean {
    return this.#waiting.has(no);
  }

  /** Takes in everything at once, for a reader that cannot wait. */
  finishNow(): void {
    while (this.#attempt());
  }

  /** Stops; takes in what is left unless that is so much that the next start had better do it. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const id of this.#waiting.values()) this.#refresh(id);
    for (let slices = 0; this.#waiting.size > 0 && slices < 50; slices++) this.#attempt();
  }

  remove(no: number): void {
    this.#waiting.delete(no);
    this.#removeProgress.run(no);
    this.#minutes.remove(no);
    try {
      // Prepared here: the table may be broken, and then nothing but search may fail. CAST: FTS5 ignores bounds that
      // are not integers, and JavaScript's large numbers arrive as floating point.
      const sql = "DELETE FROM search_index WHERE rowid > CAST(? AS INTEGER) AND rowid < CAST(? AS INTEGER)";
      this.#db.prepare(sql).run(basePos(no), endPos(no));
    } catch (error) {
      if (!this.#db.inTransaction) throw error;
      this.#report(`A deleted session could not be taken out of the search index: ${String(error)}`);
    }
  }

  /** Makes everything anew; it fills again by itself. */
  reset(): void {
    this.#db
      .transaction(() => {
        this.#db.exec(`DROP TABLE IF EXISTS search_index; ${CREATE_SEARCH_INDEX}`);
        this.#db.exec("DELETE FROM minutes; DELETE FROM index_progress");
      })
      .immediate();
    this.catchUp();
  }

  /** Best matches first. Every word must occur; the last one may be the beginning of a word. */
  async search(text: string, limit: number): Promise<SearchHit[]> {
    const terms = queryTerms(text);
    if (terms.length === 0 || limit <= 0) return [];
    while (this.#attempt()) await new Promise((resolve) => setImmediate(resolve));
    const quoted = terms.map((term) => `"${term.replaceAll('"', '""')}"`);
    try {
      return this.#match(`${quoted.join(" ")}*`, limit).flatMap((pos) => this.#hit(pos, terms));
    } catch (error) {
      if (!this.#heal(error)) throw error;
      return this.search(text, limit);
    }
  }

  #match(query: string, limit: number): number[] {
    const sql = "SELECT rowid FROM search_index WHERE search_index MATCH ? ORDER BY rank LIMIT ?";
    return this.#db.prepare<unknown[], number>(sql).pluck().all(query, limit);
  }

  /** Makes a damaged index anew, once per process: if that does not help, trying again would not either. */
  #heal(error: unknown): boolean {
    if (this.#healed || !(error instanceof Database.SqliteError) || /FULL|READONLY|BUSY/.test(error.code)) return false;
    this.#healed = true;
    this.#report(`The search index is damaged (${error.message}) and is made anew from the events.`);
    this.reset();
    return true;
  }

  #hit(pos: number, terms: readonly string[]): SearchHit[] {
    const id = this.#sessionId.get(sessionNoOf(pos));
    if (id === undefined) return [];
    const range = { after_seq: seqOf(pos) - 1, before_seq: seqOf(pos) + 1 };
    const [[stored] = []] = this.#rows.slices(sessionNoOf(pos), id, range);
    if (stored === undefined) return [];
    return [{ session_id: id, seq: stored.seq, snippet: snippetOf(searchText(stored.event), terms) }];
  }

  #arm(delay: number): void {
    this.#timer = setTimeout(() => this.#work(), delay);
    // Late work must not keep a command from ending.
    this.#timer.unref();
  }

  #work(): void {
    const now = performance.now();
    const quiet = now - this.#lastAt;
    const isBusy = quiet < QUIET_MS;
    if (isBusy && now - this.#firstAt < PATIENCE_MS) return this.#arm(QUIET_MS - quiet);
    this.#timer = null;
    if (this.#closed || !this.#attempt()) return;
    if (isBusy) return this.#arm(BUSY_PAUSE_MS);
    setImmediate(() => {
      if (this.#timer === null) this.#work();
    });
  }

  /** Takes in some events, of as many sessions as a slice holds. False when nothing is missing. */
  #attempt(): boolean {
    if (this.#waiting.size === 0) return false;
    const looked = new Map<number, string>();
    try {
      const done = this.#db.transaction(() => this.#slice(looked)).immediate();
      this.#finish(done);
    } catch (error) {
      if (this.#heal(error)) return true;
      // Left until the next append to them: trying at once again would fail again.
      this.#finish(looked);
      this.#report(`Search and overview could not be updated: ${String(error)}. The events are safe.`);
    }
    return true;
  }

  /** @returns the sessions that have nothing left to take in */
  #slice(looked: Map<number, string>): Map<number, string> {
    const done = new Map<number, string>();
    let left = SLICE;
    for (const [no, id] of this.#waiting) {
      looked.set(no, id);
      const [events = []] = this.#rows.slices(no, id, { after_seq: this.#progress.get(no) ?? 0, limit: left });
      if (events.length > 0) this.#takeIn(no, events);
      left -= events.length;
      if (left <= 0) break;
      done.set(no, id);
    }
    return done;
  }

  #finish(sessions: ReadonlyMap<number, string>): void {
    for (const [no, id] of sessions) {
      this.#refresh(id);
      this.#waiting.delete(no);
    }
  }

  #refresh(id: string): void {
    try {
      this.#refreshRow(id);
    } catch (error) {
      this.#report(`The session list could not be updated for ${id}: ${String(error)}. Its events are safe.`);
    }
  }

  #takeIn(no: number, events: readonly StoredEvent[]): void {
    const insert = this.#db.prepare("INSERT INTO search_index (rowid, text) VALUES (CAST(? AS INTEGER), ?)");
    for (const stored of events) {
      const text = searchText(stored.event);
      if (text !== "") insert.run(basePos(no) + stored.seq, spaced(text));
    }
    this.#minutes.add(no, events);
    this.#setProgress.run(no, events.at(-1)?.seq);
  }
}
