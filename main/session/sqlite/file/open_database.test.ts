import * as fs from "node:fs";
import * as path from "node:path";
import Database from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { DataDirUnwritable } from "../../data_dir_lock.ts";
import { agentMessage, label, newSession, read } from "../../testing/drafts.ts";
import { temporaryDir, temporaryStore } from "../../testing/temporary_store.ts";
import { LedgerUnreadable } from "./file_check.ts";
import { openDatabase } from "./open_database.ts";
import { MIGRATIONS } from "./schema.ts";

/** Every file of a folder with its bytes. */
function content(dir: string): Record<string, string> {
  const files = fs.readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return [path.relative(dir, file), fs.readFileSync(file).toString("base64")];
    }),
  );
}

function refusal(dir: string): string {
  const before = content(dir);
  let message = "";
  try {
    openDatabase(dir).close();
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerUnreadable);
    message = String(error);
  }
  expect(content(dir)).toEqual(before);
  return message;
}

/** A ledger with one session, closed. */
async function usedDir(): Promise<string> {
  const { dataDir, ledger, close } = temporaryStore();
  const id = await newSession(ledger);
  for (let index = 0; index < 200; index++) await ledger.emitEvent(id, agentMessage(`${index} ${"x".repeat(500)}`));
  await close();
  return dataDir;
}

describe("L11 opening", () => {
  test("a new ledger is durable from its first moment, and ours", () => {
    const dir = path.join(temporaryDir(), "made", "on demand");
    const db = openDatabase(dir);
    expect(db.pragma("journal_mode", { simple: true })).toBe("wal");
    expect(db.pragma("synchronous", { simple: true })).toBe(2);
    expect(db.pragma("mmap_size", { simple: true })).toBe(0);
    expect(db.pragma("user_version", { simple: true })).toBe(MIGRATIONS.at(-1)?.version);
    expect(db.pragma("application_id", { simple: true })).toBe(0x4c4f4e47);
    expect(db.pragma("integrity_check", { simple: true })).toBe("ok");
    if (process.platform !== "win32") {
      for (const name of ["ledger.db", "ledger.db-wal"])
        expect(fs.statSync(path.join(dir, name)).mode & 0o777).toBe(0o600);
    }
    db.close();
    expect(fs.readdirSync(dir)).toEqual(["ledger.db"]);
  });

  test("what a process left that died while making the ledger is made again", () => {
    const dir = temporaryDir();
    for (const name of ["ledger.db.new", "ledger.db.new-wal"]) fs.writeFileSync(path.join(dir, name), "half a ledger");
    openDatabase(dir).close();
    expect(fs.readdirSync(dir)).toEqual(["ledger.db"]);
  });

  test("a file that is no database, or another program's, is left alone", () => {
    const dir = temporaryDir();
    const file = path.join(dir, "ledger.db");
    fs.writeFileSync(file, "Dear diary, today I learned about file formats. ".repeat(10));
    expect(refusal(dir)).toMatch(
      /ledger.db cannot be opened as a ledger: it is not an SQLite database. Nothing was changed/,
    );
    fs.rmSync(file);
    const foreign = new Database(file);
    foreign.exec("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')");
    foreign.close();
    expect(refusal(dir)).toMatch(/a database of another program.*Move that file away, or choose another --data-dir/);
    fs.rmSync(file);
    fs.mkdirSync(file);
    expect(refusal(dir)).toMatch(/it is not a file/);
  });

  test("an empty, torn or damaged ledger is refused with what is safe and what to do", async () => {
    const dir = await usedDir();
    const file = path.join(dir, "ledger.db");
    const whole = fs.readFileSync(file);
    fs.mkdirSync(path.join(dir, "backups"));
    fs.writeFileSync(path.join(dir, "backups", "ledger-v1-2026.db"), "");
    fs.truncateSync(file, whole.length - 5_000);
    const torn = refusal(dir);
    expect(torn).toMatch(/cut off: \d+ of \d+ bytes are there/);
    expect(torn).toMatch(/uploaded files and sandboxes are separate files.*newest backup is .*ledger-v1-2026.db/);
    expect(torn).toMatch(/Copy .* to a safe place before anything else/);
    fs.writeFileSync(file, "");
    expect(refusal(dir)).toMatch(/it is empty/);
    fs.writeFileSync(file, whole.subarray(0, 60));
    expect(refusal(dir)).toMatch(/not an SQLite database/);
    // The schema's own page is garbage, its header is not.
    fs.writeFileSync(file, Buffer.concat([whole.subarray(0, 100), Buffer.alloc(3996, 0xff), whole.subarray(4096)]));
    expect(() => openDatabase(dir)).toThrow(/SQLite says "database disk image is malformed"/);
    fs.writeFileSync(file, whole);
    openDatabase(dir).close();
  });

  test("a log without its ledger is not taken for a new start", async () => {
    const dir = await usedDir();
    fs.renameSync(path.join(dir, "ledger.db"), path.join(dir, "ledger.db-wal"));
    expect(refusal(dir)).toMatch(/it is missing, although its write-ahead log ledger.db-wal is there/);
  });

  test("a ledger of a later version is refused, also when only its log says so", async () => {
    const dir = await usedDir();
    const file = path.join(dir, "ledger.db");
    const future = new Database(file);
    future.pragma("user_version = 99");
    // Copied while it is open: the new version is in the log only.
    const copy = temporaryDir();
    for (const name of ["ledger.db", "ledger.db-wal"]) fs.copyFileSync(path.join(dir, name), path.join(copy, name));
    future.close();
    expect(refusal(dir)).toMatch(/schema version 99 and this program knows versions up to 2.*Start the newer Longhaul/);
    expect(() => openDatabase(copy)).toThrow(/schema version 99/);
  });

  test("a data directory that cannot be written is named, with its errno", () => {
    const dir = temporaryDir();
    fs.writeFileSync(path.join(dir, "file"), "");
    const inside = path.join(dir, "file", "data");
    expect(() => openDatabase(inside)).toThrow(DataDirUnwritable);
    expect(() => openDatabase(inside)).toThrow(expect.objectContaining({ code: "ENOTDIR" }));
    expect(() => openDatabase(inside)).toThrow(/cannot be written.*Nothing was changed.*--data-dir/);
  });
});

