import type { DeploymentCreateParams } from "@anthropic-ai/sdk/resources/beta/deployments";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deploymentTable } from "../../../orchestration/schedules/port.ts";
import { LedgerWriteError } from "../../../session/ledger.ts";
import { MemoryRecords } from "../../../session/records/memory_records.ts";
import { type Rig, startRig } from "../../testing/rig.ts";
import { launchDeployment } from "./launch.ts";

const MINUTE = 60_000;
let clock: number;
let rig: Rig;
let agent: string;
let environment: string;
beforeEach(async () => {
  clock = Date.parse("2026-07-01T12:00:30Z");
  rig = await startRig({ now: () => clock });
  agent = (await rig.client.beta.agents.create({ name: "worker", model: "claude-opus-5-5" })).id;
  environment = (await rig.client.beta.environments.create({ name: "env" })).id;
});
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const MINUTELY = { type: "cron", expression: "* * * * *", timezone: "UTC" } as const;

function create(more: Partial<DeploymentCreateParams> = {}) {
  return rig.client.beta.deployments.create({
    name: "nightly",
    agent,
    environment_id: environment,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Hello" }] }],
    ...more,
  });
}

async function runsOf(deployment_id: string) {
  return (await rig.client.beta.deploymentRuns.list({ deployment_id })).data;
}

/** Lets the clock reach the next full minute and look. */
async function nextMinute(): Promise<string> {
  clock = Math.floor(clock / MINUTE + 1) * MINUTE;
  await rig.schedules.check();
  return new Date(clock).toISOString();
}

async function store(kind: string, id: string, archived_at: string | null): Promise<void> {
  const record = { kind, id, scope: "", key: null, state: null, created_at: new Date(clock).toISOString() };
  const known = await rig.ports.records.get(kind, id);
  const next = { ...record, archived_at, body: { id, archived_at } };
  await rig.ports.records.write([
    known === null ? { op: "insert", record: next } : { op: "replace", record: next, revision: known.revision },
  ]);
}

test("a run by hand makes a session that names its deployment and is woken", async () => {
  const { id } = await create({ schedule: MINUTELY });
  await rig.client.beta.deployments.pause(id);
  const run = await rig.client.beta.deployments.run(id);
  expect(run).toEqual({
    id: expect.stringMatching(/^drun_/),
    type: "deployment_run",
    agent: { id: agent, type: "agent", version: 1 },
    created_at: new Date(clock).toISOString(),
    deployment_id: id,
    error: null,
    session_id: expect.stringMatching(/^sesn_/),
    trigger_context: { type: "manual" },
  });
  expect(await rig.client.beta.deploymentRuns.retrieve(run.id)).toEqual(run);
  const session = await rig.client.beta.sessions.retrieve(run.session_id ?? "");
  expect(session).toMatchObject({ deployment_id: id, title: "nightly", agent: { id: agent } });
  expect(rig.orchestrator.wakes).toEqual([{ sessionId: run.session_id, reason: "client_event" }]);
  const events = (await rig.client.beta.sessions.events.list(session.id)).data;
  expect(events.map(({ type }) => type)).toEqual(["user.message"]);
  await rig.session();
  const filtered = await rig.client.beta.sessions.list({ deployment_id: id });
  expect(filtered.data.map((one) => one.id)).toEqual([run.session_id]);
  // By hand: the schedule knows nothing of it, and stays paused.
  const after = await rig.client.beta.deployments.retrieve(id);
  expect([after.schedule?.last_run_at, after.status]).toEqual([null, "paused"]);
});

test("the version that was pinned runs, also after the agent changed", async () => {
  const { id } = await create();
  await rig.client.beta.agents.update(agent, { version: 1, name: "changed" });
  const { session_id } = await rig.client.beta.deployments.run(id);
  const { agent: snapshot } = await rig.client.beta.sessions.retrieve(session_id ?? "");
  expect([snapshot.version, snapshot.name]).toEqual([1, "worker"]);
});

