import type { DeploymentCreateParams } from "@anthropic-ai/sdk/resources/beta/deployments";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

/** Noon in UTC on a Wednesday. */
const NOW = Date.parse("2026-07-01T12:00:00Z");
let clock = NOW;
let rig: Rig;
let agent: string;
let environment: string;
beforeAll(async () => {
  rig = await startRig({ now: () => clock });
  agent = (await rig.client.beta.agents.create({ name: "worker", model: "claude-opus-5-5" })).id;
  environment = (await rig.client.beta.environments.create({ name: "env" })).id;
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const HELLO: DeploymentCreateParams["initial_events"] = [
  { type: "user.message", content: [{ type: "text", text: "Hello" }] },
];
const CRON = { type: "cron", expression: "0 9 * * 1-5", timezone: "Europe/Berlin" } as const;

function params(more: Partial<DeploymentCreateParams> = {}): DeploymentCreateParams {
  return { name: "nightly", agent, environment_id: environment, initial_events: HELLO, ...more };
}
const create = (more: Partial<DeploymentCreateParams> = {}) => rig.client.beta.deployments.create(params(more));

describe("first events", () => {
  const system = { type: "system.message" as const, content: [{ type: "text" as const, text: "Be brief." }] };
  const outcome = {
    type: "user.define_outcome" as const,
    description: "A report",
    rubric: { type: "text" as const, content: "It has numbers." },
  };

  test("may be an outcome, and end with a system message", async () => {
    const initial_events = [outcome, ...HELLO, system];
    const made = await create({ initial_events });
    expect(made.initial_events).toEqual(initial_events);
    const run = await rig.client.beta.deployments.run(made.id);
    const { data } = await rig.client.beta.sessions.events.list(run.session_id ?? "");
    expect(data.map(({ type }) => type)).toEqual(["user.define_outcome", "user.message", "system.message"]);
    const session = await rig.client.beta.sessions.retrieve(run.session_id ?? "");
    expect(session.outcome_evaluations).toMatchObject([{ result: "pending", description: "A report" }]);
  });

  test.each<[string, DeploymentCreateParams["initial_events"], RegExp]>([
    ["a system message alone", [system], /`initial_events` may end with one system.message/],
    ["one before its message", [system, ...HELLO], /`initial_events` may end with one system.message/],
    ["one behind an outcome", [outcome, system], /`initial_events` may end with one system.message/],
    ["two outcomes", [outcome, outcome], /`initial_events` may hold one user.define_outcome/],
    [
      "a rubric in no file",
      [{ ...outcome, rubric: { type: "file", file_id: "file_none" } }],
      /`initial_events\[0\]\.rubric\.file_id`: there is no file/,
    ],
  ])("are refused with %s", async (_, initial_events, words) => {
    const refusal = await refusalOf(create({ initial_events }));
    expect(refusal.message).toMatch(words);
    expect(refusal.status).toBe(400);
  });

  test("are refused with a system message for a model that takes none", async () => {
    const older = (await rig.client.beta.agents.create({ name: "older", model: "claude-opus-4-6" })).id;
    const refusal = await refusalOf(create({ agent: older, initial_events: [...HELLO, system] }));
    expect(refusal).toMatchObject({ status: 400 });
    expect(JSON.stringify(refusal.error)).toContain("model_does_not_support_mid_conversation_system");
  });
});

describe("create and retrieve", () => {
  test("a deployment that says the least", async () => {
    const made = await create();
    expect(made).toEqual({
      id: expect.stringMatching(/^depl_/),
      type: "deployment",
      name: "nightly",
      description: null,
      agent: { id: agent, type: "agent", version: 1 },
      environment_id: environment,
      initial_events: HELLO,
      resources: [],
      vault_ids: [],
      metadata: {},
      budget: null,
      schedule: null,
      status: "active",
      paused_reason: null,
      created_at: "2026-07-01T12:00:00.000Z",
      updated_at: "2026-07-01T12:00:00.000Z",
      archived_at: null,
    });
    expect(await rig.client.beta.deployments.retrieve(made.id)).toEqual(made);
  });

  test("a schedule is answered with its next five times", async () => {
    const { schedule } = await create({ schedule: CRON });
    expect(schedule).toEqual({
      ...CRON,
      last_run_at: null,
      upcoming_runs_at: [2, 3, 6, 7, 8].map((day) => `2026-07-0${day}T07:00:00.000Z`),
    });
  });

  test("the agent is pinned: the newest version for its id, or the given one", async () => {
    const { id } = await rig.client.beta.agents.create({ name: "old", model: "claude-opus-5-5" });
    await rig.client.beta.agents.update(id, { version: 1, name: "new" });
    expect((await create({ agent: id })).agent.version).toBe(2);
    expect((await create({ agent: { type: "agent", id, version: 1 } })).agent.version).toBe(1);
  });

  test("resources are echoed without their token", async () => {
    const url = "https://github.com/owner/repository";
    const file = await rig.client.beta.files.upload({ file: new File(["x"], "x.txt", { type: "text/plain" }) });
    const { resources, id } = await create({
      resources: [
        { type: "github_repository", url, authorization_token: "canary-token" },
        { type: "file", file_id: file.id, mount_path: "/x.txt" },
      ],
    });
    expect(resources).toEqual([
      { type: "github_repository", url },
      { type: "file", file_id: file.id, mount_path: "/x.txt" },
    ]);
    expect(JSON.stringify(await rig.ports.records.get("deployment", id))).not.toContain("canary");
  });

  test("vaults must exist", async () => {
    const at = new Date(NOW).toISOString();
    const vault = { kind: "vault", scope: "", key: null, state: null, created_at: at };
    const insert = (id: string, archived_at: string | null) =>
      rig.ports.records.write([{ op: "insert", record: { ...vault, id, archived_at, body: { id, archived_at } } }]);
    await insert("vlt_live", null);
    await insert("vlt_gone", at);
    expect((await create({ vault_ids: ["vlt_live"] })).vault_ids).toEqual(["vlt_live"]);
    const unknown = await refusalOf(create({ vault_ids: ["vlt_live", "vlt_none"] }));
    expect([unknown.status, unknown.errorCode]).toEqual([404, "vault_not_found"]);
    expect(unknown.message).toContain("`vault_ids[1]`");
    expect((await refusalOf(create({ vault_ids: ["vlt_gone"] }))).errorCode).toBe("vault_archived");
  });

  const text = (value: string) => ({ type: "user.message", content: [{ type: "text", text: value }] });
  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no name", { name: "" }, /`name` must not be empty/],
    ["a long name", { name: "x".repeat(257) }, /`name` must have at most 256/],
    ["no events", { initial_events: [] }, /`initial_events` must not be empty/],
    ["too many events", { initial_events: Array(51).fill(text("x")) }, /`initial_events` must have at most 50/],
    [
      "events of the server",
      { initial_events: [{ type: "agent.message", content: [] }] },
      /`initial_events\[0\].type`/,
    ],
    ["interrupts", { initial_events: [{ type: "user.interrupt" }] }, /`initial_events\[0\].type`/],
    ["blank text", { initial_events: [text(" ")] }, /`initial_events\[0\].content\[0\].text`/],
    [
      "a file that is not there",
      {
        initial_events: [
          { type: "user.message", content: [{ type: "image", source: { type: "file", file_id: "file_none" } }] },
        ],
      },
      /`initial_events\[0\].content\[0\].source.file_id`/,
    ],
    ["overrides", { agent: { type: "agent_with_overrides", id: "a", system: "x" } }, /`agent.type` must be ..agent/],
    [
      "a resource that is not there",
      { resources: [{ type: "file", file_id: "file_none" }] },
      /`resources\[0\].file_id`/,
    ],
    ["many vaults", { vault_ids: Array(51).fill("v") }, /`vault_ids` must have at most 50/],
    ["half a schedule", { schedule: { type: "cron", expression: "* * * * *" } }, /`schedule.timezone` is required/],
    ["six fields", { schedule: { ...CRON, expression: "0 0 9 * * 1" } }, /`schedule.expression` must have five fields/],
    ["words for cron", { schedule: { ...CRON, expression: "@daily" } }, /shortcuts/],
    ["no such day", { schedule: { ...CRON, expression: "0 0 30 2 *" } }, /30th of February/],
    ["an offset", { schedule: { ...CRON, timezone: "+01:00" } }, /`schedule.timezone` must be a name of the IANA/],
    ["another kind of schedule", { schedule: { type: "interval" } }, /`schedule.type` must be ..cron/],
    ["unknown fields", { scheduled: true }, /Unknown field `scheduled`/],
    ["too much metadata", { metadata: Object.fromEntries([...Array(17).keys()].map((n) => [n, ""])) }, /16 pairs/],
  ])("refuses %s", async (_, wrong, message) => {
    const error = await refusalOf(create(wrong as Partial<DeploymentCreateParams>));
    expect([error.status, error.type]).toEqual([400, "invalid_request_error"]);
    expect(error.message).toMatch(message);
  });

  test("what does not exist is 404, what was archived 400", async () => {
    expect((await refusalOf(create({ agent: "agent_none" }))).status).toBe(404);
    expect((await refusalOf(create({ agent: { type: "agent", id: agent, version: 9 } }))).status).toBe(404);
    const missing = await refusalOf(create({ environment_id: "env_none" }));
    expect([missing.status, missing.errorCode]).toEqual([404, "environment_not_found"]);
    const archived = await rig.client.beta.environments.create({ name: "archived" });
    await rig.client.beta.environments.archive(archived.id);
    expect((await refusalOf(create({ environment_id: archived.id }))).errorCode).toBe("environment_archived");
    const gone = await rig.client.beta.agents.create({ name: "gone", model: "claude-opus-5-5" });
    await rig.client.beta.agents.archive(gone.id);
    expect((await refusalOf(create({ agent: gone.id }))).errorCode).toBe("agent_archived");
    for (const call of ["retrieve", "archive", "pause", "unpause", "run"] as const) {
      expect((await refusalOf(rig.client.beta.deployments[call]("depl_none"))).status, call).toBe(404);
    }
    expect((await refusalOf(rig.client.beta.deployments.update("depl_none", {}))).status).toBe(404);
    expect((await refusalOf(rig.client.beta.deploymentRuns.retrieve("drun_none"))).status).toBe(404);
  });
});

