/** `user.interrupt`: it jumps the queue, ends the turn without sampling and has no stop reason of its own (contract.md §3.4). */
import { afterEach, expect, test } from "vitest";
import { call, type ScriptRequest, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

let engine: Engine;
afterEach(() => engine[Symbol.asyncDispose]());

const INTERRUPT = { type: "user.interrupt" as const };
const INTERRUPTED = "Tool execution was interrupted before completion. Please retry.";
const ask = { permission_policy: { type: "always_ask" as const } };
const END_TURN = { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null };

test("on an idle session it changes nothing but is processed", async () => {
  engine = await startEngine([say("Hi.")]);
  const id = await engine.session({}, { initial_events: [text("Hello.")] });
  await engine.settled(id);
  const before = (await engine.events(id)).length;
  const followed = await engine.follow(id);
  const { data } = await engine.client.beta.sessions.events.send(id, { events: [INTERRUPT] });
  expect(data).toMatchObject([{ type: "user.interrupt", processed_at: null }]);
  await engine.settled(id);
  const events = await engine.events(id);
  expect(events).toHaveLength(before + 1);
  expect(events.at(-1)).toMatchObject({ type: "user.interrupt", processed_at: expect.any(String) });
  await expect.poll(() => followed.seen).toEqual([data?.[0], events.at(-1)]);
  followed.stop();
});

test("in the middle of an answer it closes the request, and the message sent with it starts the next turn", async () => {
  engine = await startEngine(({ index }) =>
    index === 0 ? { content: [{ type: "text", text: "word ".repeat(500) }], between_events_ms: 15 } : say("Next."),
  );
  const id = await engine.session({}, { initial_events: [text("Talk.")] });
  await expect.poll(() => engine.inside.server.requests.length).toBe(1);
  await engine.send(id, INTERRUPT, text("And now?"));
  await engine.settled(id);
  const events = await engine.events(id);
  const types = events.map(({ type }) => type);
  const stopped = types.indexOf("user.interrupt");
  expect(types.slice(stopped)).toEqual([
    "user.interrupt",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
    "session.status_running",
    "session.thread_status_running",
    "user.message",
    "span.model_request_start",
    "agent.message",
    "span.model_request_end",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
  ]);
  expect(events[stopped + 3]).toMatchObject(END_TURN);
  expect(events.slice(0, stopped).filter(({ type }) => type === "span.model_request_end")).toMatchObject([
    { is_error: true },
  ]);
});

test("in the middle of a tool call the call gets the contract's error, and nothing is sampled", async () => {
  engine = await startEngine([call({ name: "bash", input: { command: "sleep" } }), say("never")]);
  engine.inside.sandbox.behaviour = () => new Promise(() => undefined);
  const id = await engine.session({}, { initial_events: [text("Wait.")] });
  await expect.poll(() => engine.inside.sandbox.executions.length).toBe(1);
  expect((await engine.client.beta.sessions.retrieve(id)).status).toBe("running");
  await engine.send(id, INTERRUPT);
  await engine.settled(id);
  expect(await engine.of(id, "agent.tool_result")).toMatchObject([
    { is_error: true, content: [{ type: "text", text: INTERRUPTED }] },
  ]);
  expect((await engine.events(id)).at(-1)).toMatchObject(END_TURN);
  expect(engine.inside.server.requests).toHaveLength(1);
});

test("on a session that waits for answers each open call is settled and idle(end_turn) is told again", async () => {
  const custom = {
    type: "custom" as const,
    name: "boss",
    description: "Asks.",
    input_schema: { type: "object" as const },
  };
  const both = call({ name: "bash", input: { command: "rm" } }, { name: "boss", input: {} });
  engine = await startEngine(({ results }: ScriptRequest) => (results.size > 0 ? say("I see.") : both));
  const id = await engine.session({ tools: [{ type: "agent_toolset_20260401", default_config: ask }, custom] });
  await engine.send(id, text("Go."));
  await engine.settled(id);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "requires_action" } });
  await engine.send(id, INTERRUPT);
  await engine.settled(id);
  const events = await engine.events(id);
  expect(events.slice(-3)).toMatchObject([{ type: "session.thread_status_idle" }, { type: "session.usage" }, END_TURN]);
  expect(JSON.stringify(events).split(INTERRUPTED)).toHaveLength(3);
  expect(engine.inside.server.requests).toHaveLength(1);
  const [use] = await engine.of(id, "agent.tool_use");
  const late = engine.send(id, { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "allow" });
  await expect(late).rejects.toThrow(/no tool call .* waits/);
  await engine.send(id, text("Go on."));
  await engine.settled(id);
  const answered = engine.inside.server.requests.at(-1);
  expect(answered?.rejected).toBeNull();
  expect(answered?.raw.toString().split(INTERRUPTED)).toHaveLength(3);
});

test("one that names a thread needs that thread; the primary one may be named", async () => {
  engine = await startEngine([{ kind: "hang" }]);
  const id = await engine.session({}, { initial_events: [text("Wait.")] });
  await expect.poll(() => engine.inside.server.requests.length).toBe(1);
  const unknown = engine.send(id, { ...INTERRUPT, session_thread_id: "sthr_none" });
  await expect(unknown).rejects.toThrow(/`events\[0\].session_thread_id`: the session has no thread/);
  const [primary] = (await engine.client.beta.sessions.threads.list(id)).data;
  await engine.send(id, { ...INTERRUPT, session_thread_id: primary?.id ?? "" });
  await engine.settled(id);
  expect((await engine.events(id)).at(-1)).toMatchObject(END_TURN);
});
