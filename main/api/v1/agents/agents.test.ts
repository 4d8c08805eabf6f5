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

const ALLOW = { type: "always_allow" };
const ASK = { type: "always_ask" };

describe("create", () => {
  test("materialises every default", async () => {
    const agent = await rig.client.beta.agents.create({ name: "a", model: "claude-opus-5-5" });
    expect(agent).toEqual({
      id: expect.stringMatching(/^agent_/),
      type: "agent",
      version: 1,
      name: "a",
      description: null,
      model: { id: "claude-opus-5-5", speed: "standard" },
      system: null,
      tools: [],
      mcp_servers: [],
      skills: [],
      multiagent: null,
      execution_identity: { type: "service_account" },
      metadata: {},
      created_at: expect.stringMatching(/^\d{4}-.*Z$/),
      updated_at: agent.created_at,
      archived_at: null,
    });
    expect(await rig.client.beta.agents.retrieve(agent.id)).toEqual(agent);
  });

  test("materialises toolsets, per-tool settings and servers", async () => {
    const agent = await rig.client.beta.agents.create({
      name: "a",
      model: { id: "m", effort: "high", speed: null },
      mcp_servers: [{ type: "url", name: "docs", url: "https://docs.example.com/mcp" }],
      tools: [
        {
          type: "agent_toolset_20260401",
          default_config: { permission_policy: { type: "always_ask" } },
          configs: [
            { name: "read", permission_policy: { type: "always_allow" } },
            { name: "bash", enabled: false },
            { name: "web_fetch", allowed_domains: ["docs.example.com"], url_sources: { user_input: "none" } },
          ],
        },
        { type: "mcp_toolset", mcp_server_name: "docs", configs: [{ name: "find" }] },
        {
          type: "custom",
          name: "ticket",
          description: "Opens a ticket",
          input_schema: { type: "object", properties: {} },
        },
      ],
    });
    expect(agent.model).toEqual({ id: "m", effort: { type: "high" }, speed: "standard" });
    expect(agent.tools).toEqual([
      {
        type: "agent_toolset_20260401",
        default_config: { enabled: true, permission_policy: ASK },
        configs: [
          { name: "read", type: "read", enabled: true, permission_policy: ALLOW },
          { name: "bash", type: "bash", enabled: false, permission_policy: ASK },
          {
            name: "web_fetch",
            type: "web_fetch",
            enabled: true,
            permission_policy: ASK,
            allowed_domains: ["docs.example.com"],
            url_sources: { client_tool_results: null, server_tool_results: null, user_input: { type: "none" } },
          },
        ],
      },
      {
        type: "mcp_toolset",
        mcp_server_name: "docs",
        default_config: { enabled: true, permission_policy: ASK },
        configs: [{ name: "find", enabled: true, permission_policy: ASK }],
      },
      {
        type: "custom",
        name: "ticket",
        description: "Opens a ticket",
        input_schema: { type: "object", properties: {} },
      },
    ]);
  });

  const custom = (name: string) => ({ type: "custom", name, description: "d", input_schema: { type: "object" } });
  const server = { type: "url", name: "docs", url: "https://docs.example.com" };
  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no name", { name: undefined }, /`name` is required\./],
    ["empty name", { name: "" }, /`name` must not be empty\./],
    ["long name", { name: "x".repeat(257) }, /`name` must have at most 256 characters \(it has 257\)\./],
    ["no model", { model: undefined }, /`model` is required\./],
    ["model of a wrong kind", { model: 5 }, /`model` must be a string or an object\./],
    ["unknown effort", { model: { id: "m", effort: "huge" } }, /`model\.effort` must be one of "low"/],
    ["unknown field", { colour: "red" }, /Unknown field `colour`: remove it\./],
    ["unknown nested field", { model: { id: "m", q: 1 } }, /Unknown field `model\.q`/],
    ["unknown tool type", { tools: [{ type: "x" }] }, /`tools\[0\]\.type` must be one of "agent_toolset_20260401"/],
    [
      "unknown tool name",
      { tools: [{ type: "agent_toolset_20260401", configs: [{ name: "fly" }] }] },
      /`tools\[0\]\.configs\[0\]\.name` must be one of/,
    ],
    [
      "unknown policy",
      { tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: { type: "x" } } }] },
      /permission_policy\.type` must be one of/,
    ],
    [
      "a tool configured twice",
      { tools: [{ type: "agent_toolset_20260401", configs: [{ name: "bash" }, { name: "bash" }] }] },
      /configs` must name each tool once/,
    ],
    [
      "two toolsets",
      { tools: [{ type: "agent_toolset_20260401" }, { type: "agent_toolset_20260401" }] },
      /given twice/,
    ],
    [
      "a name taken by a built-in tool",
      { tools: [{ type: "agent_toolset_20260401" }, custom("bash")] },
      /"bash" is taken/,
    ],
    ["a name taken by the harness", { tools: [custom("session_events")] }, /is taken/],
    ["a bad custom name", { tools: [custom("a b")] }, /`tools\[0\]\.name` must be 1 to 128 letters/],
    ["too many tools", { tools: Array.from({ length: 257 }, (_, n) => custom(`t${n}`)) }, /at most 256/],
    ["a server without a toolset", { mcp_servers: [server] }, /no mcp_toolset in `tools` names "docs"/],
    ["a toolset without a server", { tools: [{ type: "mcp_toolset", mcp_server_name: "x" }] }, /names no server/],
    [
      "a server that is no URL",
      { mcp_servers: [{ ...server, url: "ftp://x" }] },
      /`mcp_servers\[0\]\.url` must be an http or https URL/,
    ],
    [
      "both domain lists",
      {
        tools: [
          {
            type: "agent_toolset_20260401",
            configs: [{ name: "web_search", allowed_domains: ["a.b"], blocked_domains: ["c.d"] }],
          },
        ],
      },
      /must not have both/,
    ],
    [
      "metadata that is too large",
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, ""])) },
      /`metadata` must have at most 16 pairs/,
    ],
    ["a metadata key that is too long", { metadata: { ["k".repeat(65)]: "" } }, /at most 64 characters/],
    ["a roster without agents", { multiagent: { type: "coordinator", agents: [] } }, /`multiagent.agents` must/],
    ["skills", { skills: [{ type: "anthropic", skill_id: "xlsx" }] }, /cannot be had on this machine/],
    ["another speed", { model: { id: "m", speed: "warp" } }, /`model\.speed` must be one of "standard", "fast"/],
    [
      "an AWS role",
      { execution_identity: { type: "aws_role", role_arn: "arn:aws:iam::123456789012:role/x" } },
      /`execution_identity\.type` must be "service_account": .* no AWS role/,
    ],
  ])("refuses %s", async (_, fields, text) => {
    const answer = await rig.request("/v1/agents", { method: "POST", body: { name: "a", model: "m", ...fields } });
    const body = (await answer.json()) as { error: { type: string; message: string } };
    expect(body.error.message).toMatch(text);
    expect(answer.status).toBe(400);
    expect(body.error.type).toBe("invalid_request_error");
  });
});

