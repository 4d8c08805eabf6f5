import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import type { LedgerEvent, StoredEvent } from "../../contract/events.ts";
import type { PreviewFrame } from "../../contract/local_api.ts";
import { feedOf } from "./feed.ts";
import { Inbox } from "./inbox.ts";
import { PreviewGate } from "./preview_gate.ts";
import { SseWriter } from "./writer.ts";

const start = (id: string): PreviewFrame => ({ type: "event_start", event: { type: "agent.message", id } });
const delta = (event_id: string, text = "x"): PreviewFrame => ({
  type: "event_delta",
  event_id,
  delta: { type: "content_delta", index: 0, content: { type: "text", text } },
});
const live = (frame: PreviewFrame) => ({ type: "preview", thread_id: "sthr_1", frame }) as const;

const events = (...seqs: number[]) => seqs.map((seq) => ({ seq }) as StoredEvent);

async function taken(inbox: Inbox): Promise<unknown[]> {
  const items: unknown[] = [];
  inbox.committed(events(999));
  for (let item = await inbox.next(); item !== null; item = await inbox.next()) {
    if (item.type === "commit" && item.through === 999) break;
    items.push(item.type === "live" && item.frame.type === "preview" ? item.frame.frame : item);
  }
  return items;
}

describe("Inbox", () => {
  test("keeps the order of arrival and merges announcements that nothing stands between", async () => {
    const inbox = new Inbox();
    inbox.committed(events(1));
    inbox.committed(events(2));
    inbox.live(live(start("a")));
    inbox.committed(events(3));
    inbox.activityChanged();
    inbox.activityChanged();
    expect(await taken(inbox)).toEqual([
      { type: "commit", through: 2, events: null },
      start("a"),
      { type: "commit", through: 3, events: null },
      { type: "activity" },
    ]);
  });

  test("holds events only for a reader that has nothing else to do", async () => {
    const inbox = new Inbox();
    inbox.committed(events(1, 2));
    expect(await inbox.next()).toEqual({ type: "commit", through: 2, events: events(1, 2) });
    inbox.live(live(start("a")));
    inbox.committed(events(3));
    await inbox.next();
    expect(await inbox.next()).toEqual({ type: "commit", through: 3, events: null });
  });

  test("stays small whatever arrives, and what is left of a message is a prefix of it", async () => {
    const inbox = new Inbox();
    for (let n = 0; n < 5000; n += 1) {
      inbox.live(live(n === 0 ? start("a") : delta("a", `${n}`)));
      inbox.committed(events(n));
      inbox.activityChanged();
    }
    const items = await taken(inbox);
    expect(items.length).toBeLessThan(1100);
    // Dropping one frame drops all that are left: better no preview than one with a hole.
    inbox.live(live(delta("a", "later")));
    expect(await taken(inbox)).toEqual([]);
  });

  test("a closed inbox wakes its reader with null", async () => {
    const inbox = new Inbox();
    const next = inbox.next();
    inbox.close();
    expect(await next).toBeNull();
  });
});

