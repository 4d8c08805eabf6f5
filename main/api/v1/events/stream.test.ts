import { connect } from "node:net";
import type { BetaManagedAgentsStreamSessionEvents } from "@anthropic-ai/sdk/resources/beta/sessions/events";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { newId } from "../../../contract/ids.ts";
import type { PreviewFrame } from "../../../contract/local_api.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

type Streamed = BetaManagedAgentsStreamSessionEvents;

/** Reads until an event of this type, or to the stream's end. */
async function until(stream: AsyncIterable<Streamed>, type?: string): Promise<Streamed[]> {
  const seen: Streamed[] = [];
  for await (const event of stream) {
    seen.push(event);
    if (event.type === type) break;
  }
  return seen;
}

const IDLE = { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null } as const;
const USAGE = { input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };

/** The primary thread of each session that a test made. */
const threads = new Map<string, string>();

async function newSession(): Promise<string> {
  const id = await rig.session();
  threads.set(id, (await rig.ledger.getSession(id))?.fold.primary_thread_id ?? "");
  return id;
}

function preview(rigOf: Rig, id: string, ...frames: PreviewFrame[]): void {
  for (const frame of frames) rigOf.live.publish(id, { type: "preview", thread_id: threads.get(id) ?? "", frame });
}
const started = (id: string, type: "agent.message" | "agent.thinking" = "agent.message"): PreviewFrame => ({
  type: "event_start",
  event: { type, id },
});
const delta = (event_id: string, text: string): PreviewFrame => ({
  type: "event_delta",
  event_id,
  delta: { type: "content_delta", index: 0, content: { type: "text", text } },
});

describe("events", () => {
  test("headers come at once, also when nothing happens, and every frame names its event", async () => {
    const id = await newSession();
    const answer = await rig.request(`/v1/sessions/${id}/events/stream`);
    expect(answer.headers.get("content-type")).toContain("text/event-stream");
    expect(answer.headers.get("request-id")).toMatch(/^req_/);
    const reader = answer.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(": connected\n\n");
    await rig.emit(id, IDLE);
    const text = Buffer.from((await reader?.read())?.value ?? []).toString();
    expect(text).toMatch(/^event: session\.status_idle\ndata: \{.*\}\n\n$/);
    await reader?.cancel();
  });

  test("only what happens after opening, without local events", async () => {
    const id = await newSession();
    await rig.emit(id, { type: "session.status_running" });
    const stream = await rig.client.beta.sessions.events.stream(id);
    await rig.emit(id, { type: "longhaul.tool_started", tool_use_id: "x", attempt: 1 }, IDLE);
    expect((await until(stream, "session.status_idle")).map((event) => event.type)).toEqual(["session.status_idle"]);
  });

  test("large bodies are whole", async () => {
    const id = await newSession();
    const stream = await rig.client.beta.sessions.events.stream(id);
    const text = "x".repeat(200_000);
    await rig.emit(id, { type: "agent.message", content: [{ type: "text", text }] });
    const [event] = await until(stream, "agent.message");
    expect(event).toMatchObject({ content: [{ text }] });
  });

  test("a deleted session ends its streams with session.deleted", async () => {
    const id = await newSession();
    const streams = await Promise.all([1, 2, 3].map(() => rig.client.beta.sessions.events.stream(id)));
    const reading = streams.map((stream) => until(stream));
    await rig.client.beta.sessions.delete(id);
    for (const seen of await Promise.all(reading)) expect(seen.map((event) => event.type)).toEqual(["session.deleted"]);
  });

  test("a session or thread that does not exist is a 404 before any frame", async () => {
    expect((await refusalOf(rig.client.beta.sessions.events.stream("sesn_none"))).status).toBe(404);
    const id = await newSession();
    const stream = rig.client.beta.sessions.threads.events.stream("sthr_none", { session_id: id });
    expect((await refusalOf(stream)).status).toBe(404);
  });

  test("the primary thread's stream shows the same", async () => {
    const id = await newSession();
    const thread = (await rig.client.beta.sessions.threads.list(id)).data[0]?.id ?? "";
    const stream = await rig.client.beta.sessions.threads.events.stream(thread, { session_id: id });
    await rig.emit(id, IDLE);
    for await (const event of stream) {
      expect(event.type).toBe("session.status_idle");
      break;
    }
  });
});

