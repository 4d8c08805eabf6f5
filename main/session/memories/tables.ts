/** The records that memory stores are made of. What lists show and what contents are lie apart: see {@link MemoryTables}. */
import type {
  BetaManagedAgentsMemory,
  BetaManagedAgentsMemoryStore,
  BetaManagedAgentsMemoryVersion,
} from "@anthropic-ai/sdk/resources/beta/memory-stores";
import { ApiError, notFound } from "../../contract/errors.ts";
import { RecordTable, type Versioned } from "../records/record_table.ts";
import { RecordConflict, type Records } from "../records/records.ts";

/** Every change of a store's memories replaces it, so that two changes at once cannot both go by the same state. */
export interface StoreRow extends BetaManagedAgentsMemoryStore {
  /** Memories in it now. */
  memories: number;
  /** Grows with every change of a memory. */
  changes: number;
}

export type MemoryRow = Required<Omit<BetaManagedAgentsMemory, "content">>;
export type VersionRow = Required<Omit<BetaManagedAgentsMemoryVersion, "created_by" | "redacted_by" | "content">> & {
  created_by: Actor;
  redacted_by: Actor | null;
};
/** Who changes a memory. */
export type Actor = NonNullable<BetaManagedAgentsMemoryVersion["created_by"]>;

/** A version's content, by the id of the version. Removing it is what redaction is. */
export interface ContentRow {
  id: string;
  created_at: string;
  memory_store_id: string;
  content: string;
}

/** Times that a change begins anew because another one was first. Each time somebody else's change has gone through. */
const MAX_TRIES = 300;

/** A memory is its newest version; contents are records of their own, so that lists do not read them. */
export class MemoryTables {
  readonly records: Records;
  readonly stores: RecordTable<StoreRow>;
  readonly memories: RecordTable<MemoryRow>;
  readonly versions: RecordTable<VersionRow>;
  readonly contents: RecordTable<ContentRow>;

  constructor(records: Records) {
    this.records = records;
    const scope = (row: { memory_store_id: string }): string => row.memory_store_id;
    this.stores = new RecordTable<StoreRow>(records, { kind: "memory_store" });
    this.memories = new RecordTable<MemoryRow>(records, { kind: "memory", scope, key: (row) => row.path });
    this.versions = new RecordTable<VersionRow>(records, {
      kind: "memory_version",
      scope,
      state: (row) => row.memory_id,
    });
    this.contents = new RecordTable<ContentRow>(records, { kind: "memory_content", scope });
  }

  /** @throws ApiError 404 */
  async store(id: string): Promise<Versioned<StoreRow>> {
    return (await this.stores.get(id)) ?? notFound("Memory store", id);
  }

  /** A store whose memories may be created and changed. @throws ApiError 404, 400 for an archived one */
  async writableStore(id: string): Promise<Versioned<StoreRow>> {
    const store = await this.store(id);
    if (store.value.archived_at === null) return store;
    throw new ApiError(
      "invalid_request_error",
      `Memory store ${id} is archived: it can be read, its memories can be deleted, and nothing else of it changes. Use another store.`,
    );
  }

  /** The same store after a change of its memories. */
  changed(store: StoreRow, more = 0): StoreRow {
    return { ...store, memories: store.memories + more, changes: store.changes + 1 };
  }
}

/** Runs a change that reads and then writes, anew while others are first. @throws ApiError 409 when that does not end */
export async function untilUncontested<T>(change: () => Promise<T>): Promise<T> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    try {
      return await change();
    } catch (error) {
      if (!(error instanceof RecordConflict)) throw error;
    }
  }
  throw new ApiError(
    "conflict_error",
    "The memory store is being changed by many others at the moment. Nothing of this request was stored; send it again.",
  );
}
