import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LedgerWriteError } from "../ledger.ts";
import { type Unit, WriteQueue } from "./write_queue.ts";

let db: Database.Database;
let log: string[];
let queue: WriteQueue<Unit>;

beforeEach(() => {
  db = new Database(":memory:");
  db.exec("CREATE TABLE t (x INTEGER PRIMARY KEY)");
  log = [];
  queue = new WriteQueue<Unit>(db, () => {
    log.push("open");
    return {
      begin: () => log.push("job"),
      settle: (kept) => log.push(kept ? "kept" : "undone"),
      finish: () => log.push("finish"),
      committed: () => log.push(`committed ${rows().length}`),
    };
  });
});

afterEach(() => {
  db.close();
});

function rows(): unknown[] {
  return db.prepare("SELECT x FROM t ORDER BY x").pluck().all();
}

const insert = (x: number) => (): number => {
  db.prepare("INSERT INTO t VALUES (?)").run(x);
  return x;
};

test("L3 writes of one turn share a transaction, later ones have their own", async () => {
  const first = [1, 2, 3].map((x) => queue.run(insert(x)));
  // Continuations that run before the loop turns still belong to it.
  first.push(Promise.resolve().then(() => queue.run(insert(4))));
  expect(await Promise.all(first)).toEqual([1, 2, 3, 4]);
  expect(log.filter((line) => line === "open")).toHaveLength(1);
  await queue.run(insert(5));
  expect(log.filter((line) => line === "open")).toHaveLength(2);
  expect(log.slice(-5)).toEqual(["open", "job", "kept", "finish", "committed 5"]);
});

test("a write is undone alone when it fails, in company and by itself", async () => {
  const failing = (): never => {
    insert(9)();
    throw new RangeError("a bad write");
  };
  const results = await Promise.allSettled([queue.run(insert(1)), queue.run(failing), queue.run(insert(2))]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  await expect(queue.run(failing)).rejects.toThrow(RangeError);
  await expect(queue.run(insert(1))).rejects.toBeInstanceOf(LedgerWriteError);
  expect(rows()).toEqual([1, 2]);
  expect(db.inTransaction).toBe(false);
});

test("when the transaction itself fails, every write of the group is refused and nothing is stored", async () => {
  const undoAll = (): void => {
    // What SQLite does by itself when the disk is full.
    db.exec("ROLLBACK");
    throw new Database.SqliteError("database or disk is full", "SQLITE_FULL");
  };
  const results = await Promise.allSettled([queue.run(insert(1)), queue.run(undoAll), queue.run(insert(2))]);
  for (const result of results) {
    expect(result.status === "rejected" && result.reason).toBeInstanceOf(LedgerWriteError);
    expect(String(result.status === "rejected" && result.reason)).toMatch(
      /SQLITE_FULL.*Nothing of this append was stored/,
    );
  }
  expect(rows()).toEqual([]);
  expect(await queue.run(insert(3))).toBe(3);
});

test("closing commits what waits and refuses what comes later", async () => {
  const waiting = queue.run(insert(1));
  queue.close();
  expect(await waiting).toBe(1);
  await expect(queue.run(insert(2))).rejects.toThrow(/closed/);
});
