/** Memory stores themselves: create, change, archive, delete. */
import { isDeepStrictEqual } from "node:util";
import type { BetaManagedAgentsMemoryStore } from "@anthropic-ai/sdk/resources/beta/memory-stores";
import { newId } from "../../contract/ids.ts";
import type { RecordQuery, Records, RecordWrite } from "../records/records.ts";
import { MemoryTables, type StoreRow, untilUncontested } from "./tables.ts";

type Store = BetaManagedAgentsMemoryStore;
export type StoreFields = Pick<Store, "name" | "description" | "metadata">;

/** Rows read at a time. */
const BATCH = 1000;

export class MemoryStores {
  readonly #tables: MemoryTables;
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(records: Records, now: () => number) {
    this.#tables = new MemoryTables(records);
    this.#now = now;
  }

  async create(fields: StoreFields): Promise<Store> {
    const at = this.#at();
    const row: StoreRow = {
      id: newId("memory_store", this.#now()),
      type: "memory_store",
      ...fields,
      created_at: at,
      updated_at: at,
      archived_at: null,
      memories: 0,
      changes: 0,
    };
    await this.#tables.stores.insert(row);
    return shown(row);
  }

  /** @throws ApiError 404 */
  async get(id: string): Promise<Store> {
    return shown((await this.#tables.store(id)).value);
  }

  /** Newest first. */
  async list(query: RecordQuery): Promise<Store[]> {
    return (await this.#tables.stores.list(query)).map(shown);
  }

  /**
   * @param change the fields after the change, made from those before it
   * @throws ApiError 404, 400 when it is archived, and what `change` throws
   */
  update(id: string, change: (before: Store) => StoreFields): Promise<Store> {
    return untilUncontested(async () => {
      const { value, revision } = await this.#tables.writableStore(id);
      const { name, description, metadata } = change(shown(value));
      const next = { ...value, name, description, metadata };
      if (isDeepStrictEqual(next, value)) return shown(value);
      const row = { ...next, updated_at: this.#at() };
      await this.#tables.stores.replace(row, revision);
      return shown(row);
    });
  }

  /** Again is no change. @throws ApiError 404 */
  archive(id: string): Promise<Store> {
    return untilUncontested(async () => {
      const { value, revision } = await this.#tables.store(id);
      if (value.archived_at !== null) return shown(value);
      const at = this.#at();
      const row = { ...value, archived_at: at, updated_at: at };
      await this.#tables.stores.replace(row, revision);
      return shown(row);
    });
  }

  /** The store with all its memories, versions and contents, in one transaction. @throws ApiError 404 */
  delete(id: string): Promise<void> {
    return untilUncontested(async () => {
      const { revision } = await this.#tables.store(id);
      const writes: RecordWrite[] = [this.#tables.stores.deletion(id, revision)];
      for await (const memory of all(this.#tables.memories, id)) writes.push(this.#tables.memories.deletion(memory.id));
      for await (const version of all(this.#tables.versions, id)) {
        writes.push(this.#tables.versions.deletion(version.id), this.#tables.contents.deletion(version.id));
      }
      await this.#tables.records.write(writes);
    });
  }

  #at(): string {
    return new Date(this.#now()).toISOString();
  }
}

/** The store as the contract shows it. */
function shown(row: StoreRow): Store {
  const { memories: _, changes: __, ...store } = row;
  return store;
}

interface Listed {
  id: string;
  created_at: string;
}

async function* all<T extends Listed>(
  table: { list(query: RecordQuery): Promise<T[]> },
  scope: string,
): AsyncGenerator<T> {
  let after: Listed | undefined;
  for (;;) {
    const rows = await table.list({ scope, order: "asc", limit: BATCH, ...(after === undefined ? {} : { after }) });
    yield* rows;
    after = rows.at(-1);
    if (rows.length < BATCH || after === undefined) return;
    after = { id: after.id, created_at: after.created_at };
  }
}
