/** P1: nothing acknowledged is lost, however the process dies. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, onTestFinished, test } from "vitest";
import { foldAll } from "../../../contract/fold.ts";
import { agentMessage, label, read } from "../../testing/drafts.ts";
import { temporaryDir, temporaryStore } from "../../testing/temporary_store.ts";
import { LedgerUnreadable } from "../open.ts";

const SCRIPT = path.join(import.meta.dirname, "testing", "append_until_killed.ts");

/** Runs the script until it has acknowledged `acks` events and kills it, or until its crash point does. */
async function appendUntilKilled(dir: string, groupSize: number, acks: number, crashAt?: string): Promise<string[]> {
  const env = { ...process.env, ...(crashAt === undefined ? {} : { LONGHAUL_CRASH_AT: crashAt }) };
  const child = spawn(process.execPath, [SCRIPT, dir, String(groupSize)], {
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const exit = once(child, "exit");
  const lines: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "ready") continue;
    lines.push(line);
    // What arrives after the kill was acknowledged too.
    if (lines.length === acks) child.kill("SIGKILL");
  }
  const [, signal] = (await exit) as [number | null, string | null];
  expect(signal).toBe("SIGKILL");
  return lines;
}

async function expectWhole(dataDir: string, acknowledged: readonly string[]): Promise<number> {
  const { ledger, close } = temporaryStore({ dataDir });
  const found = new Set<string>();
  for (const { id, fold, last_seq } of await ledger.listSessions({ limit: 9 })) {
    expect(await ledger.verify(id)).toEqual({ events: last_seq, broken_at: null, reason: null });
    const events = await read(ledger, id);
    expect(fold).toEqual(foldAll(events));
    for (const { session_id, seq, event } of events) found.add(`${session_id} ${seq} ${event.id}`);
    // Calls of two events are there whole or not at all: a message of ours is always followed by the client's.
    expect(events.filter(({ event }) => event.type === "agent.message")).toHaveLength(
      events.filter(({ event }) => event.type === "user.message").length,
    );
  }
  expect(acknowledged.filter((line) => !found.has(line))).toEqual([]);
  await close();
  return found.size;
}

describe("P1 kill -9", () => {
  test("P1 every acknowledged event is there after each of several kills at random moments", {
    timeout: 60_000,
  }, async () => {
    const dir = temporaryDir();
    const acknowledged: string[] = [];
    for (let round = 0; round < 5; round++) {
      const acks = 1 + Math.floor(Math.random() * 150);
      acknowledged.push(...(await appendUntilKilled(dir, 1 + round, acks)));
      await expectWhole(dir, acknowledged);
    }
  });

  test.each([1, 7])("P1 killed before COMMIT number %i: nothing of it is there", { timeout: 30_000 }, async (n) => {
    const dir = temporaryDir();
    const acknowledged = await appendUntilKilled(dir, 1, Number.POSITIVE_INFINITY, `append.before_commit:${n}`);
    expect(acknowledged).toHaveLength(2 * (n - 1));
    expect(await expectWhole(dir, acknowledged)).toBe(3 + 2 * (n - 1));
  });

  test.each([1, 7])(
    "P1 killed after COMMIT number %i: all of it is there, although nobody was told",
    { timeout: 30_000 },
    async (n) => {
      const dir = temporaryDir();
      const acknowledged = await appendUntilKilled(dir, 1, Number.POSITIVE_INFINITY, `append.after_commit:${n}`);
      expect(acknowledged).toHaveLength(2 * (n - 1));
      expect(await expectWhole(dir, acknowledged)).toBe(3 + 2 * n);
    },
  );
});

describe("P1 torn log", () => {
  test("P1 whatever happens to the log's bytes, a beginning of the ledger is there or it is refused", {
    timeout: 60_000,
  }, async () => {
    const dir = temporaryDir();
    await appendUntilKilled(dir, 2, 60);
    const log = fs.readFileSync(path.join(dir, "ledger.db-wal"));
    const database = fs.readFileSync(path.join(dir, "ledger.db"));
    expect(log.length).toBeGreaterThan(100_000);
    let opened = 0;
    for (let round = 0; round < 24; round++) {
      const damaged = Buffer.from(log);
      const at = Math.floor(Math.random() * log.length);
      const torn = round % 3 === 0 ? damaged.subarray(0, at) : damaged;
      if (round % 3 === 1) damaged.fill(0, at);
      if (round % 3 === 2) damaged.writeUInt8((damaged[at] ?? 0) ^ 0x5a, at);
      const copy = temporaryDir();
      fs.cpSync(path.join(dir, "blobs"), path.join(copy, "blobs"), { recursive: true });
      fs.writeFileSync(path.join(copy, "ledger.db"), database);
      fs.writeFileSync(path.join(copy, "ledger.db-wal"), torn);
      opened += await expectBeginning(copy);
    }
    expect(opened).toBeGreaterThan(0);
  });
});

/** 1 when the ledger opened with a beginning of what was there, 0 when it was refused in so many words. */
async function expectBeginning(dataDir: string): Promise<number> {
  let store: ReturnType<typeof temporaryStore>;
  try {
    store = temporaryStore({ dataDir });
  } catch (error) {
    expect(error).toBeInstanceOf(LedgerUnreadable);
    return 0;
  }
  const { ledger, close } = store;
  for (const { id, last_seq } of await ledger.listSessions({ limit: 9 })) {
    expect(await ledger.verify(id)).toEqual({ events: last_seq, broken_at: null, reason: null });
    await ledger.emitEvent(id, agentMessage("it goes on"));
    expect((await read(ledger, id, { order: "desc", limit: 1 })).map(label)).toEqual(["it goes on"]);
  }
  await close();
  return 1;
}
