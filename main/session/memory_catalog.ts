/** The catalog in memory, for tests. Every record is copied in and out: no caller can change another's. */
import type { Agent, Catalog, CatalogQuery, Environment, FileRecord } from "./catalog.ts";
import { timeRange } from "./record/time_range.ts";

export class MemoryCatalog implements Catalog {
  /** Versions of each agent, oldest first. */
  readonly #agents = new Map<string, Agent[]>();
  readonly #environments = new Map<string, Environment>();
  readonly #files = new Map<string, FileRecord>();

  async createAgent(agent: Agent): Promise<void> {
    if (this.#agents.has(agent.id)) throw new Error(`Agent ${agent.id} exists already.`);
    this.#agents.set(agent.id, [structuredClone(agent)]);
  }

  async getAgent(id: string, version?: number): Promise<Agent | null> {
    const versions = this.#agents.get(id) ?? [];
    const found = version === undefined ? versions.at(-1) : versions.find((agent) => agent.version === version);
    return structuredClone(found ?? null);
  }

  async putAgentVersion(agent: Agent, expectedVersion: number): Promise<boolean> {
    const versions = this.#agents.get(agent.id);
    if (versions?.at(-1)?.version !== expectedVersion) return false;
    versions.push(structuredClone(agent));
    return true;
  }

  async replaceAgent(agent: Agent): Promise<void> {
    const versions = this.#agents.get(agent.id);
    if (versions === undefined) throw new Error(`There is no agent ${agent.id} in the catalog.`);
    versions[versions.length - 1] = structuredClone(agent);
  }

  async listAgents(query: CatalogQuery): Promise<Agent[]> {
    const newest = [...this.#agents.values()].flatMap((versions) => versions.slice(-1));
    return page(newest, query, (agent) => agent.archived_at !== null);
  }

  async listAgentVersions(id: string, limit: number, before_version = Number.POSITIVE_INFINITY): Promise<Agent[]> {
    const versions = (this.#agents.get(id) ?? []).filter((agent) => agent.version < before_version);
    return structuredClone(versions.reverse().slice(0, limit));
  }

  async putEnvironment(environment: Environment): Promise<void> {
    this.#environments.set(environment.id, structuredClone(environment));
  }

  async getEnvironment(id: string): Promise<Environment | null> {
    return structuredClone(this.#environments.get(id) ?? null);
  }

  async findEnvironmentByName(name: string): Promise<Environment | null> {
    const named = [...this.#environments.values()].filter((environment) => environment.name === name);
    return structuredClone(named.find((environment) => environment.archived_at === null) ?? named[0] ?? null);
  }

  async listEnvironments(query: CatalogQuery): Promise<Environment[]> {
    return page([...this.#environments.values()], query, (environment) => environment.archived_at !== null);
  }

  async deleteEnvironment(id: string): Promise<void> {
    this.#environments.delete(id);
  }

  async putFile(file: FileRecord, replaces?: string): Promise<void> {
    if (replaces !== undefined) this.#files.delete(replaces);
    this.#files.set(file.id, structuredClone(file));
  }

  async getFile(id: string): Promise<FileRecord | null> {
    return structuredClone(this.#files.get(id) ?? null);
  }

  async listFiles(query: CatalogQuery & { scope_id?: string; ids?: readonly string[] }): Promise<FileRecord[]> {
    const files = [...this.#files.values()]
      .filter((file) => query.scope_id === undefined || file.scope?.id === query.scope_id)
      .filter((file) => query.ids === undefined || query.ids.includes(file.id));
    return page(files, query, () => false);
  }

  async deleteFile(id: string): Promise<void> {
    this.#files.delete(id);
  }
}

function page<T extends { id: string; created_at: string }>(
  records: readonly T[],
  query: CatalogQuery,
  isArchived: (record: T) => boolean,
): T[] {
  const { from, to } = timeRange(query);
  const { after } = query;
  const rows = records
    .filter((record) => query.include_archived === true || !isArchived(record))
    .filter(({ created_at }) => created_at >= from && created_at <= to)
    .filter((record) => after === undefined || newestFirst(after, record) < 0)
    .sort(newestFirst);
  return structuredClone(rows.slice(0, query.limit));
}

function newestFirst(a: { id: string; created_at: string }, b: { id: string; created_at: string }): number {
  if (a.created_at !== b.created_at) return a.created_at > b.created_at ? -1 : 1;
  if (a.id === b.id) return 0;
  return a.id > b.id ? -1 : 1;
}
