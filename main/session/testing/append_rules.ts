/** L1, L2, L3, L8: what an append does, and what it refuses. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventDraft, StoredEvent } from "../../contract/events.ts";
import { UnknownSessionError } from "../ledger.ts";
import { InvalidAppendError } from "../record/append_error.ts";
import { agentMessage, label, newSession, PRIMARY_THREAD, read, sessionCreated, userMessage } from "./drafts.ts";
import { ManualClock, type OpenLedger } from "./rig.ts";

export function appendRules(open: OpenLedger): void {
  describe("appending", () => {
    test("an appended event gets an id, a time and its thread, and is read back as it was returned", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const stored = await ledger.emitEvent(id, agentMessage("hello"));
      expect(stored).toMatchObject({ seq: 2, session_id: id, thread_id: PRIMARY_THREAD });
      expect(stored.event.id).toMatch(/^sevt_/);
      expect(stored.event.processed_at).toBe(stored.created_at);
      expect((await read(ledger, id))[1]).toEqual(stored);
      expect(await ledger.getEvent(id, stored.event.id)).toEqual(stored);
      expect(await ledger.getEvent(id, "sevt_unknown")).toBeNull();
    });

    test("queued client events wait with processed_at null; results of clients are processed on receipt", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const drafts: EventDraft[] = [
        userMessage("x"),
        { type: "user.interrupt" },
        { type: "user.tool_confirmation", tool_use_id: "sevt_1", result: "allow" },
        { type: "system.message", content: [{ type: "text", text: "x" }] },
        { type: "user.custom_tool_result", custom_tool_use_id: "sevt_1" },
      ];
      const stored = await ledger.emitEvents(id, drafts);
      const times = stored.map(({ event }) => event.processed_at ?? null);
      expect(times).toEqual([null, null, null, null, stored[4]?.created_at]);
    });

    test("an event that names a thread belongs to it", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const draft = { type: "session.thread_status_running", session_thread_id: "sthr_B", agent_name: "b" } as const;
      expect((await ledger.emitEvent(id, draft)).thread_id).toBe("sthr_B");
      expect(await read(ledger, id, { thread_id: "sthr_B" })).toHaveLength(1);
    });

    test("the order of an event's keys is kept: requests are rebuilt from it byte by byte", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const input = { zebra: 1, apple: { y: 1, b: 2 }, "10": true };
      const draft: EventDraft = { type: "agent.tool_use", name: "bash", input };
      const { event } = await ledger.emitEvent(id, draft);
      const [stored] = await read(ledger, id, { after_seq: 1 });
      expect(JSON.stringify(stored?.event)).toBe(JSON.stringify(event));
    });

    test("L1 what was returned or read can be changed without changing the ledger", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      await ledger.emitEvent(id, agentMessage("kept"));
      const [first] = await read(ledger, id, { after_seq: 1 });
      if (first?.event.type === "agent.message") first.event.content = [];
      expect((await read(ledger, id, { after_seq: 1 })).map(label)).toEqual(["kept"]);
      expect(await ledger.verify(id)).toEqual({ events: 2, broken_at: null, reason: null });
    });

    test("L2 seq is contiguous per session however appends interleave", async () => {
      const ledger = await open();
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(2), fc.integer({ min: 0, max: 4 })), { maxLength: 20 }),
          async (plan) => {
            const ids = [await newSession(ledger), await newSession(ledger), await newSession(ledger)];
            await Promise.all(
              plan.map(([which, count], call) =>
                ledger.emitEvents(
                  ids[which] ?? "",
                  Array.from({ length: count }, (_, index) => agentMessage(`${call}.${index}`)),
                ),
              ),
            );
            for (const [which, id] of ids.entries()) {
              const events = await read(ledger, id);
              const expected = plan.flatMap(([target, count], call) =>
                target === which ? Array.from({ length: count }, (_, index) => `${call}.${index}`) : [],
              );
              expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
              expect(events.slice(1).map(label)).toEqual(expected);
            }
          },
        ),
        { numRuns: 15 },
      );
    });

    test("L3 subscribers are told in ledger order, before the caller, and once", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const seen: string[] = [];
      ledger.subscribe((events) => seen.push(...events.map(label)));
      await ledger.emitEvent(id, agentMessage("a")).then(() => seen.push("a returned"));
      await Promise.all([
        ledger.emitEvent(id, agentMessage("b")),
        ledger.emitEvents(id, [agentMessage("c"), agentMessage("d")]),
      ]);
      expect(seen).toEqual(["a", "a returned", "b", "c", "d"]);
    });

    test("L3 a subscriber sees what it is told of in the ledger already", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const found: Promise<(StoredEvent | null)[]>[] = [];
      ledger.subscribe((events) => {
        found.push(Promise.all(events.map(({ event }) => ledger.getEvent(id, event.id))));
      });
      const stored = await ledger.emitEvent(id, agentMessage("a"));
      expect(await Promise.all(found)).toEqual([[stored]]);
    });

    test("L3 a subscriber that throws breaks neither the append nor the others; an unsubscribed one is not called", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const seen: string[] = [];
      ledger.subscribe(() => {
        throw new Error("a bug of a subscriber");
      });
      const listener = (events: readonly StoredEvent[]): void => void seen.push(...events.map(label));
      const stop = ledger.subscribe(listener);
      ledger.subscribe(listener);
      await ledger.emitEvent(id, agentMessage("a"));
      stop();
      await ledger.emitEvent(id, agentMessage("b"));
      expect(seen).toEqual(["a", "a", "b"]);
    });

    test("L3 one bad append of a group is refused alone", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const told: string[] = [];
      ledger.subscribe((events) => told.push(...events.map(label)));
      const cyclic: Record<string, unknown> = {};
      cyclic.self = cyclic;
      const results = await Promise.allSettled([
        ledger.emitEvent(id, agentMessage("a")),
        ledger.emitEvent("sesn_unknown", agentMessage("nowhere")),
        ledger.emitEvents(id, [
          agentMessage("lost"),
          { ...agentMessage("twice"), id: "sevt_1" },
          { ...agentMessage("twice"), id: "sevt_1" },
        ]),
        ledger.emitEvents(id, [agentMessage("lost"), { type: "agent.tool_use", name: "x", input: cyclic }]),
        ledger.createSession(id, [sessionCreated()]),
        ledger.emitEvent(id, agentMessage("b")),
      ]);
      expect(results.map(({ status }) => status)).toEqual([
        "fulfilled",
        "rejected",
        "rejected",
        "rejected",
        "rejected",
        "fulfilled",
      ]);
      const reasons = results.map((result) => (result.status === "rejected" ? (result.reason as unknown) : null));
      expect(reasons[1]).toBeInstanceOf(UnknownSessionError);
      for (const index of [2, 3, 4]) expect(reasons[index]).toBeInstanceOf(InvalidAppendError);
      expect((await read(ledger, id)).slice(1).map(label)).toEqual(["a", "b"]);
      expect(told).toEqual(["a", "b"]);
      expect((await ledger.verify(id)).broken_at).toBeNull();
      expect((await ledger.getSession(id))?.fold.last_seq).toBe(3);
    });

    test("all of a call or none of it: whatever fails, a call's events are together and in order", async () => {
      const call = fc.record({ size: fc.integer({ min: 1, max: 5 }), breaksAt: fc.option(fc.nat(4)) });
      const ledger = await open();
      await fc.assert(
        fc.asyncProperty(fc.array(call, { maxLength: 12 }), async (calls) => {
          const id = await newSession(ledger);
          const drafts = (
            { size, breaksAt }: { size: number; breaksAt: number | null },
            number: number,
          ): EventDraft[] =>
            Array.from({ length: size }, (_, index) =>
              index === breaksAt ? { ...agentMessage("bad"), id: "" } : agentMessage(`${number}.${index}`),
            );
          await Promise.allSettled(calls.map((one, number) => ledger.emitEvents(id, drafts(one, number))));
          const expected = calls.flatMap((one, number) =>
            one.breaksAt !== null && one.breaksAt < one.size
              ? []
              : Array.from({ length: one.size }, (_, index) => `${number}.${index}`),
          );
          expect((await read(ledger, id)).slice(1).map(label)).toEqual(expected);
        }),
        { numRuns: 15 },
      );
    });

    test("L8 events of unknown types are kept, returned and skipped by the fold", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const unknown = { type: "workflow.of_the_future", steps: [1, 2] } as unknown as EventDraft;
      await ledger.emitEvent(id, unknown);
      await ledger.emitEvent(id, agentMessage("after"));
      expect((await read(ledger, id))[1]?.event).toMatchObject({ type: "workflow.of_the_future", steps: [1, 2] });
      expect((await ledger.getSession(id))?.fold).toMatchObject({ last_seq: 3, last_act: "after" });
    });

    test("created_at never decreases in a session, also when the clock is set back", async () => {
      const clock = new ManualClock();
      const ledger = await open({ now: clock.now });
      const id = await newSession(ledger);
      clock.time -= 3_600_000;
      const back = await ledger.emitEvent(id, agentMessage("a"));
      clock.time += 7_200_000;
      const ahead = await ledger.emitEvent(id, agentMessage("b"));
      expect([back.created_at, ahead.created_at]).toEqual(["2026-03-01T10:00:00.000Z", "2026-03-01T11:00:00.000Z"]);
    });

    test("a session begins with longhaul.session_created and is created once", async () => {
      const ledger = await open();
      await expect(ledger.createSession("sesn_1", [])).rejects.toBeInstanceOf(InvalidAppendError);
      await expect(ledger.createSession("sesn_1", [agentMessage("x")])).rejects.toBeInstanceOf(InvalidAppendError);
      expect(await ledger.getSession("sesn_1")).toBeNull();
      expect(await ledger.createSession("sesn_1", [sessionCreated(), userMessage("go")])).toHaveLength(2);
      await expect(ledger.createSession("sesn_1", [sessionCreated()])).rejects.toThrow(/exists already/);
      expect(await ledger.getSession("sesn_1")).toMatchObject({ first_seq: 1, last_seq: 2 });
    });

    test("an unknown session reads as empty and refuses writes", async () => {
      const ledger = await open();
      expect(await read(ledger, "sesn_0")).toEqual([]);
      expect(await ledger.listPublicEvents("sesn_0", { limit: 5 })).toEqual({ events: [], next: null });
      await expect(ledger.emitEvents("sesn_0", [])).rejects.toBeInstanceOf(UnknownSessionError);
      await expect(ledger.verify("sesn_0")).rejects.toBeInstanceOf(UnknownSessionError);
      await expect(ledger.deleteSession("sesn_0")).rejects.toBeInstanceOf(UnknownSessionError);
    });
  });
}
