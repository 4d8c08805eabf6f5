/** Opens `<data_dir>/ledger.db` with the settings that durability needs, or makes a new one. */
import * as fs from "node:fs";
import * as path from "node:path";
import Database from "better-sqlite3";
import { DataDirUnwritable } from "../../data_dir_lock.ts";
import { damaged, LEDGER_FILE, LedgerUnreadable, ledgerExists } from "./file_check.ts";
import { migrate } from "./migrate.ts";
import { APPLICATION_ID, MIGRATIONS, type Migration } from "./schema.ts";

/** Older releases can lose the tail of a write-ahead log (the WAL-reset bug). */
const OLDEST_SQLITE = [3, 51, 3];

/**
 * @throws {DataDirUnwritable} when the folder cannot be made or written
 * @throws {LedgerUnreadable} when there is a file that is not a ledger of this version or an earlier one
 */
export function openDatabase(dataDir: string, migrations: readonly Migration[] = MIGRATIONS): Database.Database {
  prepareFolder(dataDir);
  if (!ledgerExists(dataDir, migrations.at(-1)?.version ?? 0)) createLedger(dataDir, migrations);
  let db: Database.Database | undefined;
  try {
    db = new Database(path.join(dataDir, LEDGER_FILE), { fileMustExist: true });
    assertSqlite(db);
    configure(db);
    migrate(db, dataDir, migrations);
    // Fails here rather than at the first append when the schema is not what its version says.
    db.prepare("SELECT pos, id, type, thread_id, created_at, event, bodies, hash FROM events LIMIT 1").get();
    return db;
  } catch (error) {
    db?.close();
    throw explained(error, dataDir);
  }
}

function prepareFolder(dataDir: string): void {
  const probe = path.join(dataDir, `.writable-${process.pid}`);
  try {
    fs.mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    fs.writeFileSync(probe, "x");
    fs.rmSync(probe);
  } catch (error) {
    throw new DataDirUnwritable(dataDir, error);
  }
}

/** Makes the file under another name and renames it: `ledger.db` is a whole ledger from its first moment. */
function createLedger(dataDir: string, migrations: readonly Migration[]): void {
  const file = path.join(dataDir, LEDGER_FILE);
  const unfinished = `${file}.new`;
  try {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) fs.rmSync(unfinished + suffix, { force: true });
    const db = new Database(unfinished);
    try {
      db.pragma(`application_id = ${APPLICATION_ID}`);
      configure(db);
      migrate(db, dataDir, migrations);
    } finally {
      // Closing the last connection copies the log into the file and flushes it.
      db.close();
    }
    // Sessions are private, also in a folder that others may read. SQLite gives its log the same mode.
    fs.chmodSync(unfinished, 0o600);
    fs.renameSync(unfinished, file);
    if (process.platform === "win32") return;
    const folder = fs.openSync(dataDir, "r");
    try {
      fs.fsyncSync(folder);
    } finally {
      fs.closeSync(folder);
    }
  } catch (error) {
    throw new DataDirUnwritable(dataDir, error);
  }
}

function configure(db: Database.Database): void {
  db.pragma("journal_mode = WAL");
  // This build defaults to NORMAL in WAL mode, which loses acknowledged commits when the power goes.
  db.pragma("synchronous = FULL");
  // macOS: fsync() alone leaves the data in the drive's cache.
  if (process.platform === "darwin") {
    db.pragma("fullfsync = ON");
    db.pragma("checkpoint_fullfsync = ON");
  }
  // INSERT OR REPLACE deletes without firing triggers unless they are recursive.
  db.pragma("recursive_triggers = ON");
  db.pragma("journal_size_limit = 67108864");
  db.pragma("wal_autocheckpoint = 1000");
}

function assertSqlite(db: Database.Database): void {
  const version = String(db.prepare("SELECT sqlite_version()").pluck().get());
  const parts = version.split(".").map(Number);
  for (const [index, least] of OLDEST_SQLITE.entries()) {
    const part = parts[index] ?? 0;
    if (part > least) return;
    if (part < least) throw new Error(`SQLite ${version} is too old: ${OLDEST_SQLITE.join(".")} or later is needed.`);
  }
}

function explained(error: unknown, dataDir: string): unknown {
  if (error instanceof LedgerUnreadable || !(error instanceof Database.SqliteError)) return error;
  if (/^SQLITE_(READONLY|FULL|CANTOPEN|PERM|IOERR)/.test(error.code)) return new DataDirUnwritable(dataDir, error);
  return damaged(dataDir, `SQLite says "${error.message}" (${error.code})`, error);
}