describe("L11 the ledger of schema version 1", () => {
  test("opens, with every event, its chain, its list, its order, its search and its catalog", async () => {
    const dir = temporaryDir();
    const old = new Database(path.join(dir, "ledger.db"));
    old.exec(fs.readFileSync(path.join(import.meta.dirname, "fixtures", "v1.sql"), "utf8"));
    old.close();
    const { ledger, catalog } = temporaryStore({ dataDir: dir, isHolderAlive: () => false });
    expect(await ledger.verify("sesn_first")).toEqual({ events: 8, broken_at: null, reason: null });
    expect(await ledger.verify("sesn_second")).toEqual({ events: 3, broken_at: null, reason: null });
    const listed = await ledger.listSessions({ limit: 9, include_archived: true });
    expect(listed.map(({ id, fold }) => [id, fold.title, fold.archived_at])).toEqual([
      ["sesn_second", null, "2026-11-22T08:01:01.000Z"],
      ["sesn_first", "A ledger of version 1", null],
    ]);
    expect((await ledger.unfinishedSessions()).map(({ id, lease }) => [id, lease])).toEqual([["sesn_first", null]]);
    expect((await read(ledger, "sesn_second"))[1]?.event).toMatchObject({
      type: "workflow.of_a_later_version",
      steps: [1],
    });
    const { events } = await ledger.listPublicEvents("sesn_first", { limit: 3 });
    expect(events.map(label)).toEqual([
      "session.status_running",
      "Add a test for the parser",
      "I will read the parser first. 解析",
    ]);
    expect((await ledger.search("parser", 9)).map(({ seq }) => seq).toSorted()).toEqual([2, 6, 7]);
    expect(await catalog.getEnvironment("env_A")).toMatchObject({ name: "default" });
    expect(await ledger.emitEvent("sesn_first", agentMessage("and it goes on"))).toMatchObject({ seq: 9 });
  });
});
