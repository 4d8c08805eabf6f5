/**
 * Port: records of the API's resources that are neither events nor agents, environments or files: vaults, memories,
 * deployments, work items and so on. One table for all kinds; what a kind means is its owner's business. Adapters
 * `sqlite_records.ts` and `memory_records.ts` pass `records_suite.ts`.
 */

/** The columns that lists and uniqueness need; everything else is in `body`. */
export interface StoredRecord {
  /** For example `memory_store`; ids are unique within a kind. */
  kind: string;
  id: string;
  /** Id of the record that this one belongs to; "" when it stands alone. */
  scope: string;
  /** Unique within kind and scope: a path, a URL. Null for none; an archived record gives its key up by setting null. */
  key: string | null;
  /** A value that lists filter by, for example a status; null for none. */
  state: string | null;
  /** ISO 8601 with milliseconds; together with `id` it orders lists. */
  created_at: string;
  archived_at: string | null;
  /** JSON value. */
  body: unknown;
}

/** A record as it was read: `revision` grows with each replacement. */
export interface ReadRecord extends StoredRecord {
  revision: number;
}

export interface RecordQuery {
  scope?: string;
  /** Only records with one of these states. */
  states?: readonly string[];
  /** Only these ids. */
  ids?: readonly string[];
  /** Default false. */
  include_archived?: boolean;
  created_gt?: string;
  created_gte?: string;
  created_lt?: string;
  created_lte?: string;
  /** By creation; default "desc" (newest first). */
  order?: "asc" | "desc";
  limit: number;
  /** Rows strictly after this one in the list's order. */
  after?: { created_at: string; id: string };
}

export interface KeyQuery {
  scope: string;
  /** Only keys that begin with this text. */
  prefix?: string;
  /** Only keys greater than this one. Keys compare by their UTF-8 bytes. */
  after?: string;
  limit: number;
}

export type RecordWrite =
  | { op: "insert"; record: StoredRecord }
  /** @property revision the revision that was read; another one means that somebody else was first */
  | { op: "replace"; record: StoredRecord; revision: number }
  /** Without `revision` whatever is there goes; a record that is not there is no error then. */
  | { op: "delete"; kind: string; id: string; revision?: number };

/** Why a write was refused; nothing of it was stored. */
export class RecordConflict extends Error {
  override readonly name = "RecordConflict";
  /** `exists`: the id is taken; `key`: the key is taken; `revision`: changed or removed since it was read. */
  readonly reason: "exists" | "key" | "revision";
  readonly kind: string;
  readonly id: string;

  constructor(reason: RecordConflict["reason"], kind: string, id: string) {
    super(`The ${kind} ${id} cannot be written (${reason}); nothing was stored.`);
    this.reason = reason;
    this.kind = kind;
    this.id = id;
  }
}

export interface Records {
  /** One record, archived ones too; null when unknown. */
  get(kind: string, id: string): Promise<ReadRecord | null>;
  /** The record that holds this key; null when none does. */
  findByKey(kind: string, scope: string, key: string): Promise<ReadRecord | null>;
  /** In order of creation. */
  list(kind: string, query: RecordQuery): Promise<ReadRecord[]>;
  /** Records with a key, in order of their keys. */
  listByKey(kind: string, query: KeyQuery): Promise<ReadRecord[]>;
  /** Number of records, archived ones not counted. */
  count(kind: string, scope?: string): Promise<number>;
  /**
   * All of the writes in one transaction, durable when it resolves. Rejects with {@link RecordConflict}, or with
   * LedgerWriteError when the disk is full or cannot be written; then nothing was stored.
   */
  write(writes: readonly RecordWrite[]): Promise<void>;
}
