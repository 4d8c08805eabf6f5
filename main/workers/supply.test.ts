import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LedgerWriteError } from "../session/ledger.ts";
import { RecordCredentials } from "./credentials.ts";
import {
  consumedAndIdle,
  ENVIRONMENT,
  message,
  POLL,
  pass,
  type QueueRig,
  startQueue,
  toolUse,
} from "./testing/rig.ts";

let rig: QueueRig;
beforeEach(async () => {
  vi.useFakeTimers({ now: Date.parse("2026-11-25T09:00:00.000Z") });
  rig = await startQueue();
});
afterEach(() => {
  expect(rig.errors).toEqual([]);
  vi.useRealTimers();
});

/** A session whose turn is over and whose worker has gone home. */
async function resting(): Promise<string> {
  const id = await rig.session();
  const inputs = [];
  for await (const { event } of rig.ledger.getEvents(id)) if (event.type === "user.message") inputs.push(event.id);
  const item = await rig.hold();
  await rig.ledger.emitEvents(id, consumedAndIdle(inputs));
  await rig.queue.stop(item, { force: true, by: "worker", token: null });
  return id;
}

describe("a session is offered", () => {
  test("when it is created, also without a message; a cloud session never", async () => {
    const quiet = await rig.session({ events: [] });
    await rig.session({ hosted: false });
    expect((await rig.poll())?.session_id).toBe(quiet);
    expect(await rig.poll()).toBeNull();
  });

  test("not again after its turn, but with each kind of new work", async () => {
    const id = await resting();
    await pass(60_000);
    expect(await rig.poll()).toBeNull();
    await rig.ledger.emitEvent(id, message("next"));
    expect((await rig.poll())?.session_id).toBe(id);

    const called = await resting();
    await rig.ledger.emitEvent(called, toolUse("sevt_call"));
    expect((await rig.poll())?.session_id).toBe(called);
  });

  test("once, however much arrives", async () => {
    const id = await rig.session();
    await Promise.all(Array.from({ length: 20 }, (_, n) => rig.ledger.emitEvent(id, message(String(n)))));
    expect(await rig.queue.list(ENVIRONMENT, { limit: 99 })).toHaveLength(1);
  });

  test("to the next worker while calls wait, when the first one stops", async () => {
    const id = await resting();
    await rig.ledger.emitEvents(id, [toolUse("sevt_call", "ask")]);
    const item = await rig.hold();
    await pass(20_000);
    await rig.queue.stop(item, { force: true, by: "worker", token: null });
    const next = await rig.poll();
    expect([next?.session_id, next?.id === item.id]).toEqual([id, false]);
  });
});

test("who sends work and polls at once gets it, however slow the disk is", async () => {
  const write = rig.records.write.bind(rig.records);
  rig.records.write = async (writes) => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return write(writes);
  };
  const id = await rig.session();
  const polled = rig.poll();
  await pass(500);
  expect((await polled)?.session_id).toBe(id);
});

test("a session that a full disk kept out of the queue is offered as soon as it can be", async () => {
  const write = rig.records.write.bind(rig.records);
  let full = true;
  rig.records.write = async (writes) => {
    if (full) throw new LedgerWriteError("disk is full");
    return write(writes);
  };
  const first = await rig.session();
  expect(await rig.poll()).toBeNull();
  full = false;
  const item = await rig.hold();
  expect(item.session_id).toBe(first);
  // Given back while the disk is full again: the stop itself is refused and can be repeated.
  full = true;
  const stop = () => rig.queue.stop(item, { force: true, by: "worker", token: null });
  await expect(stop()).rejects.toThrow(LedgerWriteError);
  full = false;
  expect((await stop()).state).toBe("stopped");
  expect((await rig.poll())?.session_id).toBe(first);
  expect(rig.errors.splice(0).length).toBeGreaterThan(0);
});

