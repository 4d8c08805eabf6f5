import Anthropic from "@anthropic-ai/sdk";
import type { MessageParam } from "@anthropic-ai/sdk/resources/messages/messages";
import { afterEach, expect, test } from "vitest";
import { errorOf, stopBrokers, type TestBroker, testBroker } from "../testing/broker_client.ts";
import { INTRODUCTION } from "./identity.ts";

afterEach(stopBrokers);

const tools: Anthropic.Tool[] = ["bash", "write", "edit"].map((name) => ({ name, input_schema: { type: "object" } }));
const hi: MessageParam[] = [{ role: "user", content: "hi" }];
const ask = { model: "longhaul-demo", max_tokens: 8_000, tools, cache_control: { type: "ephemeral" as const } };

const clientOf = (broker: TestBroker): Anthropic =>
  new Anthropic({ baseURL: `${broker.url}/model`, apiKey: broker.token, maxRetries: 0 });

test("the SDK reads the demo's stream: text in small deltas, two calls at once, labelled", async () => {
  const client = clientOf(await testBroker({}));
  const stream = client.messages.stream({ ...ask, messages: hi });
  let deltas = 0;
  stream.on("text", () => (deltas += 1));
  const message = await stream.finalMessage();
  expect([message.model, message.stop_reason]).toEqual(["longhaul-demo", "tool_use"]);
  expect(message.content.map((block) => block.type)).toEqual(["text", "tool_use", "tool_use"]);
  expect(message.content[0]).toMatchObject({ text: expect.stringContaining(INTRODUCTION) });
  expect(message.content[1]).toMatchObject({ name: "write", input: { file_path: "longhaul-demo/duration.py" } });
  expect(deltas).toBeGreaterThan(20);
  expect(message.usage.output_tokens).toBeGreaterThan(100);
});

test("whole and streamed answers are the same message", async () => {
  const client = clientOf(await testBroker({}));
  const streamed = await client.messages.stream({ ...ask, messages: hi }).finalMessage();
  const whole = await client.messages.create({ ...ask, messages: hi });
  expect(whole.content).toEqual(streamed.content);
  expect(whole.id).toBe(streamed.id);
});

test("a longer conversation of the same session reads its beginning from the cache", async () => {
  const broker = await testBroker({});
  const client = clientOf(broker);
  const first = await client.messages.create({ ...ask, messages: hi });
  const more: MessageParam[] = [...hi, { role: "assistant", content: "a" }, { role: "user", content: "b" }];
  const second = await client.messages.create({ ...ask, messages: more });
  expect(first.usage).toMatchObject({ cache_read_input_tokens: 0 });
  expect(second.usage.cache_read_input_tokens).toBe(first.usage.cache_creation_input_tokens);
  expect(second.usage.cache_creation_input_tokens).toBeGreaterThan(0);
  const { cache_control: _left_out, ...uncached } = ask;
  expect((await client.messages.create({ ...uncached, messages: more })).usage.cache_read_input_tokens).toBe(0);
});

test("the pace is kept, and the caller's abort ends it", async () => {
  const client = clientOf(await testBroker({}, { demoPaceMs: 20 }));
  const stream = await client.messages.create({ ...ask, messages: hi, stream: true });
  const started = performance.now();
  let seen = 0;
  for await (const event of stream) {
    if (event.type === "content_block_delta" && ++seen === 5) break;
  }
  expect(performance.now() - started).toBeGreaterThan(60);
});

test("token counts and models", async () => {
  const client = clientOf(await testBroker({}));
  expect((await client.messages.countTokens({ model: "any", messages: hi })).input_tokens).toBeGreaterThan(0);
  expect((await client.models.list()).data.map((model) => model.id)).toEqual(["longhaul-demo"]);
  await expect(client.models.retrieve("claude-opus-5-5")).rejects.toThrow(Anthropic.NotFoundError);
});

test.each([
  ["{", "not valid JSON"],
  ["[]", "must be a JSON object"],
  ["{}", "messages: Field required"],
  ['{"messages":[],"max_tokens":1}', "at least one message"],
  ['{"messages":[{"role":"user","content":"a"}]}', "max_tokens: Field required"],
])("%s is refused in the API's shape", async (body, expected) => {
  const broker = await testBroker({});
  expect(await errorOf(await broker.model("/v1/messages", body))).toMatchObject({
    status: 400,
    type: "invalid_request_error",
    message: expect.stringContaining(expected),
  });
});

test.each([
  [[null, 5, "x"]],
  [[{ role: "user", content: [null, { type: 7 }, { type: "tool_result", tool_use_id: {}, content: 5 }] }]],
  [
    [
      { role: "assistant", content: [{ type: "tool_use" }] },
      { role: "user", content: 9 },
    ],
  ],
])("messages of unexpected shape do not break it: %j", async (messages) => {
  const broker = await testBroker({});
  const response = await broker.model("/v1/messages", { ...ask, messages });
  expect(response.status).toBe(200);
});
