/** Work items as records: each change is a compare-and-set of one of them. */
import { RecordTable, type Versioned } from "../session/records/record_table.ts";
import { RecordConflict, type Records, type RecordWrite } from "../session/records/records.ts";
import { WorkConflict, type WorkItem, type WorkPage, type WorkState } from "./port.ts";

/** More than anybody runs at once; longer lists are read in parts. */
const BATCH = 1_000;

export class ItemStore {
  readonly #table: RecordTable<WorkItem>;

  constructor(records: Records) {
    this.#table = new RecordTable<WorkItem>(records, {
      kind: "work",
      scope: (item) => item.environment_id,
      // One live item per session: what makes queueing idempotent.
      key: (item) => (item.state === "stopped" ? null : item.session_id),
      state: (item) => item.state,
    });
  }

  get(id: string): Promise<Versioned<WorkItem> | null> {
    return this.#table.get(id);
  }

  /** The session's item that has not stopped. */
  live(environmentId: string, sessionId: string): Promise<Versioned<WorkItem> | null> {
    return this.#table.findByKey(environmentId, sessionId);
  }

  /** Newest first. */
  page(environmentId: string, page: WorkPage): Promise<WorkItem[]> {
    return this.#table.list({ scope: environmentId, order: "desc", ...page });
  }

  /** False when the session has a live item already. */
  async insert(item: WorkItem): Promise<boolean> {
    try {
      await this.#table.insert(item);
      return true;
    } catch (error) {
      if (error instanceof RecordConflict) return false;
      throw error;
    }
  }

  /** False when the item was changed since it was read; then nothing of `more` was stored either. */
  async replace(item: WorkItem, revision: number, more: readonly RecordWrite[] = []): Promise<boolean> {
    try {
      await this.#table.records.write([this.#table.replacement(item, revision), ...more]);
      return true;
    } catch (error) {
      if (error instanceof RecordConflict) return false;
      throw error;
    }
  }

  /** Applies `next` to the item as it is; what `next` throws is thrown. Rejects with WorkConflict when it was removed. */
  async change(id: string, next: (current: WorkItem) => WorkItem): Promise<WorkItem> {
    for (;;) {
      const found = await this.#table.get(id);
      if (found === null) throw new WorkConflict(`Work item ${id} was removed with its environment.`);
      const item = next(found.value);
      if (item === found.value || (await this.replace(item, found.revision))) return item;
    }
  }

  deletion(id: string): RecordWrite {
    return this.#table.deletion(id);
  }

  /**
   * Oldest first, read in parts.
   * @param environmentId null: of all environments
   */
  async *each(environmentId: string | null, states?: readonly WorkState[]): AsyncGenerator<WorkItem> {
    let after: { created_at: string; id: string } | undefined;
    for (;;) {
      const batch = await this.#table.list({
        order: "asc",
        limit: BATCH,
        ...(environmentId === null ? {} : { scope: environmentId }),
        ...(states === undefined ? {} : { states }),
        ...(after === undefined ? {} : { after }),
      });
      yield* batch;
      const last = batch.at(-1);
      if (last === undefined || batch.length < BATCH) return;
      after = { created_at: last.created_at, id: last.id };
    }
  }
}
