/** One engine per data directory: a lock of the operating system, which ends with the process however it dies. */
import * as fs from "node:fs";
import * as path from "node:path";
import Database from "better-sqlite3";

/** Another engine has the data directory open. */
export class DataDirLocked extends Error {
  override readonly name = "DataDirLocked";

  constructor(dataDir: string, pid: number | null) {
    const who = pid === null ? "another engine" : `the engine with process id ${pid}`;
    super(
      `${dataDir} is in use by ${who}. Nothing was changed. ` +
        "Use that engine, stop it first, or start this one with another --data-dir.",
    );
  }
}

/** The data directory cannot be created or written. `code` is the errno that tells why, such as EACCES or ENOSPC. */
export class DataDirUnwritable extends Error {
  override readonly name = "DataDirUnwritable";
  readonly code: string;

  constructor(dataDir: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `The data directory ${dataDir} cannot be written (${reason}). Nothing was changed. ` +
        "Make it a folder that you may write to, with free space, or choose another with --data-dir.",
      { cause },
    );
    this.code = errnoOf(cause);
  }
}

function errnoOf(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  if (!code.startsWith("SQLITE_")) return code === "" ? "EACCES" : code;
  if (code.startsWith("SQLITE_FULL")) return "ENOSPC";
  return code.startsWith("SQLITE_READONLY") ? "EROFS" : "EACCES";
}

/** Locks of this process. A database that nobody refers to is collected and closed, and its lock would be gone. */
const held = new Set<Database.Database>();

const WAIT_FOR_A_DYING_ENGINE_MS = 300;

/**
 * Locks `dataDir` for this process; creates the folder when it is missing.
 *
 * The lock is SQLite's on `engine.lock`: it works alike on Linux, macOS and Windows, and a file left by a dead process
 * locks nothing. The pid stands in a file of its own, for the message only: opening `engine.lock` a second time in the
 * process that holds it would drop the lock (POSIX locks end when any descriptor of the file is closed).
 * @throws {DataDirLocked} when another engine has it
 * @throws {DataDirUnwritable} when the folder cannot be made or written
 */
export function lockDataDir(dataDir: string): { release(): void } {
  const file = path.join(dataDir, "engine.lock");
  const pidFile = path.join(dataDir, "engine.pid");
  let lock: Database.Database | undefined;
  try {
    fs.mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    lock = new Database(file, { timeout: WAIT_FOR_A_DYING_ENGINE_MS });
    // No journal file: nothing is ever written to this database.
    lock.pragma("journal_mode = MEMORY");
    lock.exec("BEGIN EXCLUSIVE");
    fs.writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    lock?.close();
    if (error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY")) {
      throw new DataDirLocked(dataDir, readPid(pidFile));
    }
    throw new DataDirUnwritable(dataDir, explained(error, file));
  }
  const own = lock;
  held.add(own);
  return {
    release: () => {
      if (!held.delete(own)) return;
      fs.rmSync(pidFile, { force: true });
      own.exec("ROLLBACK");
      own.close();
    },
  };
}

function readPid(file: string): number | null {
  try {
    const pid = Number(fs.readFileSync(file, "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : null;
  } catch (error) {
    // The other engine may be between taking the lock and writing its pid: the message then names none.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

function explained(error: unknown, file: string): unknown {
  if (!(error instanceof Database.SqliteError) || error.code !== "SQLITE_NOTADB") return error;
  // Not removed by itself: that could free a lock which a running engine holds.
  return new Error(`${file} is not a lock file; when no engine runs here, delete it`);
}
