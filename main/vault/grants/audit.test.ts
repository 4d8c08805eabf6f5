import { expect, test } from "vitest";
import type { CredentialUse } from "../../contract/vaults/grants.ts";
import { AuditLog, type AuditPosition } from "./audit.ts";

const never = new AbortController().signal;
const START: AuditPosition = { start: "", number: 0 };
const use = (over: Partial<CredentialUse> = {}): CredentialUse => ({
  session_id: "sesn_1",
  vault_id: "vlt_1",
  credential_id: "vcrd_1",
  route: "mcp",
  host: "mcp.example.com",
  decision: "allowed",
  reason: "called a tool",
  ...over,
});

test("repetitions that were not fetched are one entry; after that they are counted anew", async () => {
  const log = new AuditLog();
  for (let times = 0; times < 3; times++) log.note(use());
  log.note(use({ decision: "refused" }));
  const first = await log.take(START, START, 0, never);
  expect(first.data.map(({ number, decision, count }) => [number, decision, count])).toEqual([
    [1, "allowed", 3],
    [2, "refused", 1],
  ]);
  log.note(use());
  const second = await log.take({ start: first.start, number: 2 }, START, 0, never);
  expect(second.data).toEqual([{ ...use(), number: 3, count: 1 }]);
});

test("what was seen and not written is told again to whoever saw nothing, what was written is not", async () => {
  const log = new AuditLog();
  log.note(use());
  log.note(use({ host: "other" }));
  const { start } = await log.take(START, START, 0, never);
  const again = await log.take(START, { start, number: 1 }, 0, never);
  expect(again.data.map(({ host }) => host)).toEqual(["other"]);
});

test("numbers of another start let go of nothing", async () => {
  const log = new AuditLog();
  log.note(use());
  const foreign = { start: "0".repeat(16), number: 500 };
  expect((await log.take(foreign, foreign, 0, never)).data).toHaveLength(1);
  expect((await log.take(START, START, 0, never)).data).toHaveLength(1);
});

test("whoever waits is told of the next use, and let go by its own end", async () => {
  const log = new AuditLog();
  const waiting = log.take(START, START, 60_000, never);
  log.note(use());
  expect((await waiting).data).toHaveLength(1);
  const { start } = await log.take(START, START, 0, never);
  const left = new AbortController();
  const leaving = log.take({ start, number: 1 }, START, 60_000, left.signal);
  left.abort();
  expect((await leaving).data).toEqual([]);
});

test("an engine that never asks costs no more than so many entries, and hears how many it missed", async () => {
  const log = new AuditLog();
  for (let index = 0; index < 5_010; index++) log.note(use({ host: `h${index}` }));
  const { data, lost } = await log.take(START, START, 0, never);
  expect([data.length, lost, data[0]?.host]).toEqual([5_000, 10, "h10"]);
  expect((await log.take(START, START, 0, never)).lost).toBe(0);
});