describe("previews", () => {
  test("come for who asks, only of the types asked for, and end with the buffered event", async () => {
    const id = await newSession();
    const open = (event_deltas: ("agent.message" | "agent.thinking")[]) =>
      rig.client.beta.sessions.events.stream(id, { event_deltas });
    const [both, messages, none] = [
      await open(["agent.message", "agent.thinking"]),
      await open(["agent.message"]),
      await open([]),
    ];
    const [thinking, answer] = [newId("event"), newId("event")];
    preview(rig, id, started(thinking, "agent.thinking"));
    await rig.emit(id, { type: "agent.thinking", id: thinking });
    preview(rig, id, started(answer), started(answer), delta(answer, "Hel"), delta(answer, "lo"));
    await rig.emit(id, { type: "agent.message", id: answer, content: [{ type: "text", text: "Hello" }] });
    preview(rig, id, delta(answer, "late"), started(answer));
    await rig.emit(id, IDLE);
    const types = async (stream: AsyncIterable<Streamed>) =>
      (await until(stream, "session.status_idle")).map((event) => event.type);
    expect(await types(both)).toEqual([
      "event_start",
      "agent.thinking",
      "event_start",
      "event_delta",
      "event_delta",
      "agent.message",
      "session.status_idle",
    ]);
    expect(await types(messages)).toEqual([
      "agent.thinking",
      "event_start",
      "event_delta",
      "event_delta",
      "agent.message",
      "session.status_idle",
    ]);
    expect(await types(none)).toEqual(["agent.thinking", "agent.message", "session.status_idle"]);
  });

  test("a connection in the middle of a message waits for the next start", async () => {
    const id = await newSession();
    const answer = newId("event");
    preview(rig, id, started(answer));
    const stream = await rig.client.beta.sessions.events.stream(id, { event_deltas: ["agent.message"] });
    preview(rig, id, delta(answer, "x"));
    await rig.emit(id, {
      type: "span.model_request_end",
      model_request_start_id: "s",
      is_error: true,
      model_usage: USAGE,
    });
    preview(rig, id, delta(answer, "y"));
    const next = newId("event");
    preview(rig, id, started(next), delta(next, "z"));
    const seen = await until(stream, "event_delta");
    expect(seen.map((event) => event.type)).toEqual(["span.model_request_end", "event_start", "event_delta"]);
  });

  test("unknown types and more than 100 values are refused", async () => {
    const id = await newSession();
    const path = `/v1/sessions/${id}/events/stream`;
    expect((await rig.request(`${path}?event_deltas[]=agent.tool_use`)).status).toBe(400);
    const many = Array.from({ length: 101 }, () => "event_deltas[]=agent.message").join("&");
    expect((await rig.request(`${path}?${many}`)).status).toBe(400);
  });
});

describe("slow and vanished readers", () => {
  test("a reader that stops reading costs bounded memory, loses previews but no event", async () => {
    const id = await newSession();
    const socket = connect(Number(rig.host.split(":")[1]), "127.0.0.1");
    socket.setEncoding("utf8");
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write(
      `GET /v1/sessions/${id}/events/stream?event_deltas[]=agent.message HTTP/1.1\r\nhost: ${rig.host}\r\nauthorization: Bearer ${rig.token}\r\n\r\n`,
    );
    await new Promise((resolve) => socket.once("data", resolve));
    socket.pause();
    const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    const filler = "x".repeat(50_000);
    const count = 300;
    for (let n = 0; n < count; n += 1) {
      const message = newId("event");
      preview(rig, id, started(message));
      for (let k = 0; k < 20; k += 1) preview(rig, id, delta(message, filler));
      await rig.emit(id, { type: "agent.message", id: message, content: [{ type: "text", text: `${n}.` }] });
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    // 300 MB of previews were published; what the kernel and the bounded queues hold is a few.
    const after = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
    expect(after - before).toBeLessThan(100 * 1024 * 1024);
    await rig.emit(id, IDLE);
    let text = "";
    socket.on("data", (chunk) => (text += String(chunk)));
    socket.resume();
    await vi.waitFor(() => expect(text).toContain("session.status_idle"), { timeout: 10_000 });
    const seen = [...text.matchAll(/event: agent\.message\ndata: .*?"text":"(\d+)\."/g)].map((match) =>
      Number(match[1]),
    );
    expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
    expect(text.match(/event: event_delta/g)?.length ?? 0).toBeLessThan(count * 20);
    socket.destroy();
  });

  test("a vanished reader is let go of", async () => {
    const id = await newSession();
    const stream = await rig.client.beta.sessions.events.stream(id, { event_deltas: ["agent.message"] });
    expect(rig.live.isWatched(id)).toBe(true);
    stream.controller.abort();
    await vi.waitFor(() => expect(rig.live.isWatched(id)).toBe(false));
  });
});