describe("update", () => {
  test("omitted is kept, null clears, metadata is merged, nothing new changes nothing", async () => {
    const made = await create({ description: "d", metadata: { a: "1", b: "2" }, schedule: CRON });
    clock += 1000;
    expect(await rig.client.beta.deployments.update(made.id, { name: "nightly", metadata: {} })).toEqual(made);
    const next = await rig.client.beta.deployments.update(made.id, {
      name: "weekly",
      description: "",
      metadata: { a: null, c: "3" },
      schedule: { type: "cron", expression: "0 0 * * sun", timezone: "UTC" },
    });
    expect(next).toMatchObject({
      name: "weekly",
      description: null,
      metadata: { b: "2", c: "3" },
      initial_events: HELLO,
      updated_at: new Date(clock).toISOString(),
    });
    expect(next.schedule?.upcoming_runs_at?.[0]).toBe("2026-07-05T00:00:00.000Z");
    const cleared = await rig.client.beta.deployments.update(made.id, {
      schedule: null,
      resources: null,
      vault_ids: null,
    });
    expect(cleared.schedule).toBeNull();
  });

  test("an id pins the newest version again, and what a session is made from is checked", async () => {
    const { id } = await rig.client.beta.agents.create({ name: "v", model: "claude-opus-5-5" });
    const made = await create({ agent: id });
    await rig.client.beta.agents.update(id, { version: 1, name: "v2" });
    expect((await rig.client.beta.deployments.update(made.id, { name: "x" })).agent.version).toBe(1);
    expect((await rig.client.beta.deployments.update(made.id, { agent: id })).agent.version).toBe(2);
    const wrong = rig.client.beta.deployments.update(made.id, { resources: [{ type: "file", file_id: "file_none" }] });
    expect((await refusalOf(wrong)).message).toContain("`resources[0].file_id`");
    expect((await refusalOf(rig.client.beta.deployments.update(made.id, { initial_events: [] }))).status).toBe(400);
    expect((await refusalOf(rig.client.beta.deployments.update(made.id, { name: "" }))).status).toBe(400);
  });
});

