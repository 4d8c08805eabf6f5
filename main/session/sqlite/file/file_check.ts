/** Looks at `ledger.db` before SQLite does: a file that is not ours must not be touched at all (L11). */
import * as fs from "node:fs";
import * as path from "node:path";
import { APPLICATION_ID } from "./schema.ts";

export const LEDGER_FILE = "ledger.db";
export const BACKUP_DIR = "backups";

const MAGIC = "SQLite format 3\0";
const USER_VERSION_AT = 60;
const APPLICATION_ID_AT = 68;
const PAGE_SIZE_AT = 16;
const PAGE_COUNT_AT = 28;

/** `ledger.db` is not a ledger that this version can open. The file was not changed. */
export class LedgerUnreadable extends Error {
  override readonly name = "LedgerUnreadable";

  /**
   * @param why what is wrong with the file
   * @param advice what to do next
   */
  constructor(dataDir: string, why: string, advice: string, cause?: unknown) {
    const file = path.join(dataDir, LEDGER_FILE);
    super(`${file} cannot be opened as a ledger: ${why}. Nothing was changed. ${whatIsWhole(dataDir)} ${advice}`, {
      cause,
    });
  }
}

/** What stays true whatever is wrong with the ledger's file. */
function whatIsWhole(dataDir: string): string {
  const folder = path.join(dataDir, BACKUP_DIR);
  const backups = fs.existsSync(folder) ? fs.readdirSync(folder).filter((name) => name.endsWith(".db")) : [];
  const newest = backups.sort().at(-1);
  const kept = newest === undefined ? "" : ` The newest backup is ${path.join(folder, newest)}.`;
  return `Large bodies, uploaded files and sandboxes are separate files in ${dataDir} and were not touched.${kept}`;
}

/** The refusal of a damaged ledger: foreign and future ones have other advice. */
export function damaged(dataDir: string, why: string, cause?: unknown): LedgerUnreadable {
  return new LedgerUnreadable(
    dataDir,
    why,
    `Copy ${dataDir} to a safe place before anything else; then put a backup in the ledger's place, or move ${LEDGER_FILE}, ${LEDGER_FILE}-wal and ${LEDGER_FILE}-shm away to begin a new one.`,
    cause,
  );
}

/** The refusal of a ledger that a later version of the program wrote. */
export function fromTheFuture(dataDir: string, version: number, known: number): LedgerUnreadable {
  return new LedgerUnreadable(
    dataDir,
    `it has schema version ${version} and this program knows versions up to ${known}`,
    "Start the newer Longhaul that wrote it, or choose another --data-dir.",
  );
}

/**
 * @returns false when there is no ledger yet
 * @throws {LedgerUnreadable} when the file is foreign, empty, torn or from a later version
 */
export function ledgerExists(dataDir: string, knownVersion: number): boolean {
  const file = path.join(dataDir, LEDGER_FILE);
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) {
    // A new ledger beside the old one's log would be taken for the old one with everything gone.
    if (!fs.existsSync(`${file}-wal`)) return false;
    throw damaged(dataDir, `it is missing, although its write-ahead log ${LEDGER_FILE}-wal is there`);
  }
  if (!stat.isFile()) throw foreign(dataDir, "it is not a file");
  const header = readHeader(file);
  if (stat.size === 0) throw damaged(dataDir, "it is empty");
  if (header.length < 100 || header.toString("latin1", 0, MAGIC.length) !== MAGIC) {
    throw foreign(dataDir, "it is not an SQLite database");
  }
  if (header.readUInt32BE(APPLICATION_ID_AT) !== APPLICATION_ID) {
    throw foreign(dataDir, "it is a database of another program");
  }
  const version = header.readUInt32BE(USER_VERSION_AT);
  if (version > knownVersion) throw fromTheFuture(dataDir, version, knownVersion);
  const stored = header.readUInt16BE(PAGE_SIZE_AT);
  const expected = (stored === 1 ? 65536 : stored) * header.readUInt32BE(PAGE_COUNT_AT);
  // A log means that a crash may have cut a checkpoint short: SQLite then finishes it from the log.
  const log = fs.statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (log === 0 && stat.size < expected)
    throw damaged(dataDir, `it is cut off: ${stat.size} of ${expected} bytes are there`);
  return true;
}

function foreign(dataDir: string, why: string): LedgerUnreadable {
  return new LedgerUnreadable(dataDir, why, `Move that file away, or choose another --data-dir.`);
}

function readHeader(file: string): Buffer {
  const header = Buffer.alloc(100);
  const handle = fs.openSync(file, "r");
  try {
    return header.subarray(0, fs.readSync(handle, header, 0, header.length, 0));
  } finally {
    fs.closeSync(handle);
  }
}
