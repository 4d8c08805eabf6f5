import Anthropic from "@anthropic-ai/sdk";
import { afterEach, expect, test } from "vitest";
import type { Reply, ScriptTurn } from "./script.ts";
import { type ModelServer, startModelServer } from "./server.ts";

let server: ModelServer | undefined;
afterEach(async () => {
  await server?.close();
});

const ask = { model: "claude-sonnet-5-5", max_tokens: 1000, messages: [{ role: "user" as const, content: "hi" }] };
const reply = (more: Partial<Reply>): Reply => ({
  content: [{ type: "text", text: "abcdefgh" }],
  delta_chars: 2,
  ping_every: 0,
  ...more,
});

/** Event types the SDK yields for this turn, and the error it ends with. */
async function read(turn: ScriptTurn, signal?: AbortSignal): Promise<{ types: string[]; error: unknown }> {
  server = await startModelServer({ script: [turn] });
  const client = new Anthropic({ baseURL: server.url, apiKey: server.apiKey, maxRetries: 0, logLevel: "off" });
  const types: string[] = [];
  try {
    const stream = await client.messages.create({ ...ask, stream: true }, { signal: signal ?? null });
    for await (const event of stream) types.push(event.type);
  } catch (error) {
    return { types, error };
  }
  return { types, error: null };
}

test("a stream that ends early has no message_stop", async () => {
  const { types, error } = await read(reply({ fault: { after: 3, kind: "end" } }));
  expect([types, error]).toEqual([["message_start", "content_block_start", "content_block_delta"], null]);
});

test("a reset in mid-stream delivers what was sent, then fails", async () => {
  const { types, error } = await read(reply({ fault: { after: 3, kind: "reset" } }));
  expect(types).toHaveLength(3);
  expect(error).toBeInstanceOf(Error);
});

test("an error event in mid-stream is an API error with its type", async () => {
  const { types, error } = await read(
    reply({ fault: { after: 2, kind: "error", error: { type: "overloaded_error", message: "Overloaded" } } }),
  );
  expect(types).toHaveLength(2);
  expect(error).toMatchObject({ type: "overloaded_error" });
});

test("a malformed event fails in the reader", async () => {
  const { error } = await read(
    reply({ fault: { after: 2, kind: "garbage", text: "event: content_block_delta\ndata: {broken\n\n" } }),
  );
  expect(error).toBeInstanceOf(SyntaxError);
});

test("a reset before any byte is a connection error", async () => {
  const { error } = await read({ kind: "reset" });
  expect(error).toBeInstanceOf(Anthropic.APIConnectionError);
});

test("an answer that is not JSON keeps its status", async () => {
  const { error } = await read({
    status: 502,
    body: "<html>Bad Gateway</html>",
    headers: { "content-type": "text/html" },
  });
  expect(error).toMatchObject({ status: 502 });
});

test.each([
  ["that never answers", { kind: "hang" }],
  ["that stops in mid-stream", reply({ fault: { after: 2, kind: "hang" } })],
] satisfies [string, ScriptTurn][])(
  "a server %s is left by the client's abort, and the record says so",
  async (_name, turn) => {
    const abort = new AbortController();
    const reading = read(turn, abort.signal);
    await expect.poll(() => server?.requests.length).toBe(1);
    setTimeout(() => abort.abort(), 30);
    const { error } = await reading;
    expect(error === null || error instanceof Anthropic.APIUserAbortError).toBe(true);
    await expect.poll(() => server?.requests[0]?.aborted).toBe(true);
  },
);

test("delays before the first byte and between events are kept", async () => {
  const started = performance.now();
  await read(reply({ first_byte_ms: 60, between_events_ms: 10 }));
  // 9 events: 60 ms, then 8 pauses of 10 ms; timers may fire 1 ms early.
  expect(performance.now() - started).toBeGreaterThan(130);
});