describe("pause, unpause, archive", () => {
  test("a paused one says why, keeps its times, and goes on", async () => {
    const { id } = await create({ schedule: CRON });
    const paused = await rig.client.beta.deployments.pause(id);
    expect(paused).toMatchObject({ status: "paused", paused_reason: { type: "manual" } });
    expect(paused.schedule?.upcoming_runs_at).toHaveLength(5);
    expect(await rig.client.beta.deployments.pause(id)).toEqual(paused);
    expect(await rig.client.beta.deployments.unpause(id)).toMatchObject({ status: "active", paused_reason: null });
    expect((await rig.client.beta.deployments.unpause(id)).status).toBe("active");
  });

  test("an archived one is active, has no times any more, and takes nothing", async () => {
    const { id } = await create({ schedule: CRON });
    await rig.client.beta.deployments.pause(id);
    const archived = await rig.client.beta.deployments.archive(id);
    expect(archived).toMatchObject({
      status: "active",
      paused_reason: null,
      archived_at: new Date(clock).toISOString(),
    });
    expect(archived.schedule?.upcoming_runs_at).toEqual([]);
    expect(await rig.client.beta.deployments.archive(id)).toEqual(archived);
    for (const call of ["pause", "unpause", "run"] as const) {
      const error = await refusalOf(rig.client.beta.deployments[call](id));
      expect([error.status, error.message.includes("read-only")], call).toEqual([400, true]);
    }
    expect((await refusalOf(rig.client.beta.deployments.update(id, { name: "x" }))).status).toBe(400);
  });

  test("archiving an agent archives its deployments and no others", async () => {
    const { id } = await rig.client.beta.agents.create({ name: "leaves", model: "claude-opus-5-5" });
    const [mine, too, other] = [await create({ agent: id }), await create({ agent: id }), await create()];
    await rig.client.beta.agents.archive(id);
    for (const { id } of [mine, too]) {
      expect((await rig.client.beta.deployments.retrieve(id)).archived_at).not.toBeNull();
    }
    expect((await rig.client.beta.deployments.retrieve(other.id)).archived_at).toBeNull();
  });
});

