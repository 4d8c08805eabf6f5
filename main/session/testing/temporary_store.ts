/** SQLite stores in folders that the test's end removes. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { onTestFinished } from "vitest";
import { fileBlobStore } from "../blobs.ts";
import { openDatabase } from "../sqlite/file/open_database.ts";
import { openSqliteLedger, type SqliteStore, type SqliteStoreOptions } from "../sqlite/open.ts";

/** A folder of its own for the running test, in memory where the system offers that: many tests flush a lot. */
export function temporaryDir(): string {
  const root = fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir();
  const dir = fs.mkdtempSync(path.join(root, "longhaul-ledger-"));
  onTestFinished(() => fs.rmSync(dir, { recursive: true, force: true }));
  return dir;
}

let emptyLedger: Buffer | null = null;

/** Puts an empty ledger into `dataDir`: making one takes a dozen flushes to disk, copying one takes none. */
function placeEmptyLedger(dataDir: string): void {
  const file = path.join(dataDir, "ledger.db");
  if (fs.existsSync(file)) return;
  if (emptyLedger === null) {
    openDatabase(dataDir).close();
    emptyLedger = fs.readFileSync(file);
  }
  fs.writeFileSync(file, emptyLedger);
}

interface TemporaryOptions extends Partial<SqliteStoreOptions> {
  /** Reports that the test provokes. Any other one fails it. */
  expected?: RegExp;
}

/** Opens a store that the test's end closes. */
export function temporaryStore(options: TemporaryOptions = {}): SqliteStore & { dataDir: string; problems: string[] } {
  const { dataDir = temporaryDir(), expected, ...rest } = options;
  placeEmptyLedger(dataDir);
  const problems: string[] = [];
  const blobs = fileBlobStore(path.join(dataDir, "blobs"));
  const store = openSqliteLedger({ blobs, report: (problem) => problems.push(problem), ...rest, dataDir });
  onTestFinished(async () => {
    await store.close();
    const unexpected = problems.filter((problem) => expected?.test(problem) !== true);
    if (unexpected.length > 0) throw new Error(`the ledger reported: ${unexpected.join("; ")}`);
  });
  return { ...store, dataDir, problems };
}
