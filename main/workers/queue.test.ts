import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { LeaseMismatch, WorkConflict, type WorkItem } from "./port.ts";
import { ENVIRONMENT, message, POLL, pass, type QueueRig, startQueue, toolUse } from "./testing/rig.ts";

let rig: QueueRig;
beforeEach(async () => {
  vi.useFakeTimers({ now: Date.parse("2026-11-25T09:00:00.000Z") });
  rig = await startQueue();
});
afterEach(() => {
  expect(rig.errors).toEqual([]);
  vi.useRealTimers();
});

const beat = (item: WorkItem, expected: string | null, ttl: number | null = null, token: string | null = null) =>
  rig.queue.heartbeat(item, { expected, desired_ttl_seconds: ttl, token });
const give = (item: WorkItem, force = true, token: string | null = null) =>
  rig.queue.stop(item, { force, by: "worker", token });

describe("polling", () => {
  test("items come oldest first, each once; an empty queue answers at once", async () => {
    const first = await rig.session();
    await pass(5);
    const second = await rig.session();
    expect((await rig.poll())?.session_id).toBe(first);
    expect((await rig.poll())?.session_id).toBe(second);
    expect(await rig.poll()).toBeNull();
    expect(await rig.queue.poll("env_other", POLL)).toBeNull();
  });

  test("ten pollers at once and three sessions: nobody shares one", async () => {
    for (let n = 0; n < 3; n++) await rig.session();
    const got = (await Promise.all(Array.from({ length: 10 }, () => rig.poll()))).filter((item) => item !== null);
    expect(new Set(got.map((item) => item.session_id)).size).toBe(3);
    expect(got).toHaveLength(3);
  });

  test("a poller that waits is woken at once, and gives up after its time", async () => {
    const waiting = rig.poll({ block_ms: 900 });
    await pass(100);
    const id = await rig.session();
    await pass(0);
    expect((await waiting)?.session_id).toBe(id);
    const empty = rig.poll({ block_ms: 900 });
    await pass(899);
    let done = false;
    void empty.then(() => {
      done = true;
    });
    await pass(0);
    expect(done).toBe(false);
    await pass(2);
    expect(await empty).toBeNull();
  });

  test("a poller that has gone takes nothing with it", async () => {
    const gone = new AbortController();
    const waiting = rig.poll({ block_ms: 900, signal: gone.signal });
    await pass(10);
    gone.abort();
    await pass(0);
    expect(await waiting).toBeNull();
    await rig.session();
    expect(await rig.poll({ signal: AbortSignal.abort() })).toBeNull();
    expect(await rig.poll()).not.toBeNull();
  });

  test("what is handed out and not acknowledged comes back after the poller's own time", async () => {
    await rig.session();
    const first = await rig.poll();
    await pass(4_999);
    expect(await rig.poll()).toBeNull();
    expect((await rig.poll({ reclaim_older_than_ms: 1_000 }))?.id).toBe(first?.id);
    // A waiting poller gets it in the moment in which it comes back.
    const waiting = rig.poll({ block_ms: 999, reclaim_older_than_ms: 500 });
    await pass(501);
    expect((await waiting)?.id).toBe(first?.id);
  });

  test("a session that is over or was deleted is not handed out any more", async () => {
    const archived = await rig.session();
    const deleted = await rig.session();
    const archivedItem = await rig.poll();
    await rig.ledger.emitEvents(archived, [{ type: "longhaul.session_archived" }]);
    await rig.ledger.emitEvent(deleted, { type: "session.deleted" });
    await rig.ledger.deleteSession(deleted);
    await pass(6_000);
    expect(await rig.poll()).toBeNull();
    const items = await rig.queue.list(ENVIRONMENT, { limit: 9 });
    expect(items.map(({ id, state }) => [id, state])).toEqual([[archivedItem?.id, "stopped"]]);
  });
});

