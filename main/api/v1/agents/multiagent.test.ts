import { afterAll, beforeAll, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

type CreateParams = Parameters<typeof rig.client.beta.agents.create>[0];

function create(params: Partial<CreateParams> = {}) {
  return rig.client.beta.agents.create({ name: "agent", model: "claude-opus-5-5", ...params });
}

async function refused(multiagent: unknown): Promise<string> {
  const error = await refusalOf(create({ multiagent: multiagent as NonNullable<CreateParams["multiagent"]> }));
  expect(error.status).toBe(400);
  return error.message;
}

test("a roster is pinned when it is saved, and a session gets whole definitions", async () => {
  const worker = await create({ name: "worker", system: "Old." });
  const lead = await create({
    multiagent: {
      type: "coordinator",
      agents: [worker.id, { type: "self" }, { type: "advisor", model: "claude-opus-5-5" }],
    },
  });
  expect(lead.multiagent).toEqual({
    type: "coordinator",
    agents: [
      { type: "agent", id: worker.id, version: 1 },
      { type: "agent", id: lead.id, version: 1 },
      { type: "advisor", model: "claude-opus-5-5" },
    ],
  });
  await rig.client.beta.agents.update(worker.id, { system: "New." });
  const environment = await rig.client.beta.environments.create({ name: "roster" });
  const session = await rig.client.beta.sessions.create({ agent: lead.id, environment_id: environment.id });
  expect(session.agent.multiagent).toMatchObject({
    type: "coordinator",
    agents: [
      { type: "agent", id: worker.id, version: 1, system: "Old.", tools: [] },
      { type: "agent", id: lead.id },
      { type: "advisor" },
    ],
  });
  expect(JSON.stringify(session.agent.multiagent)).not.toContain("metadata");
});

test("a version can be named; the same configuration again is no new version, null removes it", async () => {
  const worker = await create({ name: "worker" });
  await rig.client.beta.agents.update(worker.id, { system: "New." });
  const agents = [{ type: "agent" as const, id: worker.id, version: 1 }, { type: "self" as const }];
  const lead = await create({ multiagent: { type: "coordinator", agents } });
  const again = await rig.client.beta.agents.update(lead.id, { multiagent: { type: "coordinator", agents } });
  expect(again.version).toBe(1);
  const renamed = await rig.client.beta.agents.update(lead.id, {
    name: "renamed",
    multiagent: { type: "coordinator", agents },
  });
  expect(renamed).toMatchObject({ version: 2, multiagent: { agents: [{ version: 1 }, { id: lead.id, version: 2 }] } });
  expect(await rig.client.beta.agents.update(lead.id, { multiagent: null })).toMatchObject({
    version: 3,
    multiagent: null,
  });
});

test("multiagent_20261001 has defaults, and an update is merged into it level by level", async () => {
  const worker = await create({ name: "worker" });
  const enabled = { type: "enabled", inline_agents: { type: "enabled" }, predefined_agents: [] };
  const lead = await create({ multiagent: { type: "multiagent_20261001" } });
  expect(lead.multiagent).toEqual({
    type: "multiagent_20261001",
    advisor: { type: "disabled" },
    subagents: enabled,
    workflows: enabled,
  });
  const update = (multiagent: object) =>
    rig.client.beta.agents.update(lead.id, {
      multiagent: { type: "multiagent_20261001", ...multiagent },
    });
  const named = await update({ subagents: { type: "enabled", predefined_agents: [worker.id] } });
  expect(named.multiagent).toMatchObject({
    subagents: { inline_agents: { type: "enabled" }, predefined_agents: [{ id: worker.id, version: 1 }] },
  });
  const strict = await update({
    subagents: { type: "enabled", inline_agents: { type: "disabled" } },
    workflows: { type: "disabled" },
    advisor: { type: "enabled", model: "claude-opus-5-5" },
  });
  expect(strict.multiagent).toEqual({
    type: "multiagent_20261001",
    advisor: { type: "enabled", model: "claude-opus-5-5" },
    subagents: {
      type: "enabled",
      inline_agents: { type: "disabled" },
      predefined_agents: [{ type: "agent", id: worker.id, version: 1 }],
    },
    workflows: { type: "disabled" },
  });
  expect((await update({ workflows: null, advisor: null })).multiagent).toMatchObject({
    workflows: enabled,
    advisor: { type: "disabled" },
  });
});

test("agents that cannot be in a roster are refused by name", async () => {
  const worker = await create({ name: "worker" });
  const archived = await create({ name: "gone" });
  await rig.client.beta.agents.archive(archived.id);
  const nested = await create({ multiagent: { type: "multiagent_20261001" } });
  const roster = (...agents: unknown[]) => refused({ type: "coordinator", agents });
  expect(await roster("agent_none")).toContain("`multiagent.agents[0]`: there is no agent");
  expect(await roster(worker.id, archived.id)).toContain("`multiagent.agents[1]`: agent");
  expect(await roster(nested.id)).toContain("one level deep");
  expect(await roster(worker.id, { type: "agent", id: worker.id })).toContain("twice");
  expect(await roster({ type: "self" }, { type: "self" })).toContain("twice");
  expect(await roster({ type: "agent", id: worker.id, version: 9 })).toContain("has no version 9");
  expect(await roster(...Array.from({ length: 21 }, () => worker.id))).toContain("at most 20");
  const nobody = { type: "enabled", inline_agents: { type: "disabled" } };
  expect(await refused({ type: "multiagent_20261001", subagents: nobody })).toContain("at least one agent");
  expect(await refused({ type: "other" })).toContain("`multiagent.type`");
});