test("a scheduled run happens at its minute, once, and is remembered", async () => {
  const { id } = await create({ schedule: MINUTELY });
  await rig.schedules.check();
  expect(await runsOf(id)).toEqual([]);
  const at = await nextMinute();
  await rig.schedules.check();
  const runs = await runsOf(id);
  expect(runs).toMatchObject([{ error: null, trigger_context: { type: "schedule", scheduled_at: at } }]);
  const { schedule } = await rig.client.beta.deployments.retrieve(id);
  expect(schedule?.last_run_at).toBe(at);
});

test("what passes while it is paused is neither run nor missed", async () => {
  const { id } = await create({ schedule: MINUTELY });
  await nextMinute();
  await rig.client.beta.deployments.pause(id);
  clock += 2 * 60 * MINUTE;
  await rig.schedules.check();
  await rig.client.beta.deployments.unpause(id);
  await rig.schedules.check();
  expect(await runsOf(id)).toHaveLength(1);
  await nextMinute();
  expect((await runsOf(id)).map(({ error }) => error)).toEqual([null, null]);
});

test("a new schedule begins now", async () => {
  const { id } = await create({ schedule: { ...MINUTELY, expression: "0 0 1 1 *" } });
  clock += 2 * 60 * MINUTE;
  await rig.client.beta.deployments.update(id, { schedule: MINUTELY });
  await rig.schedules.check();
  expect(await runsOf(id)).toEqual([]);
});

describe("lists of runs", () => {
  test("by deployment, error, trigger and time, in pages", async () => {
    const first = (await create({ schedule: MINUTELY })).id;
    const scheduledAt = await nextMinute();
    clock += 1;
    const second = (await create()).id;
    const byHand = await rig.client.beta.deployments.run(second);
    clock += 1;
    await rig.client.beta.environments.archive(environment);
    const failed = await rig.client.beta.deployments.run(second);
    const [scheduled] = await runsOf(first);
    const { deploymentRuns } = rig.client.beta;
    const listed = async (query: Parameters<typeof deploymentRuns.list>[0]) => {
      const ids: string[] = [];
      for await (const { id } of deploymentRuns.list({ ...query, limit: 1 })) ids.push(id);
      return ids;
    };
    expect(await listed({})).toEqual([failed.id, byHand.id, scheduled?.id]);
    expect(await listed({ has_error: true })).toEqual([failed.id]);
    expect(await listed({ has_error: false })).toEqual([byHand.id, scheduled?.id]);
    expect(await listed({ trigger_type: "schedule" })).toEqual([scheduled?.id]);
    expect(await listed({ trigger_type: "manual", has_error: false, deployment_id: second })).toEqual([byHand.id]);
    expect(await listed({ deployment_id: "depl_none" })).toEqual([]);
    expect(await listed({ "created_at[gt]": byHand.created_at })).toEqual([failed.id]);
    expect(await listed({ "created_at[gte]": byHand.created_at })).toEqual([failed.id, byHand.id]);
    expect(await listed({ "created_at[lt]": byHand.created_at })).toEqual([scheduled?.id]);
    expect(await listed({ "created_at[lte]": scheduledAt })).toEqual([scheduled?.id]);
    for (const query of ["has_error=1", "trigger_type=x", "limit=9999", "page=!"]) {
      expect((await rig.request(`/v1/deployment_runs?${query}`)).status, query).toBe(400);
    }
  });
});

