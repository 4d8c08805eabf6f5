/** Memories of a store. Each change is one transaction: the memory, its new version, the version's content, the store. */
import { createHash } from "node:crypto";
import { ApiError, invalid, notFound } from "../../contract/errors.ts";
import { newId } from "../../contract/ids.ts";
import { ancestorsOf, MAX_MEMORIES, utf8Bytes } from "../../contract/memory/paths.ts";
import type { Versioned } from "../records/record_table.ts";
import { RecordConflict, type Records, type RecordWrite } from "../records/records.ts";
import { type Actor, type MemoryRow, MemoryTables, untilUncontested, type VersionRow } from "./tables.ts";

export interface FullMemory extends MemoryRow {
  content: string;
}

export interface MemoryChange {
  /** Undefined or null keeps what is there. */
  path?: string | null | undefined;
  content?: string | null | undefined;
  /** SHA-256 that the content must have now. */
  expected_sha256?: string | undefined;
}

/** Lower-case hex SHA-256 of the UTF-8 text. */
export function contentHash(content: string): string {
  return createHash("sha256").update(content, "utf8").digest("hex");
}

/** Paths and contents are taken as they are: who calls has checked them with the request schemas. */
export class Memories {
  readonly #tables: MemoryTables;
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(records: Records, now: () => number) {
    this.#tables = new MemoryTables(records);
    this.#now = now;
  }