describe("update", () => {
  const create = () =>
    rig.client.beta.agents.create({
      name: "a",
      model: { id: "m", effort: "low" },
      system: "s",
      metadata: { keep: "1", drop: "2" },
      tools: [{ type: "agent_toolset_20260401" }],
    });

  test("omitted is kept, null clears, metadata is merged, the version grows by one", async () => {
    const before = await create();
    const after = await rig.client.beta.agents.update(before.id, {
      version: 1,
      description: "d",
      system: null,
      tools: [],
      metadata: { drop: null, add: "3" },
    });
    expect(after).toMatchObject({
      version: 2,
      name: "a",
      description: "d",
      system: null,
      tools: [],
      metadata: { keep: "1", add: "3" },
    });
    expect((await rig.client.beta.agents.retrieve(before.id)).version).toBe(2);
    expect(await rig.client.beta.agents.retrieve(before.id, { version: 1 })).toEqual(before);
  });

  test("the effort survives a new configuration of the same model only", async () => {
    const { id } = await create();
    expect((await rig.client.beta.agents.update(id, { model: "m" })).model.effort).toEqual({ type: "low" });
    expect((await rig.client.beta.agents.update(id, { model: { id: "n" } })).model.effort).toBeUndefined();
  });

  test("an update that changes nothing keeps the version", async () => {
    const before = await create();
    expect(await rig.client.beta.agents.update(before.id, { name: "a", metadata: { keep: "1" } })).toEqual(before);
  });

  test("another version is a final conflict", async () => {
    const { id } = await create();
    const error = await refusalOf(rig.client.beta.agents.update(id, { version: 7, name: "a" }));
    expect(error.status).toBe(409);
    expect(error.type).toBe("conflict_error");
    expect(error.headers?.get("x-should-retry")).toBe("false");
  });

  test("of two updates with the same version at the same time one wins", async () => {
    const { id } = await create();
    const both = await Promise.allSettled(
      ["x", "y"].map((name) => rig.client.beta.agents.update(id, { version: 1, name })),
    );
    expect(both.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("a name cannot be cleared; a merged bag must keep its limits", async () => {
    const { id } = await create();
    const post = (body: unknown) => rig.request(`/v1/agents/${id}`, { method: "POST", body });
    expect((await post({ name: null })).status).toBe(400);
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`k${n}`, "v"]));
    expect((await post({ metadata: many })).status).toBe(400);
  });

  test("metadata that breaks its limits has the contract's error code, and each problem is named", async () => {
    const { id } = await create();
    const bag = { ["a".repeat(65)]: "1", b: "x".repeat(513), c: 1, d: null, e: [] } as Record<string, string>;
    const made = await refusalOf(rig.client.beta.agents.create({ name: "a", model: "m", metadata: bag }));
    const patched = await refusalOf(rig.client.beta.agents.update(id, { metadata: bag }));
    for (const error of [made, patched]) expect([error.status, error.errorCode]).toEqual([400, "invalid_metadata"]);
    for (const part of ["a".repeat(65), "metadata.b", "metadata.c", "metadata.e"]) {
      expect(made.message).toContain(part);
      expect(patched.message).toContain(part);
    }
    expect(made.message).toContain("metadata.d");
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`k${n}`, "v"]));
    expect((await refusalOf(rig.client.beta.agents.update(id, { metadata: many }))).errorCode).toBe("invalid_metadata");
    const sixteen = { ...many, keep: null, drop: null };
    expect(Object.keys((await rig.client.beta.agents.update(id, { metadata: sixteen })).metadata)).toHaveLength(16);
    // Only metadata has the code.
    expect((await refusalOf(rig.client.beta.agents.update(id, { name: "" }))).errorCode).toBeNull();
  });

  test("every version of an archived agent is archived", async () => {
    const { id } = await create();
    await rig.client.beta.agents.update(id, { name: "two" });
    const { archived_at } = await rig.client.beta.agents.archive(id);
    expect(archived_at).toEqual(expect.any(String));
    expect(await rig.client.beta.agents.retrieve(id, { version: 1 })).toMatchObject({ version: 1, archived_at });
    const versions = (await rig.client.beta.agents.versions.list(id)).data;
    expect(versions.map((each) => [each.version, each.archived_at])).toEqual([
      [2, archived_at],
      [1, archived_at],
    ]);
  });

  test("an archived agent is read-only; archiving twice is the same", async () => {
    const { id } = await create();
    const archived = await rig.client.beta.agents.archive(id);
    expect(archived.archived_at).toEqual(expect.any(String));
    expect(archived.version).toBe(1);
    expect(await rig.client.beta.agents.archive(id)).toEqual(archived);
    expect((await refusalOf(rig.client.beta.agents.update(id, { name: "b" }))).status).toBe(400);
  });
});