describe("acknowledging", () => {
  test("takes an item out of the queue; only its one poller may say so twice", async () => {
    await rig.session();
    const item = await rig.claim();
    expect(item).toMatchObject({ state: "starting", acknowledged_at: "2026-11-25T09:00:00.000Z", polled_at: null });
    await pass(60_000);
    expect(await rig.poll()).toBeNull();
    expect(await rig.queue.ack(item)).toEqual(item);
    await beat(item, "NO_HEARTBEAT");
    await expect(rig.queue.ack(item)).rejects.toThrow(WorkConflict);
  });

  test("of two pollers that were given the same item the second is refused", async () => {
    await rig.session();
    const one = await rig.poll();
    await pass(5_000);
    const two = await rig.poll();
    if (one === null || two === null) throw new Error("both are given it");
    await rig.queue.ack(one);
    await expect(rig.queue.ack(two)).rejects.toThrow(/is starting: it is not in the queue/);
  });
});

describe("the lease", () => {
  test("is taken with NO_HEARTBEAT, extended by echoing, and every answer differs from the one before", async () => {
    await rig.session();
    const item = await rig.claim();
    const first = await beat(item, "NO_HEARTBEAT");
    expect(first).toMatchObject({ lease_extended: true, item: { state: "active", ttl_seconds: 300 } });
    const at = first.item.latest_heartbeat_at;
    // In the same millisecond.
    const second = await beat(item, at);
    expect(second.item.latest_heartbeat_at).not.toBe(at);
    const stale = await beat(item, at).catch((error: unknown) => error);
    expect(stale).toBeInstanceOf(LeaseMismatch);
    expect((stale as LeaseMismatch).item.latest_heartbeat_at).toBe(second.item.latest_heartbeat_at);
    await expect(beat(item, "NO_HEARTBEAT")).rejects.toThrow(LeaseMismatch);
    expect((await beat(item, null)).lease_extended).toBe(true);
  });

  test("two workers that claim at once: one has it", async () => {
    await rig.session();
    const item = await rig.claim();
    const claims = await Promise.allSettled([beat(item, "NO_HEARTBEAT"), beat(item, "NO_HEARTBEAT")]);
    expect(claims.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("lasts as long as wished, within limits, and then the same item is offered again", async () => {
    await rig.session();
    const item = await rig.hold(1);
    expect(item.ttl_seconds).toBe(2);
    expect((await beat(item, item.latest_heartbeat_at, 999_999)).item.ttl_seconds).toBe(3_600);
    const last = await beat(item, null, 10);
    await pass(9_000);
    expect(await rig.poll()).toBeNull();
    await pass(1_000);
    const again = await rig.poll();
    expect(again).toMatchObject({ id: item.id, state: "queued", latest_heartbeat_at: null, started_at: null });
    // The first worker wakes up: it has lost the lease, whether or not somebody else has it yet.
    await expect(beat(item, last.item.latest_heartbeat_at)).rejects.toThrow(LeaseMismatch);
    const other = await rig.queue.ack(item);
    await beat(other, "NO_HEARTBEAT");
    await expect(beat(item, last.item.latest_heartbeat_at)).rejects.toThrow(LeaseMismatch);
  });

  test("an environment can say how long it lasts by default; a worker that dies after the acknowledgement loses it too", async () => {
    await rig.session({ ttl: "20" });
    const item = await rig.claim();
    expect(item.ttl_seconds).toBe(20);
    await pass(19_999);
    expect(await rig.poll()).toBeNull();
    await pass(1);
    expect((await rig.poll())?.id).toBe(item.id);
  });

  test("a waiting poller gets the item in the moment in which the lease ends", async () => {
    await rig.session();
    await rig.hold(2);
    await pass(1_500);
    const waiting = rig.poll({ block_ms: 999 });
    await pass(501);
    expect(await waiting).not.toBeNull();
  });

  test("the person is told of calls that a lost worker had in hand, not of those that wait for a yes", async () => {
    const id = await rig.session();
    await rig.ledger.emitEvents(id, [toolUse("sevt_a"), toolUse("sevt_b", "ask")]);
    await rig.hold(5);
    await pass(5_000);
    await rig.poll();
    const told = [];
    for await (const { event } of rig.ledger.getEvents(id))
      if (event.type === "longhaul.outcome_unknown") told.push(event);
    expect(told).toMatchObject([{ tool_use_id: "sevt_a", tool_name: "bash" }]);
  });
});

describe("stopping", () => {
  test("by force is at once; a second time is a conflict; heartbeats are answered without a comparison", async () => {
    await rig.session({ events: [] });
    const item = await rig.hold();
    const stopped = await give(item);
    expect(stopped).toMatchObject({ state: "stopped", stopped_at: expect.any(String), stop_cause: "worker" });
    await expect(give(item)).rejects.toThrow(WorkConflict);
    expect(await beat(item, "whatever")).toMatchObject({ lease_extended: false, item: { state: "stopped" } });
  });

  test("gracefully tells the worker with its next heartbeat, and ends by itself when no worker is there to hear", async () => {
    await rig.session({ events: [] });
    const item = await rig.hold();
    expect((await give(item, false)).state).toBe("stopping");
    expect(await beat(item, "stale")).toMatchObject({ lease_extended: false, item: { state: "stopping" } });
    await pass(60_000);
    expect((await rig.newest())?.state).toBe("stopped");
    await rig.session({ events: [] });
    const queued = await rig.newest();
    if (queued !== undefined) expect((await give(queued, false)).state).toBe("stopped");
  });

  test("only the token that took the lease stops it; the environment's key always does", async () => {
    await rig.session({ events: [] });
    const item = await rig.claim();
    await beat(item, "NO_HEARTBEAT", null, "mine");
    await expect(give(item, true, "older")).rejects.toThrow(/held by another worker/);
    expect((await give(item, true, "mine")).state).toBe("stopped");
  });

  test("a worker that gives up leaves the session to the next one, with growing pauses", async () => {
    await rig.session();
    const pauses: number[] = [];
    for (let round = 0; round < 5; round++) {
      let waited = 0;
      for (; (await rig.newest())?.state !== "queued" || (await rig.poll()) === null; waited += 500) await pass(500);
      pauses.push(waited);
      const item = await rig.newest();
      if (item !== undefined) await give(await rig.queue.ack(item));
    }
    expect(pauses).toEqual([0, 0, 1_000, 2_000, 4_000]);
  });

  test("new work does not wait for the pause", async () => {
    const id = await rig.session();
    for (let round = 0; round < 4; round++) {
      await pass(10_000);
      await give(await rig.claim());
    }
    await pass(0);
    expect(await rig.poll()).toBeNull();
    await rig.ledger.emitEvent(id, message("now"));
    expect(await rig.poll()).not.toBeNull();
  });

  test("a person's stop stands until new work arrives, also work that arrives while it stops", async () => {
    const id = await rig.session();
    await rig.ledger.emitEvent(id, toolUse("sevt_a"));
    const item = await rig.hold();
    await rig.queue.stop(item, { force: true, by: "person", token: null });
    expect(await rig.poll()).toBeNull();
    await rig.ledger.emitEvent(id, { type: "user.interrupt" });
    const next = await rig.hold();
    expect(next.id).not.toBe(item.id);
    await rig.queue.stop(next, { force: false, by: "person", token: null });
    await rig.ledger.emitEvent(id, message("more"));
    expect(await rig.poll()).toBeNull();
    await give(next);
    expect((await rig.poll())?.session_id).toBe(id);
  });
});

test("statistics count what waits, what was handed out, and who was there in the last 30 s", async () => {
  await rig.session();
  await pass(10);
  await rig.session();
  await rig.poll({ worker_id: "a" });
  await rig.poll({ worker_id: "b", reclaim_older_than_ms: 60_000 }).then((item) => item && rig.queue.ack(item));
  expect(await rig.queue.stats(ENVIRONMENT)).toEqual({
    depth: 0,
    pending: 1,
    oldest_queued_at: "2026-11-25T09:00:00.000Z",
    workers_polling: 2,
  });
  await pass(5_000);
  expect(await rig.queue.stats(ENVIRONMENT)).toMatchObject({ depth: 1, pending: 0 });
  await pass(20_000);
  await rig.poll({ worker_id: "b" });
  await pass(10_001);
  expect(await rig.queue.stats(ENVIRONMENT)).toMatchObject({ workers_polling: 1 });
  expect(await rig.queue.stats("env_other")).toEqual({
    depth: 0,
    pending: 0,
    oldest_queued_at: null,
    workers_polling: 0,
  });
});