  /** @throws ApiError 404, 400 (archived, full), 409 `memory_path_conflict_error` */
  create(storeId: string, path: string, content: string, actor: Actor): Promise<FullMemory> {
    return untilUncontested(async () => {
      const store = await this.#tables.writableStore(storeId);
      await this.#refuseTakenPath(storeId, path, null);
      if (store.value.memories >= MAX_MEMORIES) {
        invalid(
          `Memory store ${storeId} has ${MAX_MEMORIES} memories, which is the most. Delete some, or use another.`,
        );
      }
      const at = this.#at();
      const version = this.#version("created", { id: newId("memory", this.#now()), storeId, path, content }, at, actor);
      const memory = this.#memory(version, path, content, { at, created_at: at });
      await this.#tables.records.write([
        this.#tables.memories.insertion(memory),
        ...this.#recorded(version, content),
        this.#tables.stores.replacement(this.#tables.changed(store.value, 1), store.revision),
      ]);
      return { ...memory, content };
    });
  }

  /** @throws ApiError 404 for the store or the memory */
  async get(storeId: string, memoryId: string): Promise<MemoryRow> {
    await this.#tables.store(storeId);
    return (await this.#existing(storeId, memoryId)).value;
  }

  /** @throws ApiError 404 */
  async getFull(storeId: string, memoryId: string): Promise<FullMemory> {
    return untilUncontested(async () => {
      const memory = await this.get(storeId, memoryId);
      const content = (await this.#tables.contents.get(memory.memory_version_id))?.value.content;
      // A newer version took its place since the memory was read, and this one was redacted.
      if (content === undefined) throw new RecordConflict("revision", "memory", memoryId);
      return { ...memory, content };
    });
  }

  /** Memories below a prefix that ends with a slash, by path; all of them: a store has at most 2,000. @throws ApiError 404 */
  async list(storeId: string, prefix = "/"): Promise<MemoryRow[]> {
    await this.#tables.store(storeId);
    return this.#tables.memories.listByKey({ scope: storeId, prefix, limit: MAX_MEMORIES });
  }

  /**
   * What already is as asked is no change, whatever was expected of it.
   * @throws ApiError 404, 400 (archived), 409 `memory_precondition_failed_error` or `memory_path_conflict_error`
   */
  update(storeId: string, memoryId: string, change: MemoryChange, actor: Actor): Promise<FullMemory> {
    return untilUncontested(async () => {
      const store = await this.#tables.writableStore(storeId);
      const before = await this.#existing(storeId, memoryId);
      const old = await this.getFull(storeId, memoryId);
      const path = change.path ?? old.path;
      const content = change.content ?? old.content;
      if (path === old.path && content === old.content) return old;
      refuseUnexpected(old, change.expected_sha256);
      if (path !== old.path) await this.#refuseTakenPath(storeId, path, memoryId);
      const at = this.#at();
      const version = this.#version("modified", { id: memoryId, storeId, path, content }, at, actor);
      const memory = this.#memory(version, path, content, { at, created_at: old.created_at });
      await this.#tables.records.write([
        this.#tables.memories.replacement(memory, before.revision),
        ...this.#recorded(version, content),
        this.#tables.stores.replacement(this.#tables.changed(store.value), store.revision),
      ]);
      return { ...memory, content };
    });
  }

  /** Its versions stay. @throws ApiError 404, 409 `memory_precondition_failed_error` */
  delete(storeId: string, memoryId: string, expected: string | undefined, actor: Actor): Promise<void> {
    return untilUncontested(async () => {
      const store = await this.#tables.store(storeId);
      const { value, revision } = await this.#existing(storeId, memoryId);
      refuseUnexpected(value, expected);
      const gone = { id: memoryId, storeId, path: value.path, content: null };
      await this.#tables.records.write([
        this.#tables.memories.deletion(memoryId, revision),
        this.#tables.versions.insertion(this.#version("deleted", gone, this.#at(), actor)),
        this.#tables.stores.replacement(this.#tables.changed(store.value, -1), store.revision),
      ]);
    });
  }

  async #existing(storeId: string, memoryId: string): Promise<Versioned<MemoryRow>> {
    const memory = await this.#tables.memories.get(memoryId);
    return memory === null || memory.value.memory_store_id !== storeId ? notFound("Memory", memoryId) : memory;
  }

  /** @param own the memory that is being moved: it does not stand in its own way */
  async #refuseTakenPath(storeId: string, path: string, own: string | null): Promise<void> {
    for (const taken of [path, ...ancestorsOf(path)]) {
      const other = await this.#tables.memories.findByKey(storeId, taken);
      if (other !== null && other.value.id !== own) refusePath(path, other.value);
    }
    const below = await this.#tables.memories.listByKey({ scope: storeId, prefix: `${path}/`, limit: 2 });
    const other = below.find((memory) => memory.id !== own);
    if (other !== undefined) refusePath(path, other);
  }

  #version(
    operation: VersionRow["operation"],
    memory: { id: string; storeId: string; path: string; content: string | null },
    at: string,
    actor: Actor,
  ): VersionRow {
    const { id, storeId, path, content } = memory;
    return {
      id: newId("memory_version", this.#now()),
      type: "memory_version",
      memory_id: id,
      memory_store_id: storeId,
      operation,
      path,
      content_sha256: content === null ? null : contentHash(content),
      content_size_bytes: content === null ? null : utf8Bytes(content),
      created_at: at,
      created_by: actor,
      redacted_at: null,
      redacted_by: null,
    };
  }

  #memory(version: VersionRow, path: string, content: string, times: { at: string; created_at: string }): MemoryRow {
    return {
      id: version.memory_id,
      type: "memory",
      memory_store_id: version.memory_store_id,
      memory_version_id: version.id,
      path,
      content_sha256: contentHash(content),
      content_size_bytes: utf8Bytes(content),
      created_at: times.created_at,
      updated_at: times.at,
    };
  }

  #recorded(version: VersionRow, content: string): RecordWrite[] {
    const { id, created_at, memory_store_id } = version;
    return [
      this.#tables.versions.insertion(version),
      this.#tables.contents.insertion({ id, created_at, memory_store_id, content }),
    ];
  }

  #at(): string {
    return new Date(this.#now()).toISOString();
  }
}

function refuseUnexpected(memory: MemoryRow, expected: string | undefined): void {
  if (expected === undefined || expected === memory.content_sha256) return;
  throw new ApiError(
    "memory_precondition_failed_error",
    `Memory ${memory.id} does not have the content that the request expects. Retrieve it and try again with its content_sha256.`,
  );
}

function refusePath(path: string, other: MemoryRow): never {
  const why = other.path === path ? "is taken" : `overlaps ${JSON.stringify(other.path)}`;
  throw new ApiError(
    "memory_path_conflict_error",
    `\`path\` ${JSON.stringify(path)} ${why} (memory ${other.id}). Move or delete that memory, or choose another path.`,
    undefined,
    { conflicting_memory_id: other.id, conflicting_path: other.path },
  );
}
