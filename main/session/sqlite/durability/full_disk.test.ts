/** A disk that is full or cannot be written: appends are refused whole, and work again afterwards. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { expect, onTestFinished, type TestContext, test } from "vitest";
import { DataDirUnwritable } from "../../data_dir_lock.ts";
import { LedgerWriteError } from "../../ledger.ts";
import { agentMessage, newSession, read } from "../../testing/drafts.ts";
import { temporaryDir, temporaryStore } from "../../testing/temporary_store.ts";
import { openDatabase } from "../file/open_database.ts";

/** Mounts a small disk; skips the test where that is not allowed. */
function smallDisk(context: TestContext, size: string): string {
  const dir = temporaryDir();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "longhaul-test", dir], { stdio: "pipe" });
  } catch {
    context.skip("a small disk can be mounted as root on Linux only");
  }
  onTestFinished(() => void execFileSync("umount", ["--lazy", dir]));
  return dir;
}

async function appendUntilRefused(append: () => Promise<unknown>): Promise<unknown> {
  for (let count = 0; count < 20_000; count++) {
    try {
      await append();
    } catch (error) {
      return error;
    }
  }
  throw new Error("the disk never became full");
}

test("a full disk refuses appends whole; with space again they work, and nothing acknowledged is lost", async (context) => {
  const dataDir = smallDisk(context, "3m");
  fs.writeFileSync(path.join(dataDir, "ballast"), Buffer.alloc(1_000_000));
  const { ledger } = temporaryStore({ dataDir, expected: /could not be updated/ });
  const id = await newSession(ledger);
  const acknowledged = new Set<string>();
  const seen: string[] = [];
  ledger.subscribe((events) => seen.push(...events.map(({ event }) => event.id)));
  const append = async (): Promise<void> => {
    const stored = await ledger.emitEvents(id, [agentMessage("x".repeat(3_000)), agentMessage("y".repeat(3_000))]);
    for (const { event } of stored) acknowledged.add(event.id);
  };
  for (let round = 0; round < 3; round++) {
    const error = await appendUntilRefused(append);
    expect(error).toBeInstanceOf(LedgerWriteError);
    expect(String(error)).toMatch(
      /could not be written: .*Nothing of this append was stored; everything stored before is safe.*free space/,
    );
    await expect(append()).rejects.toBeInstanceOf(LedgerWriteError);
    expect(await read(ledger, id)).toHaveLength(acknowledged.size + 1);
    expect(await ledger.getSession(id)).toMatchObject({ last_seq: acknowledged.size + 1 });
    fs.truncateSync(path.join(dataDir, "ballast"), 600_000 - round * 300_000);
    await append();
  }
  expect(new Set(seen)).toEqual(acknowledged);
  const events = await read(ledger, id);
  expect(new Set(events.slice(1).map(({ event }) => event.id))).toEqual(acknowledged);
  expect(await ledger.verify(id)).toMatchObject({ broken_at: null, events: acknowledged.size + 1 });
});

test("a body that finds no room refuses its append, and only that", async (context) => {
  const dataDir = smallDisk(context, "3m");
  const { ledger } = temporaryStore({ dataDir });
  const id = await newSession(ledger);
  const [large, small] = await Promise.allSettled([
    ledger.emitEvent(id, agentMessage("x".repeat(4_000_000))),
    ledger.emitEvent(id, agentMessage("small")),
  ]);
  expect(large.status === "rejected" && large.reason).toBeInstanceOf(LedgerWriteError);
  expect(String(large.status === "rejected" && large.reason)).toMatch(/large body could not be stored.*ENOSPC/);
  expect(small.status).toBe("fulfilled");
  expect(await read(ledger, id)).toHaveLength(2);
});

test("a disk that becomes read-only refuses appends and still reads; a start on it is refused", async (context) => {
  const dataDir = smallDisk(context, "3m");
  const { ledger, close } = temporaryStore({ dataDir });
  const id = await newSession(ledger);
  await close();
  execFileSync("mount", ["-o", "remount,ro", dataDir]);
  expect(() => openDatabase(dataDir)).toThrow(DataDirUnwritable);
  expect(() => openDatabase(dataDir)).toThrow(expect.objectContaining({ code: "EROFS" }));
  execFileSync("mount", ["-o", "remount,rw", dataDir]);
  const { ledger: again } = temporaryStore({ dataDir });
  expect(await read(again, id)).toHaveLength(1);
});
