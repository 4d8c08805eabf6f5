/** What an agent's model configuration and tools become in the requests to the endpoint. */
import { afterEach, expect, test } from "vitest";
import { call, type ScriptRequest, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

let engine: Engine;
afterEach(() => engine[Symbol.asyncDispose]());

const sent = (index = -1) => engine.inside.server.requests.at(index);

test("speed, region and every level of effort go to the endpoint as its own parameters, and only when chosen", async () => {
  engine = await startEngine(({ body }) => ({ ...say("ok"), ...(body["speed"] === "fast" ? { speed: "fast" } : {}) }));
  const model = { id: "claude-sonnet-5-5", speed: "fast" as const, inference_geo: "eu", effort: "xhigh" as const };
  const id = await engine.session({ model }, { initial_events: [text("Hi.")] });
  await engine.settled(id);
  expect(sent()?.rejected).toBeNull();
  expect(sent()?.body).toMatchObject({ speed: "fast", inference_geo: "eu", output_config: { effort: "xhigh" } });
  expect(sent()?.headers["anthropic-beta"]).toBe("fast-mode-2026-02-01");
  expect(await engine.of(id, "span.model_request_end")).toMatchObject([{ model_usage: { speed: "fast" } }]);
  expect((await engine.client.beta.sessions.retrieve(id)).agent.model).toEqual({ ...model, effort: { type: "xhigh" } });
  for (const effort of ["low", "medium", "high", "max"] as const) {
    await engine.settled(await engine.session({ model: { id: model.id, effort } }, { initial_events: [text("Hi.")] }));
    expect(sent()?.body?.["output_config"]).toEqual({ effort });
  }
  await engine.settled(await engine.session({}, { initial_events: [text("Hi.")] }));
  for (const field of ["speed", "inference_geo", "output_config"]) expect(sent()?.body).not.toHaveProperty(field);
  expect(sent()?.headers).not.toHaveProperty("anthropic-beta");
});

test("an update replaces the model whole: what it omits is cleared, but the effort while the id stays", async () => {
  engine = await startEngine([]);
  const { agents } = engine.client.beta;
  const id = "claude-sonnet-5-5";
  const agent = await agents.create({ name: "a", model: { id, speed: "fast", inference_geo: "us", effort: "max" } });
  expect(agent.model).toEqual({ id, speed: "fast", inference_geo: "us", effort: { type: "max" } });
  expect((await agents.update(agent.id, { model: { id } })).model).toEqual({
    id,
    speed: "standard",
    effort: { type: "max" },
  });
  expect((await agents.update(agent.id, { model: { id, effort: null } })).model).toEqual({ id, speed: "standard" });
  expect((await agents.update(agent.id, { model: { id, inference_geo: null, speed: null } })).version).toBe(3);
});

test("an override of the model drops the effort, and the session runs the new one", async () => {
  engine = await startEngine([say("ok")]);
  const { agents, environments, sessions } = engine.client.beta;
  const agent = await agents.create({ name: "a", model: { id: "claude-opus-5-5", effort: "max", speed: "fast" } });
  const environment = await environments.create({ name: "e" });
  const session = await sessions.create({
    agent: { type: "agent_with_overrides", id: agent.id, model: "claude-haiku-5-5", system: "Be brief." },
    environment_id: environment.id,
    initial_events: [text("Hi.")],
  });
  expect(session.agent).toMatchObject({ id: agent.id, version: 1, system: "Be brief." });
  expect(session.agent.model).toEqual({ id: "claude-haiku-5-5", speed: "standard" });
  await engine.settled(session.id);
  expect(sent()?.body).toMatchObject({ model: "claude-haiku-5-5" });
  expect(sent()?.body).not.toHaveProperty("output_config");
  expect(await agents.retrieve(agent.id)).toEqual(agent);
});

test("a session whose tools were all taken away goes on, though its history is full of calls", async () => {
  engine = await startEngine(({ results, turn }: ScriptRequest) =>
    turn === 0 && results.size === 0 ? call({ name: "bash", input: { command: "ls" } }) : say("ok"),
  );
  const id = await engine.session({}, { initial_events: [text("Look.")] });
  await engine.settled(id);
  await engine.client.beta.sessions.update(id, { agent: { tools: [] } });
  await engine.send(id, text("And now?"));
  await engine.settled(id);
  expect(sent()?.rejected).toBeNull();
  expect(sent()?.body?.tools).toMatchObject([{ name: "bash", description: "Not available any more." }]);
  expect(sent()?.body?.["tool_choice"]).toEqual({ type: "none" });
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
  const [updated] = await engine.of(id, "session.updated");
  expect(updated).toMatchObject({ agent: { tools: [], name: "Coder", version: 1 } });
  expect(updated).not.toHaveProperty("title");
  expect(updated).not.toHaveProperty("metadata");
});
