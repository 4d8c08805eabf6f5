/** The history of memories: immutable, but that what a version held can be taken out of it. */
import { invalid, notFound } from "../../contract/errors.ts";
import type { Versioned } from "../records/record_table.ts";
import type { RecordQuery, Records } from "../records/records.ts";
import { type Actor, MemoryTables, untilUncontested, type VersionRow } from "./tables.ts";

export interface VersionFilter {
  memory_id?: string | undefined;
  operation?: VersionRow["operation"] | undefined;
  api_key_id?: string | undefined;
  session_id?: string | undefined;
  service_account_id?: string | undefined;
}

/** Rows read at a time while a filter drops some of them. */
const BATCH = 500;

export class MemoryVersions {
  readonly #tables: MemoryTables;
  readonly #now: () => number;

  /** @param now milliseconds since the epoch */
  constructor(records: Records, now: () => number) {
    this.#tables = new MemoryTables(records);
    this.#now = now;
  }

  /** @throws ApiError 404 for the store or the version */
  async get(storeId: string, versionId: string): Promise<VersionRow> {
    await this.#tables.store(storeId);
    return (await this.#existing(storeId, versionId)).value;
  }

  /** The text of a version; null when it has none: it records a deletion, or was redacted. */
  async content(version: VersionRow): Promise<string | null> {
    return (await this.#tables.contents.get(version.id))?.value.content ?? null;
  }

  /** Newest first. `query.limit` and `query.after` count what passes the filter. @throws ApiError 404 for the store */
  async list(storeId: string, filter: VersionFilter, query: RecordQuery): Promise<VersionRow[]> {
    await this.#tables.store(storeId);
    const states = filter.memory_id === undefined ? {} : { states: [filter.memory_id] };
    const found: VersionRow[] = [];
    const limit = Math.max(BATCH, query.limit);
    let { after } = query;
    for (;;) {
      const position = after === undefined ? {} : { after };
      const rows = await this.#tables.versions.list({
        ...query,
        ...states,
        ...position,
        scope: storeId,
        limit,
      });
      found.push(...rows.filter((row) => passes(row, filter)));
      const last = rows.at(-1);
      if (found.length >= query.limit || rows.length < limit || last === undefined) return found.slice(0, query.limit);
      after = { created_at: last.created_at, id: last.id };
    }
  }

  /**
   * Removes what the version held, for good. Again is no change.
   * @throws ApiError 404, 400 for the version that is a memory's content now
   */
  redact(storeId: string, versionId: string, actor: Actor): Promise<VersionRow> {
    return untilUncontested(async () => {
      const store = await this.#tables.store(storeId);
      const { value, revision } = await this.#existing(storeId, versionId);
      if (value.redacted_at !== null) return value;
      const memory = await this.#tables.memories.get(value.memory_id);
      if (memory?.value.memory_version_id === versionId) {
        invalid(
          `Version ${versionId} is what memory ${value.memory_id} holds now. Change or delete the memory first, then redact the version.`,
        );
      }
      const redacted: VersionRow = {
        ...value,
        path: null,
        content_sha256: null,
        content_size_bytes: null,
        redacted_at: new Date(this.#now()).toISOString(),
        redacted_by: actor,
      };
      await this.#tables.records.write([
        this.#tables.versions.replacement(redacted, revision),
        this.#tables.contents.deletion(versionId),
        // A store that is being deleted must not get a version back.
        this.#tables.stores.replacement(store.value, store.revision),
      ]);
      return redacted;
    });
  }

  async #existing(storeId: string, versionId: string): Promise<Versioned<VersionRow>> {
    const version = await this.#tables.versions.get(versionId);
    if (version === null || version.value.memory_store_id !== storeId) return notFound("Memory version", versionId);
    return version;
  }
}

function passes(row: VersionRow, filter: VersionFilter): boolean {
  const by = row.created_by;
  if (filter.operation !== undefined && row.operation !== filter.operation) return false;
  if (filter.api_key_id !== undefined && !(by.type === "api_actor" && by.api_key_id === filter.api_key_id))
    return false;
  if (filter.session_id !== undefined && !(by.type === "session_actor" && by.session_id === filter.session_id)) {
    return false;
  }
  return (
    filter.service_account_id === undefined ||
    (by.type === "service_account_actor" && by.service_account_id === filter.service_account_id)
  );
}
