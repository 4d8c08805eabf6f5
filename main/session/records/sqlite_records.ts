/** Records in the ledger's file. */
import Database from "better-sqlite3";
import { LedgerWriteError } from "../ledger.ts";
import { timeRange } from "../record/time_range.ts";
import {
  type KeyQuery,
  type ReadRecord,
  RecordConflict,
  type RecordQuery,
  type Records,
  type RecordWrite,
  type StoredRecord,
} from "./records.ts";

type Row = Omit<ReadRecord, "body"> & { body: string };

export class SqliteRecords implements Records {
  readonly #db: Database.Database;
  readonly #statements = new Map<string, Database.Statement<unknown[], Row>>();

  constructor(db: Database.Database) {
    this.#db = db;
  }

  async get(kind: string, id: string): Promise<ReadRecord | null> {
    return this.#all("WHERE kind = ? AND id = ?", kind, id)[0] ?? null;
  }

  async findByKey(kind: string, scope: string, key: string): Promise<ReadRecord | null> {
    return this.#all("WHERE kind = ? AND scope = ? AND key = ?", kind, scope, key)[0] ?? null;
  }

  async list(kind: string, query: RecordQuery): Promise<ReadRecord[]> {
    const { from, to } = timeRange(query);
    const where = ["kind = ?", "created_at BETWEEN ? AND ?"];
    const values: unknown[] = [kind, from, to];
    const [past, direction] = query.order === "asc" ? [">", "ASC"] : ["<", "DESC"];
    if (query.scope !== undefined) {
      where.push("scope = ?");
      values.push(query.scope);
    }
    if (query.include_archived !== true) where.push("archived_at IS NULL");
    if (query.states !== undefined) {
      where.push("state IN (SELECT value FROM json_each(?))");
      values.push(JSON.stringify(query.states));
    }
    if (query.ids !== undefined) {
      where.push("id IN (SELECT value FROM json_each(?))");
      values.push(JSON.stringify(query.ids));
    }
    if (query.after !== undefined) {
      where.push(`(created_at, id) ${past} (?, ?)`);
      values.push(query.after.created_at, query.after.id);
    }
    const order = `ORDER BY created_at ${direction}, id ${direction} LIMIT ?`;
    return this.#all(`WHERE ${where.join(" AND ")} ${order}`, ...values, query.limit);
  }

  async listByKey(kind: string, { scope, prefix = "", after, limit }: KeyQuery): Promise<ReadRecord[]> {
    // The bounds are on the index; the exact test of the prefix also holds where the last character has no successor.
    const sql =
      "WHERE kind = ? AND scope = ? AND key >= ? AND key > ? AND substr(key, 1, length(?)) = ? ORDER BY key LIMIT ?";
    return this.#all(sql, kind, scope, prefix, after ?? "", prefix, prefix, limit);
  }

  async count(kind: string, scope?: string): Promise<number> {
    const sql = `SELECT count(*) FROM records WHERE kind = ? AND archived_at IS NULL${scope === undefined ? "" : " AND scope = ?"}`;
    const counted = this.#db.prepare<unknown[], number>(sql).pluck();
    return counted.get(...(scope === undefined ? [kind] : [kind, scope])) ?? 0;
  }

  async write(writes: readonly RecordWrite[]): Promise<void> {
    // What is removed or replaced on purpose must not stay readable in free places of the file.
    const erases = writes.some((write) => write.op !== "insert");
    if (erases) this.#db.pragma("secure_delete = ON");
    try {
      this.#db
        .transaction(() => {
          for (const write of writes) this.#apply(write);
        })
        .immediate();
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      throw new LedgerWriteError(
        `${this.#db.name} could not be written: ${error.message} (${error.code}). Nothing of this change was stored. ` +
          "Make sure that its disk has free space and can be written, then try again.",
        { cause: error },
      );
    } finally {
      if (erases) this.#db.pragma("secure_delete = OFF");
    }
  }

  #apply(write: RecordWrite): void {
    if (write.op === "delete") {
      const { kind, id, revision } = write;
      const bound = revision === undefined ? [] : [revision];
      const sql = `DELETE FROM records WHERE kind = ? AND id = ?${revision === undefined ? "" : " AND revision = ?"}`;
      const { changes } = this.#db.prepare(sql).run(kind, id, ...bound);
      if (revision !== undefined && changes === 0) throw new RecordConflict("revision", kind, id);
      return;
    }
    const { kind, id } = write.record;
    try {
      const changed = write.op === "insert" ? this.#insert(write.record) : this.#replace(write);
      if (!changed) throw new RecordConflict("revision", kind, id);
    } catch (error) {
      if (!(error instanceof Database.SqliteError) || !error.code.startsWith("SQLITE_CONSTRAINT")) throw error;
      const reason = error.code === "SQLITE_CONSTRAINT_PRIMARYKEY" ? "exists" : "key";
      throw new RecordConflict(reason, kind, id);
    }
  }

  #insert(record: StoredRecord): boolean {
    const { kind, id, scope, key, state, created_at, archived_at } = record;
    const sql = "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?)";
    this.#db.prepare(sql).run(kind, id, scope, key, state, created_at, archived_at, JSON.stringify(record.body));
    return true;
  }

  #replace({ record, revision }: Extract<RecordWrite, { op: "replace" }>): boolean {
    const { kind, id, scope, key, state, created_at, archived_at } = record;
    const sql =
      "UPDATE records SET scope = ?, key = ?, state = ?, created_at = ?, archived_at = ?, revision = revision + 1, body = ? " +
      "WHERE kind = ? AND id = ? AND revision = ?";
    const { changes } = this.#db
      .prepare(sql)
      .run(scope, key, state, created_at, archived_at, JSON.stringify(record.body), kind, id, revision);
    return changes > 0;
  }

  #all(where: string, ...values: unknown[]): ReadRecord[] {
    const known = this.#statements.get(where);
    const statement = known ?? this.#db.prepare<unknown[], Row>(`SELECT * FROM records ${where}`);
    if (known === undefined) this.#statements.set(where, statement);
    return statement.all(...values).map((row) => ({ ...row, body: JSON.parse(row.body) as unknown }));
  }
}
