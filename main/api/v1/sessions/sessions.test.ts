import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const message = (text: string) => ({ type: "user.message" as const, content: [{ type: "text" as const, text }] });

async function parts() {
  const agent = await rig.client.beta.agents.create({
    name: "worker",
    model: { id: "m", effort: "low" },
    system: "s",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const environment = await rig.client.beta.environments.create({ name: `e ${Math.random()}` });
  return { agent, environment };
}

describe("create", () => {
  test("a session without events is idle, complete, and woken by nobody", async () => {
    const { agent, environment } = await parts();
    const wakes = rig.orchestrator.wakes.length;
    const session = await rig.client.beta.sessions.create({
      agent: agent.id,
      environment_id: environment.id,
      title: "t",
      metadata: { a: "1" },
    });
    const { created_at: _, updated_at: __, archived_at: ___, metadata: ____, ...snapshot } = agent;
    expect(session).toEqual({
      id: expect.stringMatching(/^sesn_/),
      type: "session",
      status: "idle",
      title: "t",
      agent: snapshot,
      environment_id: environment.id,
      metadata: { a: "1" },
      resources: [],
      vault_ids: [],
      budget: null,
      outcome_evaluations: [],
      deployment_id: null,
      stats: { active_seconds: 0, duration_seconds: expect.any(Number) },
      usage: {
        input_tokens: 0,
        output_tokens: 0,
        cache_read_input_tokens: 0,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
        active_seconds: 0,
        list_cost: { amount: "0", currency: "USD" },
      },
      created_at: expect.any(String),
      updated_at: expect.any(String),
      archived_at: null,
    });
    expect(rig.orchestrator.wakes).toHaveLength(wakes);
    expect(await rig.client.beta.sessions.retrieve(session.id)).toMatchObject({ id: session.id, status: "idle" });
  });

  test("with initial events it is running and woken, and the events are queued in order", async () => {
    const { agent, environment } = await parts();
    const session = await rig.client.beta.sessions.create({
      agent: { type: "agent", id: agent.id, version: 1 },
      environment_id: environment.id,
      initial_events: [message("one"), message("two")],
    });
    expect(session.status).toBe("running");
    expect(rig.orchestrator.wakes.at(-1)).toEqual({ sessionId: session.id, reason: "client_event" });
    const listed = await rig.client.beta.sessions.events.list(session.id);
    expect(listed.data).toMatchObject([
      { ...message("one"), processed_at: null },
      { ...message("two"), processed_at: null },
    ]);
  });

  test("overrides replace, clear or inherit, and the base agent is still named", async () => {
    const { agent, environment } = await parts();
    const create = (overrides: Record<string, unknown>) =>
      rig.request("/v1/sessions", {
        method: "POST",
        body: { agent: { type: "agent_with_overrides", id: agent.id, ...overrides }, environment_id: environment.id },
      });
    const made = (await (await create({ model: "n", tools: [], system: null })).json()) as { agent: typeof agent };
    expect(made.agent).toMatchObject({ id: agent.id, version: 1, system: null, tools: [], name: "worker" });
    expect(made.agent.model).toEqual({ id: "n", speed: "standard" });
    const refused = await create({ model: null });
    expect(refused.status).toBe(400);
    expect(await refused.json()).toMatchObject({ error: { details: { error_code: "agent_model_required" } } });
    expect((await create({ tools: [{ type: "mcp_toolset", mcp_server_name: "x" }] })).status).toBe(400);
  });

  test.each<[string, Record<string, unknown>, number, RegExp]>([
    ["an unknown agent", { agent: "agent_none" }, 404, /Agent "agent_none" not found/],
    ["an unknown version", { agent: { type: "agent", id: "$agent", version: 9 } }, 404, /Version 9/],
    ["no environment", { environment_id: undefined }, 400, /`environment_id` is required/],
    ["an unknown environment", { environment_id: "env_none" }, 404, /Environment/],
    ["unknown fields", { colour: 1 }, 400, /Unknown field `colour`/],
    ["an unknown vault", { vault_ids: ["vlt_1"] }, 404, /`vault_ids\[0\]`: vault/],
    [
      "a budget for a model without a price",
      { budget: { type: "limit", max_list_cost: { amount: "1", currency: "USD" } } },
      400,
      /has no list price here/,
    ],
    ["51 events", { initial_events: Array.from({ length: 51 }, () => message("x")) }, 400, /at most 50 entries/],
    [
      "an outcome without a rubric",
      { initial_events: [{ type: "user.define_outcome", description: "x" }] },
      400,
      /`initial_events\[0\]\.rubric` is required/,
    ],
    [
      "an interrupt as a first event",
      { initial_events: [{ type: "user.interrupt" }] },
      400,
      /`initial_events\[0\]\.type` must be one of "user\.message", "user\.define_outcome"/,
    ],
    [
      "a memory store that does not exist",
      { resources: [{ type: "memory_store", memory_store_id: "memstore_1" }] },
      400,
      /`resources\[0\]\.memory_store_id`: there is no memory store "memstore_1"/,
    ],
    [
      "an empty message",
      { initial_events: [{ type: "user.message", content: [] }] },
      400,
      /content` must not be empty/,
    ],
  ])("refuses %s, and creates nothing", async (_, fields, status, text) => {
    const { agent, environment } = await parts();
    const before = (await rig.ledger.listSessions({ limit: 1000 })).length;
    const body = JSON.stringify({ agent: agent.id, environment_id: environment.id, ...fields }).replace(
      "$agent",
      agent.id,
    );
    const answer = await rig.request("/v1/sessions", { method: "POST", body });
    const { error } = (await answer.json()) as { error: { message: string } };
    expect(error.message).toMatch(text);
    expect(answer.status).toBe(status);
    expect((await rig.ledger.listSessions({ limit: 1000 })).length).toBe(before);
  });

  test("archived agents and environments are refused, and files in self-hosted ones", async () => {
    const { agent, environment } = await parts();
    const hosted = await rig.client.beta.environments.create({
      name: `h ${Math.random()}`,
      config: { type: "self_hosted" },
    });
    const create = (id: string) => refusalOf(rig.client.beta.sessions.create({ agent: agent.id, environment_id: id }));
    const mount = { type: "github_repository" as const, url: "https://github.com/a/b", authorization_token: "t" };
    const params = { agent: agent.id, environment_id: hosted.id, resources: [mount] };
    expect((await refusalOf(rig.client.beta.sessions.create(params))).message).toMatch(/resources\[0\].*self_hosted/);
    await rig.client.beta.environments.archive(environment.id);
    expect((await create(environment.id)).errorCode).toBe("environment_archived");
    await rig.client.beta.agents.archive(agent.id);
    expect((await create(hosted.id)).message).toMatch(/was archived/);
  });
});

describe("status", () => {
  test("is what runs now, never what an event said", async () => {
    const id = await rig.session();
    const status = async () => (await rig.client.beta.sessions.retrieve(id)).status;
    await rig.emit(id, { type: "session.status_running" });
    expect(await status()).toBe("idle");
    rig.orchestrator.set(id, "queued");
    expect(await status()).toBe("running");
    rig.orchestrator.set(id, null);
    const holder = { id: "lhh_1", boot_id: "b", pid: 1, pid_started_at: 0 };
    const lease = await rig.ledger.acquireLease(id, holder, 60_000, "user");
    expect(await status()).toBe("running");
    if (lease !== null) await rig.ledger.releaseLease(lease, "rescheduled", [{ type: "session.status_rescheduled" }]);
    expect(await status()).toBe("rescheduling");
  });
});

describe("update", () => {
  const TOOLS = [{ type: "agent_toolset_20260401" as const }];

  test("changes what is given, and tells with session.updated what changed and nothing else", async () => {
    const id = await rig.session({ title: "old", metadata: { a: "1", b: "2" } });
    const after = await rig.client.beta.sessions.update(id, {
      title: "new",
      metadata: { a: null },
      agent: { tools: TOOLS },
    });
    expect(after).toMatchObject({ title: "new", metadata: { b: "2" }, agent: { tools: [{ configs: [] }] } });
    await rig.client.beta.sessions.update(id, { title: "new", metadata: {} });
    await rig.client.beta.sessions.update(id, { metadata: { b: null } });
    const { data } = await rig.client.beta.sessions.events.list(id);
    expect(data).toMatchObject([
      { type: "session.updated", title: "new", metadata: { b: "2" }, agent: { type: "agent", name: "worker" } },
      { type: "session.updated" },
    ]);
    expect(Object.keys(data[1] ?? {}).sort()).toEqual(["id", "processed_at", "type"]);
    expect((await rig.client.beta.sessions.retrieve(id)).metadata).toEqual({});
  });

  test("the agent can only be changed while idle; the title also while running", async () => {
    const id = await rig.session();
    rig.orchestrator.set(id, "running");
    const error = await refusalOf(rig.client.beta.sessions.update(id, { agent: { tools: TOOLS } }));
    expect([error.status, error.message]).toEqual([400, expect.stringContaining("while the session is idle")]);
    expect((await rig.client.beta.sessions.update(id, { title: "t" })).title).toBe("t");
    rig.orchestrator.set(id, null);
  });

  test("vaults and budgets are refused", async () => {
    const id = await rig.session();
    expect((await refusalOf(rig.client.beta.sessions.update(id, { vault_ids: [] }))).message).toContain(
      "`vault_ids` cannot be changed",
    );
    const budget = { type: "limit" as const, max_list_cost: { amount: "100", currency: "USD" as const } };
    expect((await refusalOf(rig.client.beta.sessions.update(id, { budget }))).errorCode).toBe("budget_create_only");
    expect((await rig.client.beta.sessions.update(id, { budget: null })).budget).toBeNull();
  });
});

describe("archive and delete", () => {
  test("both refuse a running session in the contract's words", async () => {
    const id = await rig.session();
    rig.orchestrator.set(id, "running");
    expect((await refusalOf(rig.client.beta.sessions.delete(id))).message).toContain(
      "Cannot delete session while it is running. Send an interrupt event or wait for the session to complete.",
    );
    expect((await refusalOf(rig.client.beta.sessions.archive(id))).status).toBe(400);
    rig.orchestrator.set(id, null);
  });

  test("an archived session is terminated and read-only, loses its capability, keeps its events", async () => {
    const id = await rig.session();
    rig.cleanUps.length = 0;
    const archived = await rig.client.beta.sessions.archive(id);
    expect([archived.status, typeof archived.archived_at]).toEqual(["terminated", "string"]);
    expect(rig.cleanUps).toEqual(["revokeCapability"]);
    const types = (await rig.client.beta.sessions.events.list(id)).data.map((event) => event.type);
    expect(types).toEqual(["session.thread_status_terminated", "session.status_terminated"]);
    expect((await rig.client.beta.sessions.archive(id)).updated_at).toBe(archived.updated_at);
    expect((await refusalOf(rig.client.beta.sessions.update(id, { title: "x" }))).status).toBe(400);
    expect((await refusalOf(rig.client.beta.sessions.events.send(id, { events: [message("x")] }))).status).toBe(400);
    const listed = async (include_archived: boolean) =>
      (await rig.client.beta.sessions.list({ include_archived, limit: 1000 })).data.some(
        (session) => session.id === id,
      );
    expect([await listed(false), await listed(true)]).toEqual([false, true]);
  });

  test("a deleted session is gone with its sandbox, its capability and its copies of files", async () => {
    const id = await rig.session();
    const file = { filename: "f", mime_type: "text/plain", size_bytes: 1, type: "file" as const, sha256: "0" };
    const scope = { id, type: "session" as const };
    await rig.catalog.putFile({ ...file, id: "file_copy", created_at: "2026-01-01T00:00:00.000Z", scope });
    rig.cleanUps.length = 0;
    expect(await rig.client.beta.sessions.delete(id)).toEqual({ id, type: "session_deleted" });
    expect(rig.cleanUps.sort()).toEqual(["destroySandbox", "revokeCapability"]);
    expect(await rig.catalog.getFile("file_copy")).toBeNull();
    expect((await refusalOf(rig.client.beta.sessions.retrieve(id))).status).toBe(404);
    expect((await refusalOf(rig.client.beta.sessions.delete(id))).status).toBe(404);
  });

  test("a sandbox that cannot be removed is reported, and the session is gone all the same", async () => {
    await using own = await startRig({
      destroySandbox: async () => {
        throw new Error("busy");
      },
    });
    const id = await own.session();
    await own.client.beta.sessions.delete(id);
    expect(own.failures).toHaveLength(1);
    expect(await own.ledger.getSession(id)).toBeNull();
  });
});
