/**
 * The full-text index. Cutting a kilobyte into words costs more than the rest of an append together, so the index
 * follows the events a moment later, in transactions of its own; a search first takes in what is missing.
 */
import { setImmediate, setTimeout } from "node:timers";
import type Database from "better-sqlite3";
import type { SearchHit } from "../../ledger.ts";
import { queryTerms, searchText, snippetOf, spaced } from "../../record/search_text.ts";
import { basePos, type EventRows, endPos, seqOf, sessionNoOf } from "../event_rows.ts";

/** Quiet time after an append before its text is taken in. */
const DELAY_MS = 250;
/** Events per transaction: a few milliseconds during which nothing else runs. */
const SLICE = 64;

export class SearchIndex {
  readonly #db: Database.Database;
  readonly #rows: EventRows;
  readonly #report: (problem: string) => void;
  readonly #behind: Database.Statement<unknown[], { no: number; id: string }>;
  readonly #progress: Database.Statement<unknown[], number>;
  readonly #setProgress: Database.Statement<unknown[]>;
  readonly #removeProgress: Database.Statement<unknown[]>;
  readonly #sessionId: Database.Statement<unknown[], string>;
  /** Sessions whose newest events may be missing; filled from the tables once, then by the appends. */
  readonly #waiting = new Map<number, string>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(db: Database.Database, rows: EventRows, report: (problem: string) => void) {
    this.#db = db;
    this.#rows = rows;
    this.#report = report;
    this.#behind = db.prepare(
      `SELECT s.no, s.id FROM sessions s LEFT JOIN search_progress p ON p.session_no = s.no
       WHERE s.last_seq > coalesce(p.seq, 0)`,
    );
    this.#progress = db.prepare<unknown[], number>("SELECT seq FROM search_progress WHERE session_no = ?").pluck();
    this.#setProgress = db.prepare("INSERT OR REPLACE INTO search_progress VALUES (?, ?)");
    this.#removeProgress = db.prepare("DELETE FROM search_progress WHERE session_no = ?");
    this.#sessionId = db.prepare<unknown[], string>("SELECT id FROM session_keys WHERE no = ?").pluck();
  }

  /** Finds what an earlier process left behind. */
  catchUp(): void {
    for (const { no, id } of this.#behind.all()) this.schedule(no, id);
  }

  /** Says that events of a session were appended. */
  schedule(no: number, id: string): void {
    this.#waiting.set(no, id);
    if (this.#timer !== null || this.#closed) return;
    this.#timer = setTimeout(() => this.#work(), DELAY_MS);
    // An idle index must not keep a command from ending.
    this.#timer.unref();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  remove(no: number): void {
    this.#waiting.delete(no);
    this.#removeProgress.run(no);
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

  /** Empties the index; it fills again by itself. */
  reset(): void {
    this.#db.exec("INSERT INTO search_index (search_index) VALUES ('delete-all'); DELETE FROM search_progress");
    this.catchUp();
  }

  /** Best matches first. Every word must occur; the last one may be the beginning of a word. */
  async search(text: string, limit: number): Promise<SearchHit[]> {
    const terms = queryTerms(text);
    if (terms.length === 0 || limit <= 0) return [];
    while (this.#slice()) await new Promise((resolve) => setImmediate(resolve));
    const quoted = terms.map((term) => `"${term.replaceAll('"', '""')}"`);
    const sql = "SELECT rowid FROM search_index WHERE search_index MATCH ? ORDER BY rank LIMIT ?";
    const found = this.#db
      .prepare<unknown[], number>(sql)
      .pluck()
      .all(`${quoted.join(" ")}*`, limit);
    return found.flatMap((pos) => this.#hit(pos, terms));
  }

  #hit(pos: number, terms: readonly string[]): SearchHit[] {
    const id = this.#sessionId.get(sessionNoOf(pos));
    if (id === undefined) return [];
    const range = { after_seq: seqOf(pos) - 1, before_seq: seqOf(pos) + 1 };
    for (const [stored] of this.#rows.slices(sessionNoOf(pos), id, range)) {
      if (stored === undefined) return [];
      return [{ session_id: id, seq: stored.seq, snippet: snippetOf(searchText(stored.event), terms) }];
    }
    return [];
  }

  #work(): void {
    this.#timer = null;
    if (this.#closed) return;
    try {
      if (this.#slice()) setImmediate(() => this.#work());
    } catch (error) {
      // The next append tries again; until then only search is behind.
      this.#report(`The search index could not be updated: ${String(error)}`);
    }
  }

  /** Takes in some events of one session. False when nothing is missing. */
  #slice(): boolean {
    const [next] = this.#waiting;
    if (next === undefined) return false;
    const [no, id] = next;
    const [events = []] = this.#rows.slices(no, id, { after_seq: this.#progress.get(no) ?? 0, limit: SLICE });
    const last = events.at(-1)?.seq;
    if (last === undefined) {
      this.#waiting.delete(no);
      return true;
    }
    this.#db
      .transaction(() => {
        const insert = this.#db.prepare("INSERT INTO search_index (rowid, text) VALUES (CAST(? AS INTEGER), ?)");
        for (const stored of events) {
          const text = searchText(stored.event);
          if (text !== "") insert.run(basePos(no) + stored.seq, spaced(text));
        }
        this.#setProgress.run(no, last);
      })
      .immediate();
    return true;
  }
}
