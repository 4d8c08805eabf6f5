/** The rows of the session list: each session's fold as JSON, and the columns that lists filter and sort by (L10). */
import type Database from "better-sqlite3";
import type { SessionSnapshot } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";
import { unfinishedWork } from "../../../contract/work.ts";
import type { SessionQuery } from "../../ledger.ts";
import { timeRange } from "../../record/time_range.ts";

interface FoldRow {
  last_seq: number;
  fold: string;
  snapshot: string | null;
}

interface ListRow extends FoldRow {
  no: number;
  id: string;
}

/** A session of a list. `fold` is null when its row is damaged: the events then say what it is. */
export interface ListedSession {
  no: number;
  id: string;
  fold: SessionFold | null;
}

const FROM = "FROM sessions LEFT JOIN session_snapshots ON session_no = no";

export class SessionRows {
  readonly #db: Database.Database;
  readonly #get: Database.Statement<unknown[], FoldRow>;
  readonly #put: Database.Statement<unknown[]>;
  readonly #update: Database.Statement<unknown[]>;
  readonly #snapshot: Database.Statement<unknown[]>;
  readonly #remove: readonly Database.Statement<unknown[]>[];
  readonly #unfinished: Database.Statement<unknown[], ListRow>;
  readonly #lists = new Map<string, Database.Statement<unknown[], ListRow>>();

  constructor(db: Database.Database) {
    this.#db = db;
    this.#get = db.prepare(`SELECT last_seq, fold, snapshot ${FROM} WHERE no = ?`);
    this.#put = db.prepare("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    this.#update = db.prepare("UPDATE sessions SET last_seq = ?, fold = ? WHERE no = ?");
    this.#snapshot = db.prepare("INSERT OR REPLACE INTO session_snapshots VALUES (?, ?)");
    this.#remove = [
      db.prepare("DELETE FROM sessions WHERE no = ?"),
      db.prepare("DELETE FROM session_snapshots WHERE session_no = ?"),
    ];
    this.#unfinished = db.prepare(
      `SELECT no, id, last_seq, fold, snapshot ${FROM} WHERE unfinished = 1
         OR no IN (SELECT session_no FROM leases WHERE released = 0) ORDER BY no`,
    );
  }

  /** The fold as the row has it; null when there is none or it cannot be read. */
  get(no: number): SessionFold | null {
    const row = this.#get.get(no);
    return row === undefined ? null : parseFold(row);
  }

  /**
   * Writes what changed: mostly one small row.
   * @param written the fold that the rows hold now; null rewrites everything
   */
  put(no: number, fold: SessionFold, written: SessionFold | null): void {
    if (written === null || !sameSnapshot(fold, written)) this.#snapshot.run(no, JSON.stringify(snapshotOf(fold)));
    const rest = JSON.stringify(withoutSnapshot(fold));
    // Columns with an index are left alone unless they change: SQLite would rewrite the index pages too.
    if (written !== null && sameColumns(fold, written)) {
      this.#update.run(fold.last_seq, rest, no);
      return;
    }
    const { session_id, created_at, agent, deployment_id, archived_at, last_seq } = fold;
    const open = isUnfinished(fold) ? 1 : 0;
    this.#put.run(
      no,
      session_id,
      created_at,
      agent.id,
      agent.version,
      deployment_id,
      archived_at,
      open,
      last_seq,
      rest,
    );
  }

  remove(no: number): void {
    for (const statement of this.#remove) statement.run(no);
  }

  /** Sessions with work left or with a lease that was not released. */
  unfinished(): ListedSession[] {
    return this.#unfinished.all().map(listed);
  }

  list(query: SessionQuery): ListedSession[] {
    const { from, to } = timeRange(query);
    const position = query.from;
    const backward = position?.backward === true;
    // Reading towards the list's start is reading the reversed list.
    const ascending = (query.order === "asc") !== backward;
    const conditions = ["created_at BETWEEN ? AND ?"];
    const values: unknown[] = [from, to];
    if (query.include_archived !== true) conditions.push("archived_at IS NULL");
    for (const column of ["agent_id", "agent_version", "deployment_id"] as const) {
      if (query[column] === undefined) continue;
      conditions.push(`${column} = ?`);
      values.push(query[column]);
    }
    if (position !== undefined) {
      conditions.push(`(created_at, id) ${ascending ? ">" : "<"} (?, ?)`);
      values.push(position.created_at, position.id);
    }
    const direction = ascending ? "ASC" : "DESC";
    const sql = `SELECT no, id, last_seq, fold, snapshot ${FROM} WHERE ${conditions.join(" AND ")}
      ORDER BY created_at ${direction}, id ${direction} LIMIT ?`;
    const rows = this.#list(sql).all(...values, query.limit);
    return (backward ? rows.reverse() : rows).map(listed);
  }

  #list(sql: string): Database.Statement<unknown[], ListRow> {
    const statement = this.#lists.get(sql) ?? this.#db.prepare<unknown[], ListRow>(sql);
    this.#lists.set(sql, statement);
    return statement;
  }
}

function listed(row: ListRow): ListedSession {
  return { no: row.no, id: row.id, fold: parseFold(row) };
}

function parseFold(row: FoldRow): SessionFold | null {
  if (row.snapshot === null) return null;
  try {
    const fold = { ...JSON.parse(row.snapshot), ...JSON.parse(row.fold) } as SessionFold;
    return fold.last_seq === row.last_seq ? fold : null;
  } catch {
    // A damaged projection is no news worth failing for: the caller folds the events instead.
    return null;
  }
}

function snapshotOf(fold: SessionFold): SessionSnapshot {
  const { agent, environment, primary_thread_id, title, metadata, resources, vault_ids, budget, deployment_id } = fold;
  return { agent, environment, primary_thread_id, title, metadata, resources, vault_ids, budget, deployment_id };
}

type Rest = Omit<SessionFold, keyof SessionSnapshot>;

function withoutSnapshot(fold: SessionFold): Rest {
  const {
    agent,
    environment,
    primary_thread_id,
    title,
    metadata,
    resources,
    vault_ids,
    budget,
    deployment_id,
    ...rest
  } = fold;
  return rest;
}

/** The fold replaces nested values, never changes them: the same object means the same content. */
function sameSnapshot(a: SessionFold, b: SessionFold): boolean {
  const [left, right] = [snapshotOf(a), snapshotOf(b)];
  return (Object.keys(left) as (keyof SessionSnapshot)[]).every((key) => left[key] === right[key]);
}

/** True when every column that lists filter or sort by is the same. */
export function sameColumns(a: SessionFold, b: SessionFold): boolean {
  if (a === b) return true;
  return a.agent === b.agent && a.archived_at === b.archived_at && isUnfinished(a) === isUnfinished(b);
}

/** Whether work is left does not depend on the time: a retry is left work before and after it is due. */
function isUnfinished(fold: SessionFold): boolean {
  const work = unfinishedWork(fold, 0);
  return work === "now" || work === "later";
}
