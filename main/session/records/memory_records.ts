/** Records in memory, for tests. Every record is copied in and out: no caller can change another's. */
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

type Rows = Map<string, ReadRecord>;

export class MemoryRecords implements Records {
  #rows: Rows = new Map();

  async get(kind: string, id: string): Promise<ReadRecord | null> {
    return structuredClone(this.#rows.get(place(kind, id)) ?? null);
  }

  async findByKey(kind: string, scope: string, key: string): Promise<ReadRecord | null> {
    return structuredClone(holder(this.#rows, kind, scope, key) ?? null);
  }

  async list(kind: string, query: RecordQuery): Promise<ReadRecord[]> {
    const sign = query.order === "asc" ? 1 : -1;
    const { after } = query;
    const { from, to } = timeRange(query);
    const listed = [...this.#rows.values()]
      .filter((row) => row.kind === kind && (query.scope === undefined || row.scope === query.scope))
      .filter((row) => query.include_archived === true || row.archived_at === null)
      .filter((row) => query.states === undefined || (row.state !== null && query.states.includes(row.state)))
      .filter((row) => query.ids === undefined || query.ids.includes(row.id))
      .filter((row) => row.created_at >= from && row.created_at <= to)
      .filter((row) => after === undefined || sign * byCreation(row, after) > 0)
      .sort((a, b) => sign * byCreation(a, b));
    return structuredClone(listed.slice(0, query.limit));
  }

  async listByKey(kind: string, query: KeyQuery): Promise<ReadRecord[]> {
    const { scope, prefix = "", after } = query;
    const listed = [...this.#rows.values()]
      .flatMap((row) => (row.key === null ? [] : [{ row, key: row.key }]))
      .filter(({ row, key }) => row.kind === kind && row.scope === scope && key.startsWith(prefix))
      .filter(({ key }) => after === undefined || byBytes(key, after) > 0)
      .sort((a, b) => byBytes(a.key, b.key));
    return structuredClone(listed.slice(0, query.limit).map(({ row }) => row));
  }

  async count(kind: string, scope?: string): Promise<number> {
    const counted = [...this.#rows.values()].filter(
      (row) => row.kind === kind && row.archived_at === null && (scope === undefined || row.scope === scope),
    );
    return counted.length;
  }

  async write(writes: readonly RecordWrite[]): Promise<void> {
    const next: Rows = new Map(this.#rows);
    for (const write of writes) apply(next, write);
    this.#rows = next;
  }
}

function apply(rows: Rows, write: RecordWrite): void {
  if (write.op === "delete") {
    const known = rows.get(place(write.kind, write.id));
    if (write.revision !== undefined && known?.revision !== write.revision) {
      throw new RecordConflict("revision", write.kind, write.id);
    }
    rows.delete(place(write.kind, write.id));
    return;
  }
  const { record } = write;
  const known = rows.get(place(record.kind, record.id));
  if (write.op === "insert" && known !== undefined) throw new RecordConflict("exists", record.kind, record.id);
  if (write.op === "replace" && known?.revision !== write.revision) {
    throw new RecordConflict("revision", record.kind, record.id);
  }
  const other = record.key === null ? undefined : holder(rows, record.kind, record.scope, record.key);
  if (other !== undefined && other.id !== record.id) throw new RecordConflict("key", record.kind, record.id);
  const row: StoredRecord = structuredClone(record);
  rows.set(place(record.kind, record.id), { ...row, revision: (known?.revision ?? 0) + 1 });
}

function place(kind: string, id: string): string {
  return `${kind}\n${id}`;
}

function holder(rows: Rows, kind: string, scope: string, key: string): ReadRecord | undefined {
  return [...rows.values()].find((row) => row.kind === kind && row.scope === scope && row.key === key);
}

function byCreation(a: { created_at: string; id: string }, b: { created_at: string; id: string }): number {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? -1 : 1;
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
