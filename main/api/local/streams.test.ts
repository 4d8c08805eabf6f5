/** The timeline and the list stream. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import type { ListFrame, TimelineFrame } from "../../contract/local_api.ts";
import { type Rig, startRig } from "../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

class Frames<F> implements AsyncDisposable {
  readonly seen: F[] = [];
  ended = false;
  readonly #controller = new AbortController();
  readonly #reading: Promise<void>;

  private constructor(body: ReadableStream<Uint8Array>, controller: AbortController) {
    this.#controller = controller;
    this.#reading = this.#read(body);
  }

  static async open<F>(of: Rig, path: string): Promise<Frames<F>> {
    const controller = new AbortController();
    const headers = { authorization: `Bearer ${of.token}` };
    const answer = await fetch(of.url + path, { headers, signal: controller.signal });
    expect(answer.status).toBe(200);
    if (answer.body === null) throw new Error("no body");
    return new Frames<F>(answer.body, controller);
  }

  async until(condition: (seen: F[]) => boolean): Promise<F[]> {
    await vi.waitFor(() => expect(condition(this.seen)).toBe(true), { timeout: 10_000, interval: 5 });
    return this.seen;
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = "";
    try {
      const decoder = new TextDecoder();
      for await (const chunk of body) {
        text += decoder.decode(chunk, { stream: true });
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
          const data = /^data: (.*)$/m.exec(block)?.[1];
          if (data !== undefined) this.seen.push(JSON.parse(data) as F);
        }
      }
      this.ended = true;
    } catch (error) {
      if (!this.#controller.signal.aborted) throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#controller.abort();
    await this.#reading;
  }
}

const timeline = (id: string, after = 0, of = rig) =>
  Frames.open<TimelineFrame>(of, `/longhaul/v1/sessions/${id}/timeline?after=${after}`);
const seqs = (frames: TimelineFrame[]) =>
  frames.flatMap((frame) => (frame.type === "stored" ? [frame.stored.seq] : []));
const types = (frames: { type: string }[]) => frames.map((frame) => frame.type);

describe("timeline", () => {
  test("history, caught_up, activity, then live", async () => {
    const id = await rig.session();
    await rig.emit(id, { type: "session.status_running" });
    await using frames = await timeline(id);
    await frames.until((seen) => seen.length >= 4);
    expect(types(frames.seen)).toEqual(["stored", "stored", "caught_up", "activity"]);
    const answer = newId("event");
    rig.orchestrator.set(id, "running");
    await frames.until((seen) => types(seen).filter((type) => type === "activity").length === 2);
    rig.live.publish(id, {
      type: "preview",
      thread_id: "sthr_1",
      frame: { type: "event_start", event: { type: "agent.message", id: answer } },
    });
    rig.live.publish(id, { type: "tool_output", tool_use_id: "sevt_t", chunk: "out" });
    await rig.emit(id, { type: "agent.message", id: answer, content: [{ type: "text", text: "x" }] });
    rig.orchestrator.set(id, null);
    await frames.until((seen) => types(seen).filter((type) => type === "activity").length === 3);
    expect(types(frames.seen.slice(4))).toEqual(["activity", "preview", "tool_output", "stored", "activity"]);
  });

  test("goes on behind a position", async () => {
    const id = await rig.session();
    await rig.emit(id, ...Array.from({ length: 20 }, () => ({ type: "session.status_running" }) as const));
    await using frames = await timeline(id, 15);
    await frames.until((seen) => types(seen).includes("caught_up"));
    expect(seqs(frames.seen)).toEqual([16, 17, 18, 19, 20, 21]);
    expect((await rig.request(`/longhaul/v1/sessions/${id}/timeline?after=22`)).status).toBe(400);
    expect((await rig.request(`/longhaul/v1/sessions/${id}/timeline?after=x`)).status).toBe(400);
  });

  test("no gap and no repeat while appends go on, for readers that come at any time", async () => {
    const id = await rig.session();
    const readers: Frames<TimelineFrame>[] = [];
    const count = 300;
    const writing = (async () => {
      for (let n = 0; n < count; n += 1) {
        await rig.emit(id, { type: "session.status_running" });
        if (n % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    for (let n = 0; n < 5; n += 1) readers.push(await timeline(id));
    await writing;
    const wanted = Array.from({ length: count + 1 }, (_, n) => n + 1);
    for (const reader of readers) {
      await reader.until((seen) => seqs(seen).at(-1) === count + 1);
      expect(seqs(reader.seen)).toEqual(wanted);
      await reader[Symbol.asyncDispose]();
    }
  });

  test("large bodies stay markers, in the history and live", async () => {
    const id = await rig.session();
    const large: EventDraft = { type: "agent.message", content: [{ type: "text", text: "x".repeat(100_000) }] };
    await rig.emit(id, large);
    await using frames = await timeline(id, 1);
    await rig.emit(id, large);
    await frames.until((seen) => seqs(seen).length === 2);
    const stored = frames.seen.filter((frame) => frame.type === "stored");
    for (const frame of stored) expect(JSON.stringify(frame).length).toBeLessThan(10_000);
    const marker = JSON.parse(JSON.stringify(stored[1])).stored.event.content[0].text as { longhaul_blob: string };
    expect(await (await rig.request(`/longhaul/v1/blobs/${marker.longhaul_blob}`)).text()).toHaveLength(100_000);
  });

  test("a deleted session ends it, and its subscriptions are gone", async () => {
    const id = await rig.session();
    const listeners = rig.orchestrator.listeners;
    await using frames = await timeline(id);
    await frames.until((seen) => types(seen).includes("activity"));
    expect(rig.orchestrator.listeners).toBe(listeners + 1);
    await rig.client.beta.sessions.delete(id);
    await vi.waitFor(() => expect(frames.ended).toBe(true), { timeout: 10_000 });
    expect(frames.seen.at(-1)).toEqual({ type: "deleted" });
    expect(rig.orchestrator.listeners).toBe(listeners);
    expect(rig.live.isWatched(id)).toBe(false);
  });

  test("a ledger that fails in the middle ends the stream with an error event", async () => {
    await using own = await startRig();
    const id = await own.session();
    await using frames = await timeline(id, 0, own);
    await frames.until((seen) => types(seen).includes("activity"));
    vi.spyOn(own.ledger, "getEvents").mockImplementation(() => {
      throw new Error("disk");
    });
    // Only what is too large to be passed on as it is has to be read.
    await own.emit(id, { type: "agent.message", content: [{ type: "text", text: "x".repeat(100_000) }] });
    await vi.waitFor(() => expect(frames.ended).toBe(true), { timeout: 10_000 });
    expect(frames.seen.at(-1)).toMatchObject({ type: "error", error: { type: "api_error" } });
    expect(own.failures).toHaveLength(1);
  });
});

describe("list stream", () => {
  test("coalesces changes, and a deleted session stays deleted", async () => {
    await using frames = await Frames.open<ListFrame>(rig, "/longhaul/v1/stream");
    const began = performance.now();
    const id = await rig.session({ title: "one" });
    for (let n = 0; n < 200; n += 1) await rig.emit(id, { type: "session.status_running" });
    await frames.until((seen) => seen.some((frame) => frame.type === "summary" && frame.summary.fold.last_seq === 201));
    expect(frames.seen.length).toBeLessThanOrEqual(2 + (performance.now() - began) / 100);
    rig.orchestrator.set(id, "running");
    await frames.until((seen) =>
      seen.some((frame) => frame.type === "summary" && frame.summary.activity === "running"),
    );
    rig.orchestrator.set(id, null);
    await rig.client.beta.sessions.delete(id);
    rig.orchestrator.set(id, null);
    await frames.until((seen) => seen.some((frame) => frame.type === "deleted"));
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(frames.seen.at(-1)).toEqual({ type: "deleted", id });
  });
});
