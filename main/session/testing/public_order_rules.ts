/** L6, L7: the order and the times in which the contract lists events. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventDraft, StoredEvent } from "../../contract/events.ts";
import type { Ledger, PublicEventQuery } from "../ledger.ts";
import { agentMessage, consumed, label, newSession, read, userMessage } from "./drafts.ts";
import { ManualClock, type OpenLedger } from "./rig.ts";

async function list(ledger: Ledger, id: string, query: Partial<PublicEventQuery> = {}): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  let after: string | undefined;
  for (;;) {
    const page = await ledger.listPublicEvents(id, { limit: 2, ...query, ...(after === undefined ? {} : { after }) });
    events.push(...page.events);
    if (page.next === null) return events;
    after = page.next;
  }
}

export function publicOrderRules(open: OpenLedger): void {
  describe("L6 public order", () => {
    test("L6 queued events stand where they were processed, unprocessed ones last with processed_at null", async () => {
      const clock = new ManualClock();
      const ledger = await open({ now: clock.now });
      const id = await newSession(ledger);
      const first = await ledger.emitEvent(id, userMessage("first"));
      const second = await ledger.emitEvent(id, userMessage("second"));
      clock.time += 1_000;
      await ledger.emitEvent(id, agentMessage("working"));
      clock.time += 1_000;
      const mark = await ledger.emitEvent(id, consumed(second, first));
      await ledger.emitEvent(id, userMessage("waiting"));
      await ledger.emitEvent(id, agentMessage("answer"));
      const order = ["working", "second", "first", "answer", "waiting"];
      expect((await list(ledger, id)).map(label)).toEqual(order);
      expect((await list(ledger, id, { order: "desc" })).map(label)).toEqual([...order].reverse());
      const times = (await list(ledger, id)).map(({ event }) => event.processed_at);
      expect(times.slice(1, 3)).toEqual([mark.created_at, mark.created_at]);
      expect(times[4]).toBeNull();
    });

    test("L6 the first inputs_consumed that names an event decides; unknown ids and other events are ignored", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const input = await ledger.emitEvent(id, userMessage("input"));
      const answer = await ledger.emitEvent(id, agentMessage("answer"));
      await ledger.emitEvent(id, {
        type: "longhaul.inputs_consumed",
        event_ids: ["sevt_0", input.event.id, input.event.id],
      });
      await ledger.emitEvent(id, agentMessage("more"));
      await ledger.emitEvent(id, consumed(input, answer));
      expect((await list(ledger, id)).map(label)).toEqual(["answer", "input", "more"]);
    });

    test("L6 time filters compare processed_at; events without one are left out", async () => {
      const clock = new ManualClock();
      const ledger = await open({ now: clock.now });
      const id = await newSession(ledger);
      const time = (): string => new Date(clock.time).toISOString();
      const input = await ledger.emitEvent(id, userMessage("sent early"));
      clock.time += 1_000;
      const one = time();
      await ledger.emitEvents(id, [agentMessage("one"), agentMessage("one too")]);
      clock.time += 1_000;
      const two = time();
      await ledger.emitEvent(id, consumed(input));
      await ledger.emitEvents(id, [agentMessage("two"), userMessage("never processed")]);
      const labels = async (query: Partial<PublicEventQuery>): Promise<string[]> =>
        (await list(ledger, id, query)).map(label);
      expect(await labels({ created_gte: one })).toEqual(["one", "one too", "sent early", "two"]);
      expect(await labels({ created_gt: one })).toEqual(["sent early", "two"]);
      expect(await labels({ created_lt: two })).toEqual(["one", "one too"]);
      expect(await labels({ created_lte: two, order: "desc" })).toEqual(["two", "sent early", "one too", "one"]);
      expect(await labels({ created_gt: one, created_lt: two })).toEqual([]);
      expect(await labels({ created_gte: "2026-03-01T11:00:01+01:00", created_lte: one })).toEqual(["one", "one too"]);
      await expect(labels({ created_gt: "yesterday" })).rejects.toThrow(/created_at\[gt\]/);
    });

    test("L6 a cursor goes on after the event it was made for; a foreign one or one of the other order is refused", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      await ledger.emitEvents(id, ["a", "b", "c"].map(agentMessage));
      const page = await ledger.listPublicEvents(id, { limit: 1 });
      await ledger.emitEvent(id, agentMessage("d"));
      const after = page.next ?? "";
      const rest = await ledger.listPublicEvents(id, { limit: 9, after });
      expect(rest.events.map(label)).toEqual(["b", "c", "d"]);
      await expect(ledger.listPublicEvents(id, { limit: 1, order: "desc", after })).rejects.toThrow(
        /order does not match/,
      );
      for (const bad of ["", "nonsense", after.slice(1), Buffer.from("asc.1").toString("base64url")]) {
        await expect(ledger.listPublicEvents(id, { limit: 1, after: bad })).rejects.toThrow(/invalid page cursor/);
      }
    });

    test("L7 events of our own are read by position and never listed", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      await ledger.emitEvents(id, [{ type: "longhaul.resume_requested", by: "user" }, agentMessage("a")]);
      expect((await list(ledger, id)).map(label)).toEqual(["a"]);
      expect(await list(ledger, id, { types: ["longhaul.resume_requested"] })).toEqual([]);
      expect((await read(ledger, id)).map(label)).toEqual([
        "longhaul.session_created",
        "longhaul.resume_requested",
        "a",
      ]);
    });

    test("L6 pages of any size and direction join to one list, whatever was sent and processed when", async () => {
      const step = fc.oneof(fc.constant("say"), fc.constant("send"), fc.constant("own"), fc.nat(20));
      const ledger = await open();
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), async (steps, limit) => {
          const id = await newSession(ledger);
          const queued: StoredEvent[] = [];
          const listed: string[] = [];
          for (const [number, what] of steps.entries()) {
            if (typeof what === "number") {
              const taken = queued.splice(0, what % 4).reverse();
              await ledger.emitEvent(id, consumed(...taken));
              listed.push(...taken.map(label));
              continue;
            }
            const drafts: Record<string, EventDraft> = {
              say: agentMessage(`say ${number}`),
              send: userMessage(`send ${number}`),
              own: { type: "longhaul.resume_requested", by: "api" },
            };
            const draft = drafts[what];
            if (draft === undefined) continue;
            const stored = await ledger.emitEvent(id, draft);
            if (what === "send") queued.push(stored);
            if (what === "say") listed.push(label(stored));
          }
          const expected = [...listed, ...queued.map(label)];
          expect((await list(ledger, id, { limit })).map(label)).toEqual(expected);
          expect((await list(ledger, id, { limit, order: "desc" })).map(label)).toEqual(expected.toReversed());
          const sent = await list(ledger, id, { limit, types: ["user.message"] });
          expect(sent.map(label)).toEqual(expected.filter((one) => one.startsWith("send")));
        }),
        { numRuns: 25 },
      );
    });
  });
}
