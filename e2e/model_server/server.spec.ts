import Anthropic from "@anthropic-ai/sdk";
import type { Message } from "@anthropic-ai/sdk/resources/messages/messages";
import { afterEach, expect, test } from "vitest";
import { byTurn, call, overloaded, type Reply, rateLimited, type Script, say } from "./script.ts";
import { type ModelServer, type ModelServerOptions, startModelServer } from "./server.ts";

const servers: ModelServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(script: Script, options: Omit<ModelServerOptions, "script"> = {}) {
  const server = await startModelServer({ script, ...options });
  servers.push(server);
  return { server, client: new Anthropic({ baseURL: server.url, apiKey: server.apiKey, maxRetries: 0 }) };
}

const tools: Anthropic.Tool[] = [{ name: "bash", input_schema: { type: "object" } }];
const ask = { model: "claude-sonnet-5-5", max_tokens: 1000, messages: [{ role: "user" as const, content: "hi" }] };

test("the SDK reads a text reply, streamed and whole", async () => {
  const { client } = await start([say("Grüße 🙂 aus dem Test"), say("whole")]);
  const streamed = await client.messages.stream(ask).finalMessage();
  expect(streamed.content).toEqual([{ type: "text", text: "Grüße 🙂 aus dem Test", citations: null }]);
  expect(streamed.stop_reason).toBe("end_turn");
  expect(streamed.usage.output_tokens).toBeGreaterThan(0);
  const whole = await client.messages.create(ask);
  expect(whole.content).toMatchObject([{ type: "text", text: "whole" }]);
});

test("the SDK reads thinking and parallel calls, and their return is accepted", async () => {
  const first: Reply = {
    content: [
      { type: "thinking", thinking: "two things at once" },
      { type: "redacted_thinking", data: "hidden" },
      { type: "text", text: "Looking." },
      { type: "tool_use", name: "bash", input: { command: "ls" } },
      { type: "tool_use", name: "bash", input: { command: "pwd" } },
    ],
    ping_every: 2,
  };
  const { client, server } = await start([first, say("done")]);
  const request = { ...ask, tools, thinking: { type: "adaptive" as const } };
  const message = await client.messages.stream(request).finalMessage();
  expect(message.stop_reason).toBe("tool_use");
  const calls = message.content.filter((block) => block.type === "tool_use");
  expect(calls.map((block) => block.input)).toEqual([{ command: "ls" }, { command: "pwd" }]);
  const results = calls.map((block) => ({ type: "tool_result" as const, tool_use_id: block.id, content: "ok" }));
  const next = [
    ...ask.messages,
    { role: "assistant" as const, content: back(message) },
    { role: "user" as const, content: results },
  ];
  await client.messages.stream({ ...request, messages: next }).finalMessage();
  expect(server.requests.map((item) => item.rejected)).toEqual([null, null]);
  expect(server.requests[1]?.body?.messages).toHaveLength(3);
  expect(JSON.parse(server.requests[1]!.raw.toString())).toEqual(server.requests[1]?.body);
});

/** The content of a response as it is sent back: `citations: null` and `caller` are accepted by the API. */
const back = (message: Message) => message.content as Anthropic.ContentBlockParam[];

test("errors have the API's shape: refused request, scripted 529, unknown path", async () => {
  const { client, server } = await start([overloaded(7), rateLimited(3)]);
  const refused = await client.messages
    .create({ ...ask, messages: [{ role: "user", content: [{ type: "text", text: "" }] }] })
    .catch((e) => e);
  expect(refused).toBeInstanceOf(Anthropic.BadRequestError);
  expect(refused.error).toMatchObject({
    type: "error",
    error: { type: "invalid_request_error", message: "messages: text content blocks must be non-empty" },
  });
  expect(refused.requestID).toMatch(/^req_/);
  const busy = await client.messages.create(ask).catch((e) => e);
  expect([busy.status, busy.type, busy.headers.get("retry-after")]).toEqual([529, "overloaded_error", "7"]);
  const limited = await client.messages.create(ask).catch((e) => e);
  expect([limited.status, limited.type, limited.headers.get("retry-after")]).toEqual([429, "rate_limit_error", "3"]);
  const nowhere = await fetch(`${server.url}/v1/nothing`, {
    headers: { "x-api-key": server.apiKey, "anthropic-version": "2023-06-01" },
  });
  expect(nowhere.status).toBe(404);
  expect(server.requests[0]?.rejected?.status).toBe(400);
});

