import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import type { AuditEntry } from "../../contract/vaults/grants.ts";
import { GatheredUses } from "./gathered_uses.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const entry = (number: number, over: Partial<AuditEntry> = {}): AuditEntry => ({
  number,
  count: 1,
  session_id: "sesn_1",
  vault_id: "vlt_1",
  credential_id: "vcrd_1",
  route: "git",
  host: "github.com",
  decision: "allowed",
  reason: "fetch",
  ...over,
});

interface Rig {
  uses: GatheredUses;
  told: [string, EventDraft][];
  failures: unknown[];
  fail: { with: Error | null };
}

function rig(): Rig {
  const told: [string, EventDraft][] = [];
  const failures: unknown[] = [];
  const fail: { with: Error | null } = { with: null };
  const uses = new GatheredUses(
    async (sessionId, event) => {
      if (fail.with !== null) throw fail.with;
      told.push([sessionId, event]);
      return "written";
    },
    (_, error) => failures.push(error),
  );
  return { uses, told, failures, fail };
}

const countsOf = ({ told }: Rig): number[] => told.map(([, event]) => (event as unknown as { count: number }).count);

test("a use is told after a second, as an event without the session's id in it", async () => {
  const { uses, told } = rig();
  uses.note(entry(1));
  expect(told).toEqual([]);
  expect(uses.written).toBe(0);
  await vi.advanceTimersByTimeAsync(1_000);
  const { session_id, number, ...event } = entry(1);
  expect(told).toEqual([[session_id, { type: "longhaul.credential_used", ...event }]]);
  expect(uses.written).toBe(number);
});

test("what goes on is told ever less often, at least once a minute, and none of it is lost", async () => {
  const one = rig();
  for (let number = 1; number <= 3_000; number++) {
    one.uses.note(entry(number));
    await vi.advanceTimersByTimeAsync(100);
  }
  await one.uses.flush();
  const counts = countsOf(one);
  expect(counts.length).toBeLessThan(14);
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(3_000);
  expect(one.uses.written).toBe(3_000);
});

test("each session, credential, host, decision and reason is told by itself", async () => {
  const one = rig();
  const others: Partial<AuditEntry>[] = [
    {},
    { session_id: "sesn_2" },
    { credential_id: "vcrd_2" },
    { host: "gitlab.com" },
    { decision: "refused" },
    { reason: "push" },
    { route: "egress" },
    {},
  ];
  for (const [index, over] of others.entries()) one.uses.note(entry(index + 1, over));
  await one.uses.flush();
  expect(countsOf(one)).toEqual([2, 1, 1, 1, 1, 1, 1]);
});

test("a disk that is full keeps what was gathered, and nothing counts as written", async () => {
  const one = rig();
  one.fail.with = new Error("no space left on device");
  one.uses.note(entry(1));
  one.uses.note(entry(2, { host: "gitlab.com" }));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(one.failures).toHaveLength(2);
  expect(one.uses.written).toBe(0);
  one.fail.with = null;
  one.uses.note(entry(3));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(countsOf(one)).toEqual([2, 1]);
  expect(one.uses.written).toBe(3);
});

test("a broker that counts from 1 again: what was gathered of the former one is told, its numbers are nothing", async () => {
  const one = rig();
  one.uses.note(entry(41));
  one.uses.restart();
  expect(one.uses.written).toBe(0);
  one.uses.note(entry(1));
  expect(one.uses.written).toBe(0);
  await one.uses.flush();
  expect(countsOf(one)).toEqual([2]);
  expect(one.uses.written).toBe(1);
});

test("endless hosts and reasons are cut", async () => {
  const one = rig();
  one.uses.note(entry(1, { host: "h".repeat(10_000), reason: "r".repeat(10_000) }));
  await one.uses.flush();
  expect(JSON.stringify(one.told).length).toBeLessThan(1_500);
});
