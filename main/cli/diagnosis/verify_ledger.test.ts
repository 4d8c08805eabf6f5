import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import { fileBlobStore } from "../../session/blobs.ts";
import { openSqliteLedger } from "../../session/sqlite/open.ts";
import { CommandFailed } from "../command.ts";
import { verifyLedgerFile } from "./verify_ledger.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/longhaul-verify-`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SNAPSHOT = {
  agent: { type: "agent", id: "agent_1", version: 1, name: "a", model: { id: "m" }, tools: [] },
  environment: { id: "env_1", name: "e", config: { type: "cloud" } },
  primary_thread_id: "sthr_1",
  title: null,
  metadata: {},
  resources: [],
  vault_ids: [],
  budget: null,
  deployment_id: null,
};

function store() {
  return openSqliteLedger({ dataDir: folder, blobs: fileBlobStore(join(folder, "blobs")) });
}

async function record(...ids: string[]): Promise<void> {
  const { ledger, close } = store();
  for (const id of ids) {
    const created = { type: "longhaul.session_created", session: SNAPSHOT } as unknown as EventDraft;
    const message: EventDraft = { type: "agent.message", content: [{ type: "text", text: `I am ${id}.` }] };
    await ledger.createSession(id, [created, message]);
  }
  await close();
}

test("every chain is walked, also while an engine has the ledger open", async () => {
  await record("sesn_A", "sesn_B");
  const whole = { events: 2, broken_at: null, reason: null };
  const open = store();
  expect(await verifyLedgerFile(folder)).toEqual([
    { session_id: "sesn_A", ...whole },
    { session_id: "sesn_B", ...whole },
  ]);
  await open.close();
  expect(await verifyLedgerFile(folder, "sesn_B")).toEqual([{ session_id: "sesn_B", ...whole }]);
});

test("a changed event is named, and the other sessions are still walked", async () => {
  await record("sesn_A", "sesn_B");
  const database = new Database(join(folder, "ledger.db"));
  for (const { name } of database
    .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type='trigger'")
    .all()) {
    database.exec(`DROP TRIGGER "${name}"`);
  }
  database.exec(
    "UPDATE events SET event = replace(event, 'I am sesn_A', 'I am forged') WHERE event LIKE '%I am sesn_A%'",
  );
  database.close();
  expect(await verifyLedgerFile(folder)).toMatchObject([
    { session_id: "sesn_A", broken_at: 2 },
    { session_id: "sesn_B", broken_at: null },
  ]);
});

test("no ledger, no such session, a file of something else: a text, and nothing is made or changed", async () => {
  await expect(verifyLedgerFile(folder)).rejects.toThrow(/There is no ledger in/);
  expect(existsSync(join(folder, "ledger.db"))).toBe(false);
  expect(existsSync(join(folder, "blobs"))).toBe(false);
  await record("sesn_A");
  await expect(verifyLedgerFile(folder, "sesn_Z")).rejects.toThrow(/no session sesn_Z/);
  writeFileSync(
    join(folder, "ledger.db"),
    "this is no database at all, but long enough to be taken for one".repeat(20),
  );
  await expect(verifyLedgerFile(folder)).rejects.toThrow(CommandFailed);
  await expect(verifyLedgerFile(folder)).rejects.toThrow(/Nothing was changed/);
});