test("the key is checked, as x-api-key and as Bearer, and the version is required", async () => {
  const { server } = await start(() => say("ok"));
  const post = async (headers: Record<string, string>) => {
    const response = await fetch(`${server.url}/v1/messages`, { method: "POST", headers, body: JSON.stringify(ask) });
    return [response.status, ((await response.json()) as { error?: { message: string } }).error?.message];
  };
  const version = { "anthropic-version": "2023-06-01" };
  expect(await post({ ...version })).toEqual([401, "x-api-key header is required"]);
  expect(await post({ ...version, "x-api-key": "wrong" })).toEqual([401, "invalid x-api-key"]);
  expect(await post({ "x-api-key": server.apiKey })).toEqual([400, "anthropic-version: header is required"]);
  expect((await post({ ...version, "x-api-key": server.apiKey }))[0]).toBe(200);
  expect((await post({ ...version, authorization: `Bearer ${server.apiKey}` }))[0]).toBe(200);
});

test("a body over 32 MB is answered with 413, not with a reset", async () => {
  const { client } = await start([]);
  const error = await client.messages.create({ ...ask, system: "x".repeat(33 * 1024 * 1024) }).catch((e) => e);
  expect([error.status, error.type]).toEqual([413, "request_too_large"]);
});

test("token counts and models are answered", async () => {
  const { client } = await start([]);
  expect(
    (await client.messages.countTokens({ model: ask.model, messages: ask.messages })).input_tokens,
  ).toBeGreaterThan(0);
  expect((await client.models.list()).data.map((model) => model.id)).toContain("claude-opus-5-5");
});

test("a script that has run out says so, and a refused request takes no turn", async () => {
  const { client } = await start([say("only")]);
  await client.messages.create({ ...ask, max_tokens: -1 }).catch(() => null);
  await client.messages.create(ask);
  const error = await client.messages.create(ask).catch((e) => e);
  expect(String(error)).toContain("the script has 1 turns");
});

test("byTurn gives a repeated request the same answer", async () => {
  const { client } = await start(byTurn([call({ name: "bash", input: {}, id: "toolu_a" }), say("end")]));
  const once = await client.messages.create({ ...ask, tools });
  const again = await client.messages.create({ ...ask, tools });
  expect(again.content).toEqual(once.content);
});

test("refusal, max_tokens in the middle of an input, and pause_turn arrive as sent", async () => {
  const { client } = await start([
    { content: [], stop_reason: "refusal", stop_details: { type: "refusal", category: "cyber", explanation: "no" } },
    {
      content: [{ type: "tool_use", name: "bash", input: {}, partial_json: '{"command": "ec' }],
      stop_reason: "max_tokens",
    },
    { content: [{ type: "text", text: "so far" }], stop_reason: "pause_turn" },
  ]);
  const refusal = await client.messages.stream(ask).finalMessage();
  expect([refusal.stop_reason, refusal.stop_details?.category]).toEqual(["refusal", "cyber"]);
  const raw = [];
  for await (const event of await client.messages.create({ ...ask, tools, stream: true })) raw.push(event);
  const json = raw.flatMap((event) =>
    event.type === "content_block_delta" && event.delta.type === "input_json_delta" ? [event.delta.partial_json] : [],
  );
  expect(json.join("")).toBe('{"command": "ec');
  expect(raw.find((event) => event.type === "message_delta")?.delta.stop_reason).toBe("max_tokens");
  expect((await client.messages.stream(ask).finalMessage()).stop_reason).toBe("pause_turn");
});
