/** The catalog in the ledger's file: agents with their versions, environments, files. */
import Database from "better-sqlite3";
import type { Agent, Catalog, CatalogQuery, Environment, FileRecord } from "../catalog.ts";
import { LedgerWriteError } from "../ledger.ts";
import { timeRange } from "../record/time_range.ts";

type Table = "agents" | "environments" | "files";

export class SqliteCatalog implements Catalog {
  readonly #db: Database.Database;

  constructor(db: Database.Database) {
    this.#db = db;
  }

  async createAgent(agent: Agent): Promise<void> {
    this.#write(() => {
      this.#run("INSERT INTO agents VALUES (?, ?, ?, ?)", agent.id, agent.created_at, agent.archived_at, agent.version);
      this.#putVersion(agent);
    });
  }

  async getAgent(id: string, version?: number): Promise<Agent | null> {
    const newest = "(SELECT version FROM agents WHERE id = @id)";
    return this.#one<Agent>(
      `SELECT body FROM agent_versions WHERE id = @id AND version = ${version === undefined ? newest : "@version"}`,
      { id, version: version ?? null },
    );
  }

  async putAgentVersion(agent: Agent, expectedVersion: number): Promise<boolean> {
    return this.#write(() => {
      const changed = this.#run(
        "UPDATE agents SET version = ?, archived_at = ? WHERE id = ? AND version = ?",
        agent.version,
        agent.archived_at,
        agent.id,
        expectedVersion,
      );
      if (changed === 0) return false;
      this.#putVersion(agent);
      return true;
    });
  }

  async replaceAgent(agent: Agent): Promise<void> {
    this.#write(() => {
      const { archived_at, version, id } = agent;
      const sql = "UPDATE agents SET archived_at = ? WHERE id = ? AND version = ?";
      if (this.#run(sql, archived_at, id, version) === 0) {
        throw new Error(`Version ${version} is not the newest of agent ${id}; nothing was written.`);
      }
      this.#putVersion(agent);
    });
  }

  async listAgents(query: CatalogQuery): Promise<Agent[]> {
    const from = "agents JOIN agent_versions USING (id, version)";
    return this.#page<Agent>("agents", from, query, query.include_archived === true ? [] : ["archived_at IS NULL"], []);
  }

  async listAgentVersions(id: string, limit: number, before_version?: number): Promise<Agent[]> {
    return this.#all<Agent>(
      "SELECT body FROM agent_versions WHERE id = ? AND version < ? ORDER BY version DESC LIMIT ?",
      id,
      before_version ?? Number.MAX_SAFE_INTEGER,
      limit,
    );
  }

  async putEnvironment(environment: Environment): Promise<void> {
    const { id, name, created_at, archived_at } = environment;
    const body = JSON.stringify(environment);
    this.#write(() =>
      this.#run("INSERT OR REPLACE INTO environments VALUES (?, ?, ?, ?, ?)", id, name, created_at, archived_at, body),
    );
  }

  async getEnvironment(id: string): Promise<Environment | null> {
    return this.#one<Environment>("SELECT body FROM environments WHERE id = ?", id);
  }

  async findEnvironmentByName(name: string): Promise<Environment | null> {
    return this.#one<Environment>(
      "SELECT body FROM environments WHERE name = ? ORDER BY archived_at IS NOT NULL, created_at, id LIMIT 1",
      name,
    );
  }

  async listEnvironments(query: CatalogQuery): Promise<Environment[]> {
    const conditions = query.include_archived === true ? [] : ["archived_at IS NULL"];
    return this.#page<Environment>("environments", "environments", query, conditions, []);
  }

  async deleteEnvironment(id: string): Promise<void> {
    this.#write(() => this.#run("DELETE FROM environments WHERE id = ?", id));
  }

  async putFile(file: FileRecord, replaces?: string): Promise<void> {
    const body = JSON.stringify(file);
    const scope = file.scope?.id ?? null;
    this.#write(() => {
      if (replaces !== undefined) this.#run("DELETE FROM files WHERE id = ?", replaces);
      this.#run("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", file.id, scope, file.created_at, body);
    });
  }

  async getFile(id: string): Promise<FileRecord | null> {
    return this.#one<FileRecord>("SELECT body FROM files WHERE id = ?", id);
  }

  async listFiles(query: CatalogQuery & { scope_id?: string; ids?: readonly string[] }): Promise<FileRecord[]> {
    const conditions: string[] = [];
    const values: unknown[] = [];
    if (query.scope_id !== undefined) {
      conditions.push("scope_id = ?");
      values.push(query.scope_id);
    }
    if (query.ids !== undefined) {
      conditions.push("id IN (SELECT value FROM json_each(?))");
      values.push(JSON.stringify(query.ids));
    }
    return this.#page<FileRecord>("files", "files", query, conditions, values);
  }

  async deleteFile(id: string): Promise<void> {
    this.#write(() => this.#run("DELETE FROM files WHERE id = ?", id));
  }

  #putVersion(agent: Agent): void {
    this.#run("INSERT OR REPLACE INTO agent_versions VALUES (?, ?, ?)", agent.id, agent.version, JSON.stringify(agent));
  }

  #page<T>(table: Table, from: string, query: CatalogQuery, conditions: string[], values: unknown[]): T[] {
    const { from: first, to } = timeRange(query);
    const where = [`${table}.created_at BETWEEN ? AND ?`];
    const bound: unknown[] = [first, to];
    if (query.after !== undefined) {
      where.push(`(${table}.created_at, ${table}.id) < (?, ?)`);
      bound.push(query.after.created_at, query.after.id);
    }
    const sql = `SELECT body FROM ${from} WHERE ${[...where, ...conditions].join(" AND ")}
      ORDER BY ${table}.created_at DESC, ${table}.id DESC LIMIT ?`;
    return this.#all<T>(sql, ...bound, ...values, query.limit);
  }

  #all<T>(sql: string, ...values: unknown[]): T[] {
    const bodies = this.#db
      .prepare<unknown[], string>(sql)
      .pluck()
      .all(...values);
    return bodies.map((body) => JSON.parse(body) as T);
  }

  #one<T>(sql: string, ...values: unknown[]): T | null {
    return this.#all<T>(sql, ...values)[0] ?? null;
  }

  #run(sql: string, ...values: unknown[]): number {
    return this.#db.prepare(sql).run(...values).changes;
  }

  /** @throws {LedgerWriteError} when the disk is full or cannot be written */
  #write<T>(work: () => T): T {
    try {
      return this.#db.transaction(work).immediate();
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      if (error.code.startsWith("SQLITE_CONSTRAINT")) throw new Error(`The record exists already: ${error.message}`);
      throw new LedgerWriteError(
        `${this.#db.name} could not be written: ${error.message} (${error.code}). Nothing of this change was stored. ` +
          "Make sure that its disk has free space and can be written, then try again.",
        { cause: error },
      );
    }
  }
}