describe("why a run has no session", () => {
  /** Breaks something, then lets the schedule fire and a person run it. */
  async function failsWith(id: string, type: string, named: string, paused = true): Promise<void> {
    await nextMinute();
    const [run] = await runsOf(id);
    expect(run).toMatchObject({ session_id: null, error: { type } });
    expect(run?.error?.message).toContain(named);
    const after = await rig.client.beta.deployments.retrieve(id);
    expect(after.paused_reason).toEqual(paused ? { type: "error", error: { type } } : null);
    expect(after.schedule?.last_run_at).toBeNull();
    expect((await rig.client.beta.deployments.run(id)).error?.type).toBe(type);
    expect((await rig.client.beta.sessions.list()).data).toEqual([]);
    const before = (await runsOf(id)).length;
    await nextMinute();
    expect((await runsOf(id)).length).toBe(before + (paused ? 0 : 1));
  }

  test("the environment was archived; once another one is set and it is unpaused it runs again", async () => {
    const { id } = await create({ schedule: MINUTELY });
    await rig.client.beta.environments.archive(environment);
    await failsWith(id, "environment_archived_error", environment);
    expect(await rig.client.beta.deployments.pause(id)).toMatchObject({ paused_reason: { type: "error" } });
    const other = await rig.client.beta.environments.create({ name: "other" });
    await rig.client.beta.deployments.update(id, { environment_id: other.id });
    await rig.client.beta.deployments.unpause(id);
    const at = await nextMinute();
    expect((await runsOf(id))[0]).toMatchObject({ error: null, trigger_context: { scheduled_at: at } });
  });

  test("the environment was deleted", async () => {
    const { id } = await create({ schedule: MINUTELY });
    await rig.client.beta.environments.delete(environment);
    await failsWith(id, "environment_not_found_error", environment);
  });

  test("a run by hand that fails does not pause the schedule", async () => {
    const { id } = await create({ schedule: MINUTELY });
    await rig.client.beta.environments.archive(environment);
    expect((await rig.client.beta.deployments.run(id)).error?.type).toBe("environment_archived_error");
    expect((await rig.client.beta.deployments.retrieve(id)).status).toBe("active");
  });

  test("a file was deleted", async () => {
    const file = await rig.client.beta.files.upload({ file: new File(["x"], "x.txt", { type: "text/plain" }) });
    const { id } = await create({ schedule: MINUTELY, resources: [{ type: "file", file_id: file.id }] });
    await rig.client.beta.files.delete(file.id);
    await failsWith(id, "file_not_found_error", "resources[0].file_id");
  });

  test.each([
    ["vault_archived_error", "2026-07-01T12:00:00.000Z"],
    ["vault_not_found_error", null],
  ])("a vault: %s", async (type, archived_at) => {
    await store("vault", "vlt_1", null);
    const { id } = await create({ schedule: MINUTELY, vault_ids: ["vlt_1"] });
    if (archived_at !== null) await store("vault", "vlt_1", archived_at);
    else await rig.ports.records.write([{ op: "delete", kind: "vault", id: "vlt_1" }]);
    await failsWith(id, type, "vault_ids[0]");
  });

  test("the network of the environment was closed to the agent's MCP server", async () => {
    const mcp_servers = [{ type: "url" as const, name: "docs", url: "https://mcp.example.com/mcp" }];
    const tools = [{ type: "mcp_toolset" as const, mcp_server_name: "docs" }];
    const model = "claude-opus-5-5";
    const { id: withServer } = await rig.client.beta.agents.create({ name: "mcp", model, mcp_servers, tools });
    const { id } = await create({ schedule: MINUTELY, agent: withServer });
    const limit = (allowed_hosts: string[]) =>
      rig.client.beta.environments.update(environment, {
        config: { type: "cloud", networking: { type: "limited", allowed_hosts } },
      });
    await limit(["other.example.com"]);
    await failsWith(id, "mcp_egress_blocked_error", "mcp.example.com");
    await limit(["*.example.com"]);
    expect((await rig.client.beta.deployments.run(id)).error).toBeNull();
  });

  test("the environment belongs to a worker, which cannot mount files", async () => {
    const file = await rig.client.beta.files.upload({ file: new File(["x"], "x.txt", { type: "text/plain" }) });
    const { id } = await create({ schedule: MINUTELY, resources: [{ type: "file", file_id: file.id }] });
    const worker = await rig.client.beta.environments.create({ name: "worker", config: { type: "self_hosted" } });
    const stored = await rig.ports.records.get("deployment", id);
    if (stored === null) throw new Error("not stored");
    const { revision, ...record } = stored;
    const body = { ...(record.body as object), environment_id: worker.id };
    await rig.ports.records.write([{ op: "replace", record: { ...record, body }, revision }]);
    await failsWith(id, "self_hosted_resources_unsupported_error", "resources[0]");
  });

  test("anything else that is refused does not pause it", async () => {
    const { id } = await create({
      schedule: MINUTELY,
      resources: [{ type: "local_repository", path: "/tmp" }] as never,
    });
    const stored = await rig.ports.records.get("deployment", id);
    if (stored === null) throw new Error("not stored");
    const { revision, ...record } = stored;
    const resources = [{ type: "local_repository", path: "/no/such/folder" }];
    const body = { ...(record.body as object), resources };
    await rig.ports.records.write([{ op: "replace", record: { ...record, body }, revision }]);
    await failsWith(id, "session_creation_rejected_error", "/no/such/folder", false);
  });

  test("the agent was archived by an engine that died before it archived the deployment", async () => {
    const { id } = await create({ schedule: MINUTELY });
    await rig.schedules.check();
    const stored = await rig.catalog.getAgent(agent);
    if (stored === null) throw new Error("not stored");
    await rig.catalog.replaceAgent({ ...stored, archived_at: new Date(clock).toISOString() });
    await nextMinute();
    expect((await runsOf(id))[0]?.error?.type).toBe("agent_archived_error");
    expect(await rig.client.beta.deployments.retrieve(id)).toMatchObject({
      status: "active",
      archived_at: new Date(clock).toISOString(),
    });
  });

  test("the ledger could not be written: the error says so and nothing is half there", async () => {
    const { id } = await create({ schedule: MINUTELY });
    const create_session = rig.ledger.createSession.bind(rig.ledger);
    rig.ledger.createSession = async () => {
      throw new LedgerWriteError("The disk is full.");
    };
    await nextMinute();
    expect((await runsOf(id))[0]?.error).toEqual({
      type: "unknown_error",
      message: "No session was made. The disk is full.",
    });
    expect(rig.failures.splice(0)).toHaveLength(1);
    rig.ledger.createSession = create_session;
    await nextMinute();
    expect((await runsOf(id))[0]?.error).toBeNull();
    expect((await rig.client.beta.deployments.retrieve(id)).status).toBe("active");
  });
});

