import * as fs from "node:fs";
import * as path from "node:path";
import Database from "better-sqlite3";
import { describe, expect, test } from "vitest";
import { agentMessage, newSession } from "../testing/drafts.ts";
import { temporaryStore } from "../testing/temporary_store.ts";
import type { SqliteLedger } from "./sqlite_ledger.ts";

async function tampered(sql: string): Promise<Awaited<ReturnType<SqliteLedger["verify"]>>> {
  const { ledger, dataDir } = temporaryStore();
  const id = await newSession(ledger);
  for (let index = 2; index <= 9; index++) await ledger.emitEvent(id, agentMessage(`event ${index}`));
  ledger.rebuildProjections();
  const intruder = new Database(path.join(dataDir, "ledger.db"));
  intruder.exec("DROP TRIGGER events_are_not_changed; DROP TRIGGER events_are_not_removed");
  intruder.exec(sql);
  intruder.close();
  return ledger.verify(id);
}

const SEQ = "pos % (1 << 30)";

describe("L9 verify names the first bad event and why", () => {
  test.each([
    ["changed text", `UPDATE events SET event = replace(event, 'event 5', 'event V') WHERE ${SEQ} = 5`, 5, /hash/],
    ["changed time", `UPDATE events SET created_at = '2020-01-01T00:00:00.000Z' WHERE ${SEQ} = 3`, 3, /hash/],
    ["changed thread", `UPDATE events SET thread_id = 'sthr_X' WHERE ${SEQ} = 9`, 9, /hash/],
    ["changed hash", `UPDATE events SET hash = '0' WHERE ${SEQ} = 4`, 4, /hash/],
    ["changed id column", `UPDATE events SET id = 'sevt_X' WHERE ${SEQ} = 6`, 6, /id or type/],
    ["changed type column", `UPDATE events SET type = 'user.message' WHERE ${SEQ} = 6`, 6, /id or type/],
    ["a forged reference to a body", `UPDATE events SET bodies = '[["content"]]' WHERE ${SEQ} = 7`, 7, /hash/],
    ["removed from the middle", `DELETE FROM events WHERE ${SEQ} = 5`, 5, /event 5 is missing; the next one is 6/],
    ["removed from the start", `DELETE FROM events WHERE ${SEQ} = 1`, 1, /event 1 is missing/],
    ["removed from the end", `DELETE FROM events WHERE ${SEQ} > 7`, 8, /last 2 events are missing/],
  ])("%s", async (_, sql, brokenAt, reason) => {
    const verdict = await tampered(sql);
    expect(verdict).toMatchObject({ broken_at: brokenAt, events: brokenAt - 1 });
    expect(verdict.reason).toMatch(reason);
  });

  test("a body that is missing or damaged", async () => {
    const { ledger, dataDir } = temporaryStore();
    const id = await newSession(ledger);
    await ledger.emitEvent(id, agentMessage("x".repeat(100_000)));
    expect(await ledger.verify(id)).toEqual({ events: 2, broken_at: null, reason: null });
    const blobs = path.join(dataDir, "blobs");
    for (const name of fs.readdirSync(blobs)) fs.rmSync(path.join(blobs, name), { recursive: true });
    const verdict = await ledger.verify(id);
    expect(verdict).toMatchObject({ broken_at: 2 });
    expect(verdict.reason).toMatch(/large body of it cannot be read: blob [0-9a-f]{64} is missing/);
  });

  test("L1 the file itself refuses to change or remove events", async () => {
    const { ledger, dataDir } = temporaryStore();
    const id = await newSession(ledger);
    const other = new Database(path.join(dataDir, "ledger.db"));
    other.pragma("recursive_triggers = ON");
    const row = "SELECT * FROM events LIMIT 1";
    for (const sql of [
      "UPDATE events SET event = '{}'",
      "DELETE FROM events",
      `INSERT OR REPLACE INTO events ${row}`,
    ]) {
      expect(() => other.exec(sql)).toThrow(/only appended/);
    }
    other.close();
    expect(await ledger.verify(id)).toMatchObject({ events: 1, broken_at: null });
  });
});
