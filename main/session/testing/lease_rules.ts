/** L4: leases and the fencing of late writes. */
import { describe, expect, test } from "vitest";
import { StaleLeaseError, UnknownSessionError } from "../ledger.ts";
import { agentMessage, holder, idle, newSession, read, userMessage } from "./drafts.ts";
import { ManualClock, type OpenLedger } from "./rig.ts";

export function leaseRules(open: OpenLedger): void {
  const alive = { isHolderAlive: () => true };

  describe("L4 leases", () => {
    test("L4 a free session is taken, with an event in the primary thread", async () => {
      const ledger = await open(alive);
      const id = await newSession(ledger);
      const lease = await ledger.acquireLease(id, holder("lhh_A"), 30_000, "client_event");
      expect(lease).toMatchObject({ session_id: id, holder: "lhh_A", token: 1, taken_over_from: null });
      expect((await read(ledger, id))[1]?.event).toMatchObject({
        type: "longhaul.lease_acquired",
        holder: "lhh_A",
        token: 1,
        boot_id: "boot-1",
        pid: 4242,
        reason: "client_event",
        taken_over_from: null,
      });
      expect((await ledger.getSession(id))?.lease).toMatchObject({ holder: "lhh_A", token: 1 });
    });

    test("L4 of two wakes that race, one gets the session", async () => {
      const ledger = await open(alive);
      const id = await newSession(ledger);
      const got = await Promise.all([
        ledger.acquireLease(id, holder("lhh_A"), 30_000, "client_event"),
        ledger.acquireLease(id, holder("lhh_B", { pid: 4343 }), 30_000, "user"),
        ledger.acquireLease(id, holder("lhh_A"), 30_000, "user"),
      ]);
      expect(got.map((lease) => lease?.holder ?? null)).toEqual(["lhh_A", null, null]);
      expect(await read(ledger, id, { types: ["longhaul.lease_acquired"] })).toHaveLength(1);
    });

    test("L4 an expired lease is taken over; the late writes of its holder are refused and leave nothing", async () => {
      const clock = new ManualClock();
      const ledger = await open({ ...alive, now: clock.now });
      const id = await newSession(ledger);
      const frozen = await ledger.acquireLease(id, holder("lhh_A"), 1_000, "client_event");
      if (frozen === null) throw new Error("the session was free");
      await ledger.emitEvent(id, agentMessage("in time"), frozen);
      clock.time += 1_000;
      expect((await ledger.getSession(id))?.lease).toBeNull();
      const next = await ledger.acquireLease(id, holder("lhh_B"), 1_000, "engine_start");
      expect(next).toMatchObject({ token: 2, taken_over_from: "lhh_A" });
      await expect(ledger.emitEvent(id, agentMessage("late"), frozen)).rejects.toBeInstanceOf(StaleLeaseError);
      await expect(ledger.releaseLease(frozen, "rested", [idle()])).rejects.toBeInstanceOf(StaleLeaseError);
      expect(await ledger.renewLease(frozen, 1_000)).toBe(false);
      await ledger.emitEvent(id, userMessage("clients need no lease"));
      const types = (await read(ledger, id)).map(({ event }) => event.type);
      expect(types).toEqual([
        "longhaul.session_created",
        "longhaul.lease_acquired",
        "agent.message",
        "longhaul.lease_acquired",
        "user.message",
      ]);
    });

    test("L4 a lease that ran out but was not taken over still writes, and can be renewed", async () => {
      const clock = new ManualClock();
      const ledger = await open({ ...alive, now: clock.now });
      const id = await newSession(ledger);
      const lease = await ledger.acquireLease(id, holder("lhh_A"), 1_000, "client_event");
      if (lease === null) throw new Error("the session was free");
      clock.time += 5_000;
      await ledger.emitEvent(id, agentMessage("late, but nobody else came"), lease);
      expect(await ledger.renewLease(lease, 1_000)).toBe(true);
      expect((await ledger.getSession(id))?.lease?.expires_at).toBe(clock.time + 1_000);
      expect(await ledger.acquireLease(id, holder("lhh_B"), 1_000, "user")).toBeNull();
    });

    test("L4 a dead holder's lease is taken over before it expires, also after a reboot", async () => {
      const dead = new Set<string>();
      const ledger = await open({ isHolderAlive: ({ id }) => !dead.has(id) });
      const id = await newSession(ledger);
      await ledger.acquireLease(id, holder("lhh_A"), 1e9, "client_event");
      expect(await ledger.acquireLease(id, holder("lhh_B"), 1e9, "user")).toBeNull();
      dead.add("lhh_A");
      expect((await ledger.getSession(id))?.lease).toBeNull();
      expect(await ledger.acquireLease(id, holder("lhh_B"), 1e9, "user")).toMatchObject({ taken_over_from: "lhh_A" });
      const rebooted = await ledger.acquireLease(id, holder("lhh_C", { boot_id: "boot-2" }), 1e9, "engine_start");
      expect(rebooted).toMatchObject({ token: 3, taken_over_from: "lhh_B" });
    });

    test("L4 a release appends its events and frees the session; the token goes on growing", async () => {
      const ledger = await open(alive);
      const id = await newSession(ledger);
      for (const token of [1, 2, 3]) {
        const lease = await ledger.acquireLease(id, holder("lhh_A"), 30_000, "user");
        expect(lease).toMatchObject({ token, taken_over_from: null });
        if (lease === null) return;
        await ledger.releaseLease(lease, "rested", [idle()]);
        await expect(ledger.emitEvent(id, agentMessage("late"), lease)).rejects.toBeInstanceOf(StaleLeaseError);
        await expect(ledger.releaseLease(lease, "rested")).rejects.toBeInstanceOf(StaleLeaseError);
        expect(await ledger.renewLease(lease, 30_000)).toBe(false);
      }
      expect((await read(ledger, id, { after_seq: 1, limit: 3 })).map(({ event }) => event.type)).toEqual([
        "longhaul.lease_acquired",
        "session.status_idle",
        "longhaul.lease_released",
      ]);
      expect((await ledger.getSession(id))?.lease).toBeNull();
    });

    test("L4 a stale append in a group is refused alone, and a take-over in the group counts at once", async () => {
      const clock = new ManualClock();
      const ledger = await open({ ...alive, now: clock.now });
      const id = await newSession(ledger);
      const old = await ledger.acquireLease(id, holder("lhh_A"), 1_000, "user");
      if (old === null) throw new Error("the session was free");
      clock.time += 2_000;
      const results = await Promise.allSettled([
        ledger.emitEvent(id, agentMessage("still the newest"), old),
        ledger.acquireLease(id, holder("lhh_B"), 1_000, "user"),
        ledger.emitEvent(id, agentMessage("stale"), old),
        ledger.emitEvent(id, agentMessage("new"), { token: 2 }),
      ]);
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
      expect(await read(ledger, id, { types: ["agent.message"] })).toHaveLength(2);
    });

    test("L4 an unknown session has no lease to take", async () => {
      const ledger = await open(alive);
      await expect(ledger.acquireLease("sesn_0", holder("lhh_A"), 1, "user")).rejects.toBeInstanceOf(
        UnknownSessionError,
      );
      const lease = { session_id: "sesn_0", holder: "lhh_A", token: 1, expires_at: 0, taken_over_from: null };
      expect(await ledger.renewLease(lease, 1)).toBe(false);
      await expect(ledger.releaseLease(lease, "rested")).rejects.toBeInstanceOf(UnknownSessionError);
    });
  });
}