test("an attempt that was cut off leaves no second copy of a file", async () => {
  const file = await rig.client.beta.files.upload({ file: new File(["x"], "x.txt", { type: "text/plain" }) });
  const { id } = await create({ resources: [{ type: "file", file_id: file.id }] });
  const stored = await deploymentTable(rig.ports.records).get(id);
  if (stored === null) throw new Error("not stored");
  const deps = { ...rig.ports, now: () => clock };
  const cutOff = {
    ...deps,
    ledger: { ...rig.ledger, createSession: () => Promise.reject(new Error("killed")) } as never,
  };
  await expect(launchDeployment(cutOff, stored.value, "sesn_1")).rejects.toThrow("killed");
  expect(await launchDeployment(deps, stored.value, "sesn_1")).toEqual({ session_id: "sesn_1" });
  const { data } = await rig.client.beta.files.list({ scope_id: "sesn_1" });
  const { resources } = await rig.client.beta.sessions.retrieve("sesn_1");
  expect(data.map((copy) => copy.id)).toEqual(resources.map((one) => (one.type === "file" ? one.file_id : null)));
});

test("a run by hand that cannot be written down is refused in the contract's form", async () => {
  const records = new MemoryRecords();
  await using own = await startRig({ records });
  const agent = await own.client.beta.agents.create({ name: "a", model: "claude-opus-5-5" });
  const environment = await own.client.beta.environments.create({ name: "e" });
  const { id } = await own.client.beta.deployments.create({
    name: "x",
    agent: agent.id,
    environment_id: environment.id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "x" }] }],
  });
  records.write = async () => {
    throw new LedgerWriteError("The disk is full.");
  };
  const response = await own.request(`/v1/deployments/${id}/run`, { method: "POST" });
  expect(await response.json()).toMatchObject({ type: "error", error: { type: "api_error" } });
  expect((await own.client.beta.sessions.list()).data).toEqual([]);
});
