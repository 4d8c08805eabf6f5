import { get, type IncomingMessage } from "node:http";
import { afterEach, expect, test } from "vitest";
import type { EventDraft, StoredEvent } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import { SseParser } from "../../contract/sse/sse.ts";
import type { EventRange } from "../../session/ledger.ts";
import { MemoryLedger } from "../../session/memory_ledger.ts";
import { PRIMARY_THREAD, sessionCreated } from "../../session/testing/drafts.ts";
import { type Rig, startRig } from "../testing/rig.ts";

let rig: Rig;
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

interface Stream {
  response: IncomingMessage;
  /** First word of each `agent.message`, in order of arrival. */
  numbers: number[];
  previews: number;
}

function open(path: string): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const request = get(rig.url + path, { agent: false, headers: { "x-api-key": rig.token } }, (response) => {
      const stream: Stream = { response, numbers: [], previews: 0 };
      const parser = new SseParser();
      response.on("data", (chunk: Buffer) => {
        for (const data of parser.push(chunk)) {
          const event = JSON.parse(data) as { type: string; content?: { text: string }[] };
          if (event.type === "agent.message") stream.numbers.push(Number.parseInt(event.content?.[0]?.text ?? "", 10));
          else stream.previews += 1;
        }
      });
      response.on("error", () => undefined);
      resolve(stream);
    });
    request.on("error", reject);
  });
}

async function sessions(count: number, ledger: MemoryLedger): Promise<string[]> {
  const ids = Array.from({ length: count }, () => newId("session"));
  await Promise.all(ids.map((id) => ledger.createSession(id, [sessionCreated()])));
  return ids;
}

const streamOf = (id: string) => `/v1/sessions/${id}/events/stream`;
const said = (number: number, text = ""): EventDraft => ({
  type: "agent.message",
  content: [{ type: "text", text: `${number} ${text}` }],
});
const upTo = (count: number) => Array.from({ length: count }, (_, n) => n);
const breath = () => new Promise((resolve) => setImmediate(resolve));

/** Far above what it takes: two cores may be shared with others. */
const PATIENCE = { timeout: 60_000 };

test(
  "200 streams at once miss nothing and keep the order, with silent and vanishing readers among them",
  PATIENCE,
  async () => {
    const EVENTS = 18;
    rig = await startRig();
    const ids = await sessions(200, rig.ledger);
    const streams = await Promise.all(ids.map((id) => open(`${streamOf(id)}?event_deltas[]=agent.message`)));
    const silent = await Promise.all(ids.slice(0, 20).map((id) => open(streamOf(id))));
    for (const { response } of silent) response.pause();
    const vanishing = await Promise.all(ids.slice(10, 40).map((id) => open(streamOf(id))));
    await Promise.all(
      ids.map(async (id, session) => {
        for (let n = 0; n < EVENTS; n++) {
          const event_id = newId("event");
          const start = { type: "event_start" as const, event: { type: "agent.message" as const, id: event_id } };
          rig.live.publish(id, { type: "preview", thread_id: PRIMARY_THREAD, frame: start });
          // Some transactions hold several events, and some events are large.
          const large = (n + session) % 18 === 0 ? "x".repeat(100_000) : "";
          if (n % 5 === 0 && n + 1 < EVENTS) await rig.emit(id, { ...said(n), id: event_id }, said(++n, large));
          else await rig.emit(id, { ...said(n, large), id: event_id });
          if (n % 3 === session % 3) await breath();
          if (n >= 9 && session < vanishing.length) vanishing[session]?.response.destroy();
        }
      }),
    );
    await expect
      .poll(() => streams.filter(({ numbers }) => numbers.length >= EVENTS).length, { timeout: 30_000 })
      .toBe(200);
    for (const { numbers, previews } of streams) {
      expect(numbers).toEqual(upTo(EVENTS));
      expect(previews).toBeGreaterThan(0);
    }
    // Who was silent reads the same, later.
    for (const { response } of silent) response.resume();
    await expect
      .poll(() => silent.filter(({ numbers }) => numbers.length >= EVENTS).length, { timeout: 30_000 })
      .toBe(20);
    for (const { numbers } of silent) expect(numbers).toEqual(upTo(EVENTS));
    for (const { response } of [...streams, ...silent]) response.destroy();
  },
);

/** Counts what is read back from it. */
class CountingLedger extends MemoryLedger {
  read = 0;

  override async *getEvents(sessionId: string, range?: EventRange): AsyncIterable<StoredEvent> {
    for await (const stored of super.getEvents(sessionId, range)) {
      this.read += 1;
      yield stored;
    }
  }
}

test("a reader that keeps up costs no reading of the ledger; a silent one is not read for", PATIENCE, async () => {
  const ledger = new CountingLedger();
  rig = await startRig({ ledger });
  const [id = ""] = await sessions(1, ledger);
  const quick = await open(streamOf(id));
  const other = await open(streamOf(id));
  for (let n = 0; n < 50; n++) {
    await ledger.emitEvent(id, said(n));
    await breath();
  }
  await expect.poll(() => [quick.numbers.length, other.numbers.length]).toEqual([50, 50]);
  expect(ledger.read).toBe(0);
  other.response.destroy();
  const silent = await open(streamOf(id));
  silent.response.pause();
  const LARGE = 400;
  for (let n = 0; n < LARGE; n++) {
    await ledger.emitEvent(id, said(50 + n, "x".repeat(60_000)));
    await breath();
  }
  await expect.poll(() => quick.numbers.length, { timeout: 30_000 }).toBe(50 + LARGE);
  expect(quick.numbers).toEqual(upTo(50 + LARGE));
  // 24 MB were committed. What the silent reader's sockets do not take stays in the ledger.
  expect(silent.numbers.length).toBeLessThan(LARGE / 2);
  expect(ledger.read).toBeLessThan(LARGE);
  const before = ledger.read;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(ledger.read).toBe(before);
  silent.response.resume();
  await expect.poll(() => silent.numbers.length, { timeout: 30_000 }).toBe(LARGE);
  expect(silent.numbers).toEqual(upTo(LARGE).map((n) => 50 + n));
  // Most of it was nowhere but there until then.
  expect(ledger.read - before).toBeGreaterThan(LARGE / 2);
  for (const { response } of [quick, silent]) response.destroy();
});

test("a stream shows an event as the list does, whether it comes at once or is read later", async () => {
  rig = await startRig();
  const id = await rig.session();
  const stream = await rig.client.beta.sessions.events.stream(id);
  const sent: EventDraft[] = [
    { type: "session.updated", title: "t", metadata: {} } as EventDraft,
    said(1, "ü 🙂 \u2028"),
    {
      type: "agent.tool_result",
      tool_use_id: "x",
      content: [{ type: "text", text: "y".repeat(90_000) }],
      is_error: undefined,
    } as unknown as EventDraft,
  ];
  await rig.emit(id, ...sent);
  const seen: unknown[] = [];
  for await (const event of stream) {
    seen.push(event);
    if (seen.length === sent.length) break;
  }
  const listed = await rig.client.beta.sessions.events.list(id, { order: "asc" });
  expect(seen).toEqual(listed.data.slice(-sent.length));
});
