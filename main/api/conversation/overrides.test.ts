/** What a session makes of an agent: overrides, pinned versions, later updates (contract.md §3.3); and the limits of fields. */
import type { SessionCreateParams } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../testing/rig.ts";

let rig: Rig;
let environment_id: string;
beforeAll(async () => {
  rig = await startRig();
  environment_id = (await rig.client.beta.environments.create({ name: "e" })).id;
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const MCP = { type: "url" as const, name: "docs", url: "https://docs.example.com/mcp" };
const agentOf = () =>
  rig.client.beta.agents.create({
    name: "base",
    model: { id: "m", effort: "high", inference_geo: "eu" },
    system: "Be kind.",
    mcp_servers: [MCP],
    tools: [{ type: "agent_toolset_20260401" }, { type: "mcp_toolset", mcp_server_name: "docs" }],
  });

type Overrides = Record<string, unknown>;

async function made(id: string, overrides: Overrides) {
  const agent = { type: "agent_with_overrides", id, ...overrides } as SessionCreateParams["agent"];
  return (await rig.client.beta.sessions.create({ agent, environment_id })).agent;
}

describe("overrides", () => {
  test("what is left out is inherited, and the agent itself stays", async () => {
    const agent = await agentOf();
    const { created_at: _, updated_at: __, archived_at: ___, metadata: ____, ...snapshot } = agent;
    expect(await made(agent.id, {})).toEqual(snapshot);
    expect(await made(agent.id, { system: "Be brief." })).toEqual({ ...snapshot, system: "Be brief." });
    expect(await made(agent.id, { model: "n" })).toEqual({ ...snapshot, model: { id: "n", speed: "standard" } });
    // Also for the same model: the override is the whole configuration.
    expect((await made(agent.id, { model: { id: "m" } })).model).toEqual({ id: "m", speed: "standard" });
    expect(await rig.client.beta.agents.retrieve(agent.id)).toEqual(agent);
  });

  test.each<[string, Overrides]>([
    ["null", { system: null, tools: null, mcp_servers: null, skills: null }],
    ["empty values", { system: "", tools: [], mcp_servers: [], skills: [] }],
  ])("%s clear, all at once", async (_, overrides) => {
    const agent = await agentOf();
    const cleared = await made(agent.id, overrides);
    expect(cleared).toMatchObject({ id: agent.id, version: 1, system: null, tools: [], mcp_servers: [], skills: [] });
    expect(cleared.model).toEqual(agent.model);
  });

  test.each<[string, Overrides, RegExp, string | null]>([
    ["no model", { model: null }, /`agent.model` cannot be cleared/, "agent_model_required"],
    ["servers cleared under a toolset", { mcp_servers: [] }, /names no server in `mcp_servers`/, null],
    ["tools cleared over a server", { tools: null }, /no mcp_toolset in `tools` names/, null],
    ["other tools", { tools: [{ type: "agent_toolset_20260401" }] }, /no mcp_toolset in `tools` names/, null],
    ["a field that cannot be overridden", { name: "x" }, /Unknown field `agent.name`/, null],
    ["metadata", { metadata: {} }, /Unknown field `agent.metadata`/, null],
    ["a long system prompt", { system: "x".repeat(100_001) }, /`agent.system` must have at most 100000/, null],
  ])("%s is refused", async (_, overrides, text, code) => {
    const agent = await agentOf();
    const error = await refusalOf(made(agent.id, overrides));
    expect([error.status, error.errorCode]).toEqual([400, code]);
    expect(error.message).toMatch(text);
  });

  test("a session pins the version that it was made with, whatever becomes of the agent", async () => {
    const { agents, sessions } = rig.client.beta;
    const { id } = await agentOf();
    await agents.update(id, { name: "second" });
    const [pinned, newest] = [
      await sessions.create({ agent: { type: "agent", id, version: 1 }, environment_id }),
      await sessions.create({ agent: id, environment_id }),
    ];
    expect([pinned.agent, newest.agent].map(({ version, name }) => [version, name])).toEqual([
      [1, "base"],
      [2, "second"],
    ]);
    const only = async (agent_version: number) =>
      (await sessions.list({ agent_id: id, agent_version })).data.map((session) => session.id);
    expect([await only(1), await only(2), await only(3)]).toEqual([[pinned.id], [newest.id], []]);
    expect((await made(id, { version: 1, system: null })).version).toBe(1);
    await agents.update(id, { name: "third" });
    await agents.archive(id);
    expect((await sessions.retrieve(pinned.id)).agent).toEqual(pinned.agent);
    expect(
      (await refusalOf(sessions.create({ agent: { type: "agent", id, version: 1 }, environment_id }))).message,
    ).toMatch(/was archived/);
  });
});

describe("updates", () => {
  test("tools and servers are replaced whole and checked together; only what changed is told", async () => {
    const { sessions } = rig.client.beta;
    const { id } = await sessions.create({ agent: (await agentOf()).id, environment_id });
    expect((await refusalOf(sessions.update(id, { agent: { mcp_servers: [] } }))).message).toMatch(/names no server/);
    const custom = {
      type: "custom" as const,
      name: "boss",
      description: "d",
      input_schema: { type: "object" as const },
    };
    const after = await sessions.update(id, {
      agent: { tools: [custom], mcp_servers: [] },
      title: null,
      metadata: null,
    });
    expect(after.agent).toMatchObject({ tools: [custom], mcp_servers: [], version: 1, name: "base" });
    expect(await sessions.update(id, { agent: { tools: [custom] }, metadata: {} })).toMatchObject({
      updated_at: after.updated_at,
    });
    const { data } = await sessions.events.list(id);
    expect(data).toEqual([
      { id: expect.any(String), type: "session.updated", processed_at: after.updated_at, agent: after.agent },
    ]);
    for (const agent of [{ model: "x" }, { system: "x" }, { skills: [] }]) {
      const error = await refusalOf(sessions.update(id, { agent } as Parameters<typeof sessions.update>[1]));
      expect(error.message).toMatch(/Unknown field `agent\./);
    }
  });

  test("the metadata of a session keeps its limits on create and after a patch", async () => {
    const { sessions } = rig.client.beta;
    const bag = (pairs: number) =>
      Object.fromEntries(Array.from({ length: pairs }, (_, n) => [`k${n}`, "x".repeat(512)]));
    const agent = (await agentOf()).id;
    const { id } = await sessions.create({ agent, environment_id, metadata: bag(16) });
    const refusals = [
      sessions.create({ agent, environment_id, metadata: bag(17) }),
      sessions.create({ agent, environment_id, metadata: { ["k".repeat(65)]: "" } }),
      sessions.create({ agent, environment_id, metadata: { k: "x".repeat(513) } }),
      sessions.update(id, { metadata: { one_more: "" } }),
      sessions.update(id, { metadata: { k0: "x".repeat(513) } }),
    ];
    for (const call of refusals) expect((await refusalOf(call)).errorCode).toBe("invalid_metadata");
    expect((await sessions.update(id, { metadata: { k0: null, one_more: "" } })).metadata).toEqual({
      ...Object.fromEntries(Object.entries(bag(16)).slice(1)),
      one_more: "",
    });
  });
});

test("a request takes 100 events and no more, and a body of 32 MB", async () => {
  const id = await rig.session();
  const events = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      type: "user.message" as const,
      content: [{ type: "text" as const, text: `${n}` }],
    }));
  const { data } = await rig.client.beta.sessions.events.send(id, { events: events(100) });
  expect(data).toHaveLength(100);
  const many = await refusalOf(rig.client.beta.sessions.events.send(id, { events: events(101) }));
  expect([many.status, many.message]).toEqual([400, expect.stringContaining("`events` must have at most 100 entries")]);
  const text = "x".repeat(32 * 1024 * 1024);
  const large = await refusalOf(
    rig.client.beta.sessions.events.send(id, { events: [{ type: "user.message", content: [{ type: "text", text }] }] }),
  );
  expect([large.status, large.type]).toEqual([413, "request_too_large"]);
  expect(large.requestID).toMatch(/^req_/);
  expect((await rig.client.beta.sessions.events.list(id, { limit: 1000 })).data).toEqual(data);
});
