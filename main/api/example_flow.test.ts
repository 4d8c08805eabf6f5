/** The flow of the SDK's own examples: environment, agent, session, a message, and the stream until it rests. */
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { expect, test } from "vitest";
import { newId } from "../contract/ids.ts";
import { startRig } from "./testing/rig.ts";

test("the official SDK creates, sends, streams until idle and lists, unmodified", async () => {
  await using rig = await startRig();
  const { client, ledger } = rig;
  rig.orchestrator.script = async (id) => {
    const fold = (await ledger.getSession(id))?.fold;
    const event_ids = fold?.inputs.map((input) => input.id) ?? [];
    const usage = { input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
    const request = newId("event");
    await rig.emit(id, { type: "longhaul.inputs_consumed", event_ids }, { type: "session.status_running" });
    await rig.emit(id, { type: "span.model_request_start", id: request });
    await rig.emit(
      id,
      { type: "agent.message", content: [{ type: "text", text: "Hello!" }] },
      { type: "span.model_request_end", model_request_start_id: request, is_error: false, model_usage: usage },
      { type: "session.usage", usage: { input_tokens: 10 } },
      { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null },
    );
  };

  const environment = await client.beta.environments.create({ name: "quickstart", config: { type: "cloud" } });
  const agent = await client.beta.agents.create({
    name: "Coding Assistant",
    model: "claude-opus-5-5",
    system: "You are a helpful coding agent.",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const session = await client.beta.sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    title: "Quickstart",
  });
  expect(session.status).toBe("idle");

  const stream = await client.beta.sessions.events.stream(session.id);
  const sent = await client.beta.sessions.events.send(session.id, {
    events: [{ type: "user.message", content: [{ type: "text", text: "Say hello" }] }],
  });
  const seen: string[] = [];
  for await (const event of stream) {
    seen.push(`${event.type}${"processed_at" in event && event.processed_at === null ? " (queued)" : ""}`);
    if (event.type === "session.status_idle") break;
  }
  expect(seen).toEqual([
    "user.message (queued)",
    "user.message",
    "session.status_running",
    "span.model_request_start",
    "agent.message",
    "span.model_request_end",
    "session.usage",
    "session.status_idle",
  ]);

  const listed = [];
  for await (const event of client.beta.sessions.events.list(session.id, { limit: 2 })) listed.push(event);
  expect(listed.map((event) => event.type)).toEqual(seen.slice(1));
  expect(listed[0]?.id).toBe(sent.data?.[0]?.id);
  expect(listed[0]?.processed_at).toEqual(expect.any(String));

  await rig.orchestrator.settled();
  const after = await client.beta.sessions.retrieve(session.id);
  expect(after.status).toBe("idle");
  expect(after.usage.output_tokens).toBe(5);
  expect(rig.failures).toEqual([]);
});

test("the SDK's own tool runner answers a custom tool call", async () => {
  await using rig = await startRig();
  const id = await rig.session();
  const call = newId("event");
  await rig.emit(
    id,
    { type: "session.status_running" },
    { type: "agent.custom_tool_use", id: call, name: "weather", input: { city: "Bern" } },
    { type: "session.status_idle", stop_reason: { type: "requires_action", event_ids: [call] }, stop_details: null },
  );
  const weather = betaTool({
    name: "weather",
    description: "The weather in a city",
    inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
    run: ({ city }) => `Snow in ${city}`,
  });
  for await (const done of rig.client.beta.sessions.events.toolRunner(id, { tools: [weather] })) {
    expect([done.event.id, done.isError]).toEqual([call, false]);
    break;
  }
  const { data } = await rig.client.beta.sessions.events.list(id, { types: ["user.custom_tool_result"] });
  expect(data).toMatchObject([{ custom_tool_use_id: call, content: [{ type: "text", text: "Snow in Bern" }] }]);
  expect(rig.orchestrator.wakes).toEqual([{ sessionId: id, reason: "client_event" }]);
});
