/** One kind of record with its type: the columns are derived from the value, so that no caller can let them differ. */
import type { KeyQuery, RecordQuery, Records, RecordWrite, StoredRecord } from "./records.ts";

/** What every record's value has. */
export interface RecordValue {
  id: string;
  created_at: string;
  archived_at?: string | null;
}

export interface TableShape<T> {
  kind: string;
  /** Id of the record that a value belongs to. */
  scope?: (value: T) => string;
  /** What is unique within the scope. */
  key?: (value: T) => string | null;
  /** What lists filter by. */
  state?: (value: T) => string | null;
}

/** A value as it was read; its revision is needed to replace it. */
export interface Versioned<T> {
  value: T;
  revision: number;
}

export class RecordTable<T extends RecordValue> {
  readonly records: Records;
  readonly #shape: TableShape<T>;

  constructor(records: Records, shape: TableShape<T>) {
    this.records = records;
    this.#shape = shape;
  }

  async get(id: string): Promise<Versioned<T> | null> {
    return versioned<T>(await this.records.get(this.#shape.kind, id));
  }

  async findByKey(scope: string, key: string): Promise<Versioned<T> | null> {
    return versioned<T>(await this.records.findByKey(this.#shape.kind, scope, key));
  }

  async list(query: RecordQuery): Promise<T[]> {
    return (await this.records.list(this.#shape.kind, query)).map((row) => row.body as T);
  }

  async listByKey(query: KeyQuery): Promise<T[]> {
    return (await this.records.listByKey(this.#shape.kind, query)).map((row) => row.body as T);
  }

  count(scope?: string): Promise<number> {
    return this.records.count(this.#shape.kind, scope);
  }

  /** Writes for {@link Records.write}, to be put together with those of other tables. */
  insertion(value: T): RecordWrite {
    return { op: "insert", record: this.#row(value) };
  }

  replacement(value: T, revision: number): RecordWrite {
    return { op: "replace", record: this.#row(value), revision };
  }

  deletion(id: string, revision?: number): RecordWrite {
    return { op: "delete", kind: this.#shape.kind, id, ...(revision === undefined ? {} : { revision }) };
  }

  /** Rejects with RecordConflict when the id or key is taken. */
  insert(value: T): Promise<void> {
    return this.records.write([this.insertion(value)]);
  }

  /** Rejects with RecordConflict when it was changed or removed since `revision` was read, or the key is taken. */
  replace(value: T, revision: number): Promise<void> {
    return this.records.write([this.replacement(value, revision)]);
  }

  /** Without `revision` whatever is there goes. */
  delete(id: string, revision?: number): Promise<void> {
    return this.records.write([this.deletion(id, revision)]);
  }

  #row(value: T): StoredRecord {
    const { kind, scope, key, state } = this.#shape;
    return {
      kind,
      id: value.id,
      scope: scope?.(value) ?? "",
      key: key?.(value) ?? null,
      state: state?.(value) ?? null,
      created_at: value.created_at,
      archived_at: value.archived_at ?? null,
      body: value,
    };
  }
}

function versioned<T>(row: { body: unknown; revision: number } | null): Versioned<T> | null {
  return row === null ? null : { value: row.body as T, revision: row.revision };
}