describe("the feed of a ledger", () => {
  test("subscribes once for all, tells each of its session only, and lets go with the last", () => {
    const listeners = new Set<(events: readonly StoredEvent[]) => void>();
    let subscriptions = 0;
    const ledger = {
      subscribe: (listener: (events: readonly StoredEvent[]) => void) => {
        subscriptions += 1;
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    };
    const seen: string[] = [];
    const take = (name: string) => (given: readonly StoredEvent[]) =>
      seen.push(`${name} ${given.map(({ seq }) => seq)}`);
    const stops = [
      ["a", "x"],
      ["b", "x"],
      ["c", "y"],
    ].map(([name = "", id = ""]) => feedOf(ledger).follow(id, take(name)));
    const commit = () => {
      const given = [
        ["x", 1],
        ["y", 7],
        ["x", 2],
        ["z", 3],
      ].map(([session_id, seq]) => ({ session_id, seq }) as StoredEvent);
      for (const listener of listeners) listener(given);
    };
    commit();
    expect(seen).toEqual(["a 1,2", "b 1,2", "c 7"]);
    expect(subscriptions).toBe(1);
    stops[0]?.();
    stops[0]?.();
    seen.length = 0;
    commit();
    expect(seen).toEqual(["b 1,2", "c 7"]);
    stops[1]?.();
    stops[2]?.();
    expect(listeners.size).toBe(0);
    const stop = feedOf(ledger).follow("x", take("d"));
    expect(listeners.size).toBe(1);
    stop();
  });
});

describe("PreviewGate", () => {
  test("whatever arrives: one start per id, deltas only between start and end, nothing after the end", () => {
    const ids = fc.constantFrom("a", "b", "c");
    const step = fc.oneof(
      ids.map((id) => ({ kind: "start" as const, id })),
      ids.map((id) => ({ kind: "delta" as const, id })),
      ids.map((id) => ({ kind: "stored" as const, id })),
      fc.constant({ kind: "request_end" as const, id: "" }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const gate = new PreviewGate(new Set(["agent.message"]));
        const starts = new Set<string>();
        const open = new Set<string>();
        const stored = new Set<string>();
        for (const { kind, id } of steps) {
          if (kind === "stored") {
            gate.stored({ thread_id: "a", event: { type: "agent.message", id, content: [], processed_at: "" } });
            stored.add(id);
            open.delete(id);
          } else if (kind === "request_end") {
            const event = { type: "span.model_request_end" } as LedgerEvent;
            // Another thread's request ends nothing here.
            gate.stored({ thread_id: "b", event });
            for (const still of open) expect(gate.admits(delta(still), "a")).toBe(true);
            gate.stored({ thread_id: "a", event });
            open.clear();
          } else if (gate.admits(kind === "start" ? start(id) : delta(id), "a")) {
            expect(stored.has(id)).toBe(false);
            if (kind === "start") expect(starts.has(id)).toBe(false);
            else expect(open.has(id)).toBe(true);
            if (kind === "start") open.add(id);
            starts.add(id);
          }
        }
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

describe("SseWriter", () => {
  test("a silent stream sends comments, a busy reader gets none in between", async () => {
    vi.useFakeTimers();
    const writer = new SseWriter(15_000);
    const reader = writer.response.body?.getReader();
    const read = async () => Buffer.from((await reader?.read())?.value ?? []).toString();
    expect(await read()).toBe(": connected\n\n");
    const next = read();
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await next).toBe(": keep-alive\n\n");
    writer.frame("a", { text: "line\nbreak" });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(await read()).toBe('event: a\ndata: {"text":"line\\nbreak"}\n\n');
    await reader?.cancel();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  test("types that older SDKs do not know go by a name that they read", async () => {
    const writer = new SseWriter();
    for (const type of ["session.status_idle", "session.usage", "workflow_run.created"]) writer.frame(type, { type });
    writer.end();
    const names = [...(await writer.response.text()).matchAll(/^event: (.*)$/gm)].map(([, name]) => name);
    expect(names).toEqual(["session.status_idle", "message", "message"]);
  });

  test("end sends what is queued, then closes and tells once", async () => {
    const writer = new SseWriter();
    const closed = vi.fn();
    writer.onClose(closed);
    writer.frame("a", 1);
    writer.end();
    writer.frame("late", 1);
    expect(await writer.response.text()).toBe(": connected\n\nevent: a\ndata: 1\n\n");
    expect(closed).toHaveBeenCalledTimes(1);
  });

  test("a congested writer holds its writers until the reader reads or leaves", async () => {
    const writer = new SseWriter();
    writer.frame("a", "x".repeat(300_000));
    expect(writer.congested).toBe(true);
    let free = false;
    const waiting = writer.drained().then(() => {
      free = true;
    });
    await Promise.resolve();
    expect(free).toBe(false);
    const reader = writer.response.body?.getReader();
    await reader?.read();
    await waiting;
    expect(writer.congested).toBe(false);
    writer.frame("a", "x".repeat(300_000));
    const again = writer.drained();
    await reader?.cancel();
    await again;
    expect(writer.closed).toBe(true);
  });
});
