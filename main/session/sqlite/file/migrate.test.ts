import * as fs from "node:fs";
import * as path from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import { agentMessage, newSession } from "../../testing/drafts.ts";
import { temporaryStore } from "../../testing/temporary_store.ts";
import { openDatabase } from "./open_database.ts";
import { MIGRATIONS, type Migration } from "./schema.ts";

const NOW = MIGRATIONS.at(-1)!.version;
const NEXT: Migration = { version: NOW + 1, sql: "ALTER TABLE files ADD COLUMN note TEXT; CREATE TABLE new_thing (x)" };
const BROKEN: Migration = { version: NOW + 2, sql: "CREATE TABLE half_thing (x); INSERT INTO nowhere VALUES (1)" };

async function ledgerOfThisVersion(): Promise<string> {
  const { dataDir, ledger, close } = temporaryStore();
  const id = await newSession(ledger);
  for (let index = 0; index < 30; index++) await ledger.emitEvent(id, agentMessage(`event ${index}`));
  await close();
  return dataDir;
}

const backups = (dir: string): string[] => {
  const folder = path.join(dir, "backups");
  return fs.existsSync(folder) ? fs.readdirSync(folder) : [];
};

test("L11 steps run once, forwards, after a whole backup of the ledger as it was", async () => {
  const dir = await ledgerOfThisVersion();
  openDatabase(dir).close();
  expect(backups(dir)).toEqual([]);
  const db = openDatabase(dir, [...MIGRATIONS, NEXT]);
  expect(db.pragma("user_version", { simple: true })).toBe(NOW + 1);
  db.prepare("SELECT x FROM new_thing").get();
  db.close();
  openDatabase(dir, [...MIGRATIONS, NEXT]).close();
  const [name = "", ...more] = backups(dir);
  expect(more).toEqual([]);
  expect(name).toMatch(new RegExp(`^ledger-v${NOW}-.*\\.db$`));
  const backup = new Database(path.join(dir, "backups", name), { readonly: true });
  expect(backup.pragma("user_version", { simple: true })).toBe(NOW);
  expect(backup.pragma("application_id", { simple: true })).toBe(0x4c4f4e47);
  expect(backup.prepare("SELECT count(*) FROM events").pluck().get()).toBe(31);
  backup.close();
  expect(() => openDatabase(dir)).toThrow(new RegExp(`schema version ${NOW + 1}`));
});

test("L11 a step that fails is undone whole, names its backup, and can be tried again", async () => {
  const dir = await ledgerOfThisVersion();
  const steps = [...MIGRATIONS, NEXT, BROKEN];
  expect(() => openDatabase(dir, steps)).toThrow(
    new RegExp(
      `step to schema version ${NOW + 2} failed and was undone: no such table: nowhere .*as it was before is in .*ledger-v${NOW}-`,
    ),
  );
  const db = openDatabase(dir, [...MIGRATIONS, NEXT]);
  expect(db.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'half_thing'").pluck().get()).toBe(0);
  expect(db.prepare("SELECT count(*) FROM events").pluck().get()).toBe(31);
  db.close();
});

test("L11 without a backup nothing is migrated", async () => {
  const dir = await ledgerOfThisVersion();
  fs.writeFileSync(path.join(dir, "backups"), "a file where the folder should be");
  expect(() => openDatabase(dir, [...MIGRATIONS, NEXT])).toThrow(/backup/);
  openDatabase(dir).close();
});