test("list filters and pages", async () => {
  await using own = await startRig({ now: () => clock++ });
  const { deployments, agents, environments } = own.client.beta;
  const environment_id = (await environments.create({ name: "e" })).id;
  const owner = (await agents.create({ name: "a", model: "claude-opus-5-5" })).id;
  const other = (await agents.create({ name: "b", model: "claude-opus-5-5" })).id;
  const made = [];
  for (const agent of [owner, owner, owner, other])
    made.push(await deployments.create(params({ agent, environment_id })));
  const [a, b, c, d] = made.map(({ id }) => id);
  await deployments.pause(b ?? "");
  await deployments.archive(c ?? "");
  const listed = async (query: Parameters<typeof deployments.list>[0]) => {
    const ids: (string | undefined)[] = [];
    for await (const { id } of deployments.list({ ...query, limit: 1 })) ids.push(id);
    return ids;
  };
  expect(await listed({})).toEqual([d, b, a]);
  expect(await listed({ include_archived: true })).toEqual([d, c, b, a]);
  expect(await listed({ agent_id: owner })).toEqual([b, a]);
  expect(await listed({ agent_id: "agent_none" })).toEqual([]);
  expect(await listed({ status: "paused" })).toEqual([b]);
  expect(await listed({ status: "active" })).toEqual([d, a]);
  expect(await listed({ "created_at[lte]": made[1]?.created_at ?? "" })).toEqual([b, a]);
  expect(await listed({ "created_at[gte]": made[3]?.created_at ?? "" })).toEqual([d]);
  for (const query of [
    "status=gone",
    "status=active&include_archived=true",
    "limit=0",
    "page=x",
    "created_at[gte]=x",
  ]) {
    expect((await own.request(`/v1/deployments?${query}`)).status, query).toBe(400);
  }
  expect(own.failures).toEqual([]);
});

test("there are at most a thousand", async () => {
  await using own = await startRig();
  const { deployments, agents, environments } = own.client.beta;
  const environment_id = (await environments.create({ name: "e" })).id;
  const agent = (await agents.create({ name: "a", model: "claude-opus-5-5" })).id;
  const { id } = await deployments.create(params({ agent, environment_id }));
  const stored = await own.ports.records.get("deployment", id);
  if (stored === null) throw new Error("not stored");
  const { revision: _, ...record } = stored;
  await own.ports.records.write(
    [...Array(999).keys()].map((n) => ({ op: "insert", record: { ...record, id: `depl_${n}` } })),
  );
  const full = await refusalOf(deployments.create(params({ agent, environment_id })));
  expect([full.status, full.message.includes("Archive one")]).toEqual([400, true]);
  await deployments.archive(id);
  await deployments.create(params({ agent, environment_id }));
});