describe("after a restart", () => {
  test("the queue is as it was: queued, held, and what nobody had noted yet", async () => {
    await rig.session();
    const held = await rig.hold(60);
    const queued = await rig.session();
    await rig.restart();
    expect((await rig.poll())?.session_id).toBe(queued);
    expect(
      (await rig.queue.heartbeat(held, { expected: held.latest_heartbeat_at, desired_ttl_seconds: null, token: null }))
        .lease_extended,
    ).toBe(true);
    // Committed in the moment in which the engine died.
    await rig.records.write(
      (await rig.queue.list(ENVIRONMENT, { limit: 9 })).map(({ id }) => ({ op: "delete", kind: "work", id })),
    );
    await rig.restart();
    expect(new Set([(await rig.poll())?.session_id, (await rig.poll())?.session_id])).toEqual(
      new Set([held.session_id, queued]),
    );
  });

  test("a lease that ran out while no engine was there gets one more heartbeat", async () => {
    await rig.session();
    const held = await rig.hold(10);
    await pass(15_000);
    await rig.restart();
    expect(await rig.poll()).toBeNull();
    const request = { expected: held.latest_heartbeat_at, desired_ttl_seconds: null, token: null };
    expect((await rig.queue.heartbeat(held, request)).lease_extended).toBe(true);
    await pass(15_000);
    await rig.restart();
    await pass(6_001);
    expect((await rig.poll())?.id).toBe(held.id);
  });
});

test("an archived session's worker is told to stop; a deleted one leaves nothing behind", async () => {
  const archived = await rig.session();
  const item = await rig.hold();
  await rig.ledger.emitEvents(archived, [{ type: "longhaul.session_archived" }, { type: "session.status_terminated" }]);
  expect((await rig.newest())?.state).toBe("stopping");
  expect(await rig.queue.heartbeat(item, { expected: "x", desired_ttl_seconds: null, token: null })).toMatchObject({
    lease_extended: false,
  });
  await rig.queue.stop(item, { force: true, by: "worker", token: null });
  expect(await rig.poll()).toBeNull();

  const deleted = await rig.session();
  const polled = await rig.queue.poll(ENVIRONMENT, POLL);
  const credentials = new RecordCredentials(rig.records, () => Date.now());
  expect(await credentials.identify(polled?.token ?? "")).toMatchObject({ kind: "item_token", session_id: deleted });
  await rig.ledger.emitEvent(deleted, { type: "session.deleted" });
  await rig.ledger.deleteSession(deleted);
  expect((await rig.queue.list(ENVIRONMENT, { limit: 9 })).map(({ session_id }) => session_id)).toEqual([archived]);
  expect(await credentials.identify(polled?.token ?? "")).toBeNull();
});

test("credentials are kept as hashes, and tokens of a session do not pile up", async () => {
  await rig.session();
  const tokens = [];
  for (let n = 0; n < 40; n++) {
    tokens.push((await rig.queue.poll(ENVIRONMENT, { ...POLL, reclaim_older_than_ms: 1 }))?.token ?? "");
    await pass(2);
  }
  const credentials = new RecordCredentials(rig.records, () => Date.now());
  const { key, value } = await credentials.createKey(ENVIRONMENT, "laptop");
  const kept = await Promise.all(
    ["work", "work_token", "environment_key"].map((kind) => rig.records.list(kind, { limit: 999 })),
  );
  const text = JSON.stringify(kept);
  expect(tokens.filter((token) => text.includes(token) || text.includes(token.slice(11)))).toEqual([]);
  expect(text).not.toContain(value.slice(13));
  expect(kept[1]).toHaveLength(16);
  expect(await credentials.identify(tokens.at(-1) ?? "")).not.toBeNull();
  expect(await credentials.identify(tokens[0] ?? "")).toBeNull();

  expect(await credentials.identify(value)).toEqual({
    kind: "environment_key",
    environment_id: ENVIRONMENT,
    key_id: key.id,
  });
  expect(await credentials.listKeys(ENVIRONMENT)).toEqual([key]);
  expect(key.hint).toBe(value.slice(-4));
  for (const wrong of [`${value}x`, value.slice(0, -1), "sk-ant-oat01-", "", `sk-ant-req-${value.slice(13)}`]) {
    expect(await credentials.identify(wrong)).toBeNull();
  }
  expect(await credentials.revokeKey("env_other", key.id)).toBe(false);
  expect(await credentials.revokeKey(ENVIRONMENT, key.id)).toBe(true);
  expect(await credentials.identify(value)).toBeNull();
});
