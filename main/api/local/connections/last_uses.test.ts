import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { CredentialUse } from "../../../contract/vaults/grants.ts";
import { MemoryRecords } from "../../../session/records/memory_records.ts";
import { LastUses } from "./last_uses.ts";

const VAULT = "vlt_01KAJ0000000000000000000";

let records: MemoryRecords;
beforeEach(() => {
  records = new MemoryRecords();
  vi.useFakeTimers({ now: Date.parse("2030-01-01T12:00:00.000Z") });
});
afterEach(() => void vi.useRealTimers());

function use(more: Partial<CredentialUse> = {}): CredentialUse {
  return {
    session_id: "sesn_1",
    vault_id: VAULT,
    credential_id: "vcrd_1",
    route: "mcp",
    host: "mcp.example.com",
    decision: "allowed",
    reason: "tools/call",
    ...more,
  };
}

test("the newest use is known at once, written at most once a minute, and found again by the next engine", async () => {
  const write = vi.spyOn(records, "write");
  const uses = new LastUses(records);
  for (let n = 0; n < 100; n += 1) uses.note(use({ session_id: `sesn_${n}` }));
  expect((await uses.all()).get("vcrd_1")).toMatchObject({ session_id: "sesn_99", at: "2030-01-01T12:00:00.000Z" });
  await vi.advanceTimersByTimeAsync(59_000);
  expect(write).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(write).toHaveBeenCalledTimes(2);
  expect((await new LastUses(records).all()).get("vcrd_1")).toMatchObject({ session_id: "sesn_99" });
});

test("a refusal after uses is written at once", async () => {
  const uses = new LastUses(records);
  uses.note(use());
  uses.note(use({ decision: "refused" }));
  await vi.advanceTimersByTimeAsync(0);
  expect((await new LastUses(records).all()).get("vcrd_1")).toMatchObject({ decision: "refused" });
});

test("stopping writes what is left", async () => {
  const uses = new LastUses(records);
  uses.note(use());
  uses.note(use({ session_id: "sesn_2" }));
  await uses.stop();
  expect((await new LastUses(records).all()).get("vcrd_1")).toMatchObject({ session_id: "sesn_2" });
});

test("a full disk costs nothing but the entry, and the next use is written again", async () => {
  const uses = new LastUses(records);
  const write = vi.spyOn(records, "write").mockRejectedValueOnce(new Error("disk full"));
  uses.note(use());
  await vi.advanceTimersByTimeAsync(0);
  uses.note(use({ session_id: "sesn_2" }));
  await uses.stop();
  expect(write).toHaveBeenCalledTimes(2);
  expect((await new LastUses(records).all()).get("vcrd_1")).toMatchObject({ session_id: "sesn_2" });
});

test("tokens of repositories are no connections; what is gone is forgotten", async () => {
  const uses = new LastUses(records);
  uses.note(use({ vault_id: "sesn_1", credential_id: "sesrsc_1" }));
  uses.note(use());
  await uses.forget("vcrd_1");
  expect((await uses.all()).size).toBe(0);
  expect((await new LastUses(records).all()).size).toBe(0);
});
