/** Opens the ledger and the catalog of a data directory: the one place that callers need to know of SQLite. */
import type Database from "better-sqlite3";
import type { BlobStore, Catalog } from "../catalog.ts";
import { type IsHolderAlive, processLives } from "../record/lease_rules.ts";
import type { Records } from "../records/records.ts";
import { SqliteRecords } from "../records/sqlite_records.ts";
import type { ScrubEvent } from "../secrets/mask_event.ts";
import { damaged } from "./file/file_check.ts";
import { openDatabase } from "./file/open_database.ts";
import { SqliteCatalog } from "./sqlite_catalog.ts";
import { SqliteLedger } from "./sqlite_ledger.ts";

export { LedgerUnreadable } from "./file/file_check.ts";

export interface SqliteStoreOptions {
  /** Folder of `ledger.db`; made when it is missing. Lock it first: `lockDataDir`. */
  dataDir: string;
  /** Where bodies over 64 KiB go. */
  blobs: BlobStore;
  /**
   * Tells whether a lease's holder lives. Default: a process with its pid does. An engine that has locked the data
   * directory knows better: every holder but itself is dead.
   */
  isHolderAlive?: IsHolderAlive;
  now?: () => number;
  /** Takes known secret values out of every event that is appended. Default: nothing is known. */
  scrub?: ScrubEvent;
  /** Told of failures that no caller can be told of. Default: a process warning. */
  report?: (problem: string) => void;
}

export interface SqliteStore {
  ledger: SqliteLedger;
  catalog: Catalog;
  records: Records;
  sqliteVersion: string;
  countSessions(): number;
  /** Commits what waits and closes the file. */
  close(): Promise<void>;
}

/**
 * @throws {DataDirUnwritable} when the folder cannot be made or written
 * @throws {LedgerUnreadable} when `ledger.db` is foreign, damaged or from a later version; it is left as it is
 */
export function openSqliteLedger(options: SqliteStoreOptions): SqliteStore {
  const db = openDatabase(options.dataDir);
  const ledger = ledgerOn(db, options);
  return {
    ledger,
    catalog: new SqliteCatalog(db),
    records: new SqliteRecords(db),
    sqliteVersion: String(db.prepare("SELECT sqlite_version()").pluck().get()),
    countSessions: () => ledger.countSessions(),
    close: () => ledger.close(),
  };
}

function ledgerOn(db: Database.Database, options: SqliteStoreOptions): SqliteLedger {
  try {
    return new SqliteLedger(db, {
      blobs: options.blobs,
      isHolderAlive: options.isHolderAlive ?? processLives,
      now: options.now ?? Date.now,
      scrub: options.scrub ?? ((text) => text),
      report: options.report ?? ((problem) => process.emitWarning(problem)),
    });
  } catch (error) {
    db.close();
    const reason = error instanceof Error ? error.message : String(error);
    throw damaged(options.dataDir, `its tables cannot be read: ${reason}`, error);
  }
}
