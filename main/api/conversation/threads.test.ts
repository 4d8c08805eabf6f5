/** Spawned threads as SDK programs see them (contract.md §3.5). */
import { afterEach, expect, test } from "vitest";
import { call, type ScriptRequest, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

let engine: Engine;
afterEach(() => engine[Symbol.asyncDispose]());

/** A lead that gives one task to Helper, who does what `helper` says. */
async function led(
  helper: (request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn>,
  limits: Parameters<typeof startEngine>[1] = {},
): Promise<string> {
  engine = await startEngine((request) => {
    if (JSON.stringify(request.body.system).includes("You are Helper.")) return helper(request);
    return request.turn === 0
      ? call({ name: "send_to_agent", input: { agent: "Helper", message: "Do it." } })
      : say(`heard: ${request.lastText}`);
  }, limits);
  const agent = await engine.client.beta.agents.create({
    name: "Helper",
    model: "claude-sonnet-5-5",
    system: "You are Helper.",
    tools: [
      { type: "agent_toolset_20260401" },
      { type: "custom", name: "boss", description: "Asks.", input_schema: { type: "object" } },
    ],
  });
  const multiagent = { type: "coordinator" as const, agents: [agent.id] };
  const id = await engine.session({ multiagent });
  await engine.send(id, text("Go."));
  return id;
}

const threadsOf = async (id: string) => (await engine.client.beta.sessions.threads.list(id)).data;

test("a thread tells its usage once it has been idle, and messages name every agent but the primary one", async () => {
  let finish = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const id = await led(async () => {
    await held;
    return say("Done.");
  });
  await expect.poll(async () => (await threadsOf(id))[1]?.status).toBe("running");
  expect((await threadsOf(id))[1]).toMatchObject({
    usage: null,
    stats: { active_seconds: expect.any(Number), duration_seconds: expect.any(Number) },
  });
  finish();
  await engine.settled(id);
  const [primary, child] = await threadsOf(id);
  expect(child).toMatchObject({ status: "idle", usage: { output_tokens: expect.any(Number) } });
  expect(child?.usage?.active_seconds).toBe(child?.stats?.active_seconds);
  const session = await engine.client.beta.sessions.retrieve(id);
  expect(session.usage.output_tokens).toBe((primary?.usage?.output_tokens ?? 0) + (child?.usage?.output_tokens ?? 0));

  const own = await engine.client.beta.sessions.threads.events.list(child?.id ?? "", { session_id: id });
  const types = own.data.map(({ type }) => type);
  expect(types).not.toContain("session.thread_created");
  expect(types).not.toContain("session.status_idle");
  const received = own.data.find(({ type }) => type === "agent.thread_message_received");
  expect(received).toMatchObject({ from_session_thread_id: primary?.id });
  expect(received).not.toHaveProperty("from_agent_name");
  const answer = own.data.find(({ type }) => type === "agent.thread_message_sent");
  expect(answer).toMatchObject({ to_session_thread_id: primary?.id });
  expect(answer).not.toHaveProperty("to_agent_name");
  expect(await engine.of(id, "session.thread_created")).toMatchObject([
    { agent_name: "Helper", session_thread_id: child?.id, workflow_run_id: null },
  ]);
  expect(await engine.of(id, "agent.thread_message_sent")).toMatchObject([{ to_agent_name: "Helper" }]);
  expect(await engine.of(id, "agent.thread_message_received")).toMatchObject([{ from_agent_name: "Helper" }]);
});

test("a thread that meets the limit of tool rounds is terminated after its parent was told", async () => {
  const id = await led(() => call({ name: "bash", input: { command: "ls" } }), { max_rounds: 3 });
  await engine.settled(id);
  const [, child] = await threadsOf(id);
  expect(child).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
  const own = await engine.client.beta.sessions.threads.events.list(child?.id ?? "", { session_id: id });
  expect(own.data.slice(-4)).toMatchObject([
    { type: "session.error", error: { type: "tool_use_limit_reached_error" } },
    { type: "agent.thread_message_sent" },
    { type: "session.thread_status_idle", stop_reason: { type: "retries_exhausted" } },
    { type: "session.thread_status_terminated" },
  ]);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
  expect(JSON.stringify(await engine.of(id, "agent.message"))).toContain("stopped before it was done");
});

test("archiving a thread that waits for a client ends the wait: the session says what is left of it", async () => {
  const id = await led(({ results }) =>
    results.size > 0 ? say("ok") : call({ name: "boss", input: {} }, { name: "bash", input: { command: "ls" } }),
  );
  await engine.settled(id);
  const [, child] = await threadsOf(id);
  const [use] = await engine.of(id, "agent.custom_tool_use");
  expect(use).toMatchObject({ session_thread_id: child?.id });
  expect((await engine.events(id)).at(-1)).toMatchObject({
    stop_reason: { type: "requires_action", event_ids: [use?.id] },
  });
  const archived = await engine.client.beta.sessions.threads.archive(child?.id ?? "", { session_id: id });
  expect(archived.status).toBe("terminated");
  await engine.settled(id);
  const events = await engine.events(id);
  expect(events.filter(({ type }) => type === "session.thread_status_terminated")).toMatchObject([
    { session_thread_id: child?.id },
  ]);
  // Its parent is told, and has the last word.
  const told = await engine.of(id, "agent.thread_message_received");
  expect(told.at(-1)).toMatchObject({ from_session_thread_id: child?.id });
  expect(events.slice(-3)).toMatchObject([
    { type: "session.thread_status_idle" },
    { type: "session.usage" },
    { type: "session.status_idle", stop_reason: { type: "end_turn" } },
  ]);
  const late = engine.send(id, { type: "user.custom_tool_result", custom_tool_use_id: use?.id ?? "" });
  await expect(late).rejects.toThrow(/400/);
  await engine.send(id, text("Go on."));
  await engine.settled(id);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
});

test("a deleted session ends the streams of its threads too", async () => {
  const id = await led(() => say("Done."));
  await engine.settled(id);
  const [, child] = await threadsOf(id);
  const stream = await engine.client.beta.sessions.threads.events.stream(child?.id ?? "", { session_id: id });
  await engine.client.beta.sessions.delete(id);
  const types: string[] = [];
  for await (const event of stream) types.push(event.type);
  expect(types).toEqual(["session.deleted"]);
});
