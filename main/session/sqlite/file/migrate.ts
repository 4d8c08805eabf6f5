/** Brings a ledger's schema up to date, step by step and only forwards, after a backup that was read back (L11). */
import * as fs from "node:fs";
import * as path from "node:path";
import Database from "better-sqlite3";
import { BACKUP_DIR, damaged, fromTheFuture } from "./file_check.ts";
import type { Migration } from "./schema.ts";

/**
 * Applies every step above the file's `user_version`, each in a transaction of its own.
 * @throws {LedgerUnreadable} when the file is of a later version or a step fails; the failed step is undone
 */
export function migrate(db: Database.Database, dataDir: string, migrations: readonly Migration[]): void {
  const current = Number(db.pragma("user_version", { simple: true }));
  const known = migrations.at(-1)?.version ?? 0;
  if (current > known) throw fromTheFuture(dataDir, current, known);
  const pending = migrations.filter((migration) => migration.version > current);
  if (pending.length === 0) return;
  const backup = current > 0 ? backUp(db, dataDir, current) : null;
  for (const { version, sql } of pending) {
    try {
      db.transaction(() => {
        db.exec(sql);
        db.pragma(`user_version = ${version}`);
      }).immediate();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const kept = backup === null ? "" : ` (the ledger as it was before is in ${backup})`;
      throw damaged(dataDir, `the step to schema version ${version} failed and was undone: ${reason}${kept}`, error);
    }
  }
}

/** Copies the ledger into `<dataDir>/backups` and reads the copy back. Returns its path. */
function backUp(db: Database.Database, dataDir: string, version: number): string {
  const folder = path.join(dataDir, BACKUP_DIR);
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stamp = new Date().toISOString().replaceAll(":", "-");
  const file = path.join(folder, `ledger-v${version}-${stamp}.db`);
  const unfinished = `${file}.unfinished`;
  try {
    db.prepare("VACUUM INTO ?").run(unfinished);
    checkBackup(db, unfinished);
    fs.chmodSync(unfinished, 0o600);
    const handle = fs.openSync(unfinished, "r+");
    try {
      fs.fsyncSync(handle);
    } finally {
      fs.closeSync(handle);
    }
    fs.renameSync(unfinished, file);
  } catch (error) {
    fs.rmSync(unfinished, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw damaged(dataDir, `no backup could be made before bringing it up to date: ${reason}`, error);
  }
  return file;
}

function checkBackup(db: Database.Database, file: string): void {
  const copy = new Database(file, { readonly: true });
  try {
    const verdict = copy.pragma("integrity_check(1)", { simple: true });
    if (verdict !== "ok") throw new Error(`the copy is damaged: ${String(verdict)}`);
    const count = "SELECT count(*) FROM events";
    const wanted = db.prepare(count).pluck().get();
    if (copy.prepare(count).pluck().get() !== wanted) throw new Error("the copy does not hold every event");
  } finally {
    copy.close();
  }
}