describe("read", () => {
  test("lists newest first in pages, without archived ones unless asked", async () => {
    await using own = await startRig();
    const ids: string[] = [];
    for (const name of ["a", "b", "c", "d", "e"])
      ids.unshift((await own.client.beta.agents.create({ name, model: "m" })).id);
    await own.client.beta.agents.archive(ids[1] ?? "");
    const seen: string[] = [];
    for await (const agent of own.client.beta.agents.list({ limit: 2 })) seen.push(agent.id);
    expect(seen).toEqual(ids.filter((_, index) => index !== 1));
    const all: string[] = [];
    for await (const agent of own.client.beta.agents.list({ limit: 2, include_archived: true })) all.push(agent.id);
    expect(all).toEqual(ids);
  });

  test("lists versions newest first in pages", async () => {
    const { id } = await rig.client.beta.agents.create({ name: "v1", model: "m" });
    for (const name of ["v2", "v3"]) await rig.client.beta.agents.update(id, { name });
    const names: string[] = [];
    for await (const version of rig.client.beta.agents.versions.list(id, { limit: 2 })) names.push(version.name);
    expect(names).toEqual(["v3", "v2", "v1"]);
  });

  test("what does not exist is a 404, a bad parameter a 400", async () => {
    expect((await refusalOf(rig.client.beta.agents.retrieve("agent_none"))).type).toBe("not_found_error");
    const { id } = await rig.client.beta.agents.create({ name: "a", model: "m" });
    expect((await refusalOf(rig.client.beta.agents.retrieve(id, { version: 9 }))).status).toBe(404);
    for (const query of ["version=0", "version=x"])
      expect((await rig.request(`/v1/agents/${id}?${query}`)).status).toBe(400);
    for (const query of [
      "limit=0",
      "limit=1001",
      "limit=x",
      "page=!",
      "page=e30",
      "include_archived=1",
      "created_at[gte]=soon",
    ]) {
      expect((await rig.request(`/v1/agents?${query}`)).status, query).toBe(400);
    }
  });
});
