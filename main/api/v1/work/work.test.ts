import Anthropic from "@anthropic-ai/sdk";
import type { BetaSelfHostedWork } from "@anthropic-ai/sdk/resources/beta/environments/work";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hostedEnvironment, hostedSession, tokenOf, workerClient } from "../../testing/hosted.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

type Environment = Awaited<ReturnType<typeof hostedEnvironment>>;

async function polled(environment: Environment, params = {}): Promise<BetaSelfHostedWork> {
  const work = await environment.client.beta.environments.work.poll(environment.id, params);
  if (work === null) throw new Error("the queue is empty");
  return work;
}

test("an item goes through its whole life, as the contract shows it", async () => {
  const environment = await hostedEnvironment(rig);
  const session = await hostedSession(rig, environment.id);
  const { work } = environment.client.beta.environments;
  const place = { environment_id: environment.id };
  const item = await polled(environment, { block_ms: 999, "Anthropic-Worker-ID": "w1" });
  expect(item).toEqual({
    id: expect.stringMatching(/^work_/),
    type: "work",
    environment_id: environment.id,
    state: "queued",
    data: { type: "session", id: session },
    secret: expect.stringMatching(/^[A-Za-z0-9_-]+$/),
    metadata: {},
    created_at: expect.any(String),
    acknowledged_at: null,
    started_at: null,
    latest_heartbeat_at: null,
    stop_requested_at: null,
    stopped_at: null,
  });
  expect(JSON.parse(Buffer.from(item.secret ?? "", "base64url").toString())).toEqual({
    sessions_token: expect.stringMatching(/^sk-ant-req-[\w-]{43}$/),
    api_base_url: rig.url,
  });
  expect(await work.poll(environment.id)).toBeNull();
  expect(await work.ack(item.id, place)).toMatchObject({ state: "starting", secret: null });

  const inside = workerClient(rig, tokenOf(item)).beta.environments.work;
  const first = await inside.heartbeat(item.id, {
    ...place,
    expected_last_heartbeat: "NO_HEARTBEAT",
    desired_ttl_seconds: 60,
  });
  expect(first).toEqual({
    type: "work_heartbeat",
    last_heartbeat: expect.stringMatching(/Z$/),
    lease_extended: true,
    state: "active",
    ttl_seconds: 60,
  });
  const person = rig.client.beta.environments.work;
  expect(await person.retrieve(item.id, place)).toMatchObject({
    state: "active",
    secret: null,
    latest_heartbeat_at: first.last_heartbeat,
  });
  expect(await person.stats(environment.id)).toEqual({
    type: "work_queue_stats",
    depth: 0,
    pending: 0,
    oldest_queued_at: null,
    workers_polling: 1,
  });
  expect((await person.stop(item.id, place)).state).toBe("stopping");
  expect(await inside.heartbeat(item.id, { ...place, expected_last_heartbeat: "anything" })).toMatchObject({
    state: "stopping",
    lease_extended: false,
  });
  expect(await inside.stop(item.id, { ...place, force: true })).toMatchObject({
    state: "stopped",
    stopped_at: expect.any(String),
  });
  const twice = await refusalOf(work.stop(item.id, { ...place, force: true }));
  expect([twice.status, twice.type, twice.headers?.get("x-should-retry")]).toEqual([409, "conflict_error", "false"]);
});

test("a heartbeat that does not match is the SDK's own typed error, with the lease as it is", async () => {
  const environment = await hostedEnvironment(rig);
  await hostedSession(rig, environment.id);
  const item = await polled(environment);
  const { work } = environment.client.beta.environments;
  const place = { environment_id: environment.id };
  await work.ack(item.id, place);
  const { last_heartbeat } = await work.heartbeat(item.id, { ...place, expected_last_heartbeat: "NO_HEARTBEAT" });
  const stale = await refusalOf(work.heartbeat(item.id, { ...place, expected_last_heartbeat: "NO_HEARTBEAT" }));
  expect(stale).toBeInstanceOf(Anthropic.Beta.Environments.Work.BetaHeartbeatPreconditionFailedError);
  expect([stale.status, stale.errorCode]).toEqual([412, "heartbeat_precondition_failed"]);
  expect(stale.details).toEqual({
    error_code: "heartbeat_precondition_failed",
    current_state: { state: "active", ttl_seconds: 300, last_heartbeat, lease_extended: false },
  });
});

test("the list pages newest first and takes only the environment's key", async () => {
  const environment = await hostedEnvironment(rig);
  const sessions = [];
  for (let n = 0; n < 3; n++) sessions.unshift(await hostedSession(rig, environment.id));
  const listed = [];
  for await (const item of environment.client.beta.environments.work.list(environment.id, { limit: 1 }))
    listed.push(item);
  expect(listed.map(({ data }) => data.id)).toEqual(sessions);
  expect(listed.every(({ secret }) => secret === null)).toBe(true);
  const error = await refusalOf(rig.client.beta.environments.work.list(environment.id));
  expect([error.status, error.type]).toEqual([403, "permission_error"]);
});

test("metadata is patched key by key and bounded", async () => {
  const environment = await hostedEnvironment(rig);
  await hostedSession(rig, environment.id);
  const { id } = await polled(environment);
  const { work } = rig.client.beta.environments;
  const update = (metadata: Record<string, string | null>) =>
    work.update(id, { environment_id: environment.id, metadata });
  await update({ host: "a", rack: "1" });
  expect((await update({ rack: null, zone: "z" })).metadata).toEqual({ host: "a", zone: "z" });
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`k${n}`, "v"]));
  for (const wrong of [many, { a: "x".repeat(513) }]) {
    const error = await refusalOf(update(wrong));
    expect([error.status, error.errorCode]).toEqual([400, "invalid_metadata"]);
  }
});

test("a poller that hangs up takes no item with it", async () => {
  const environment = await hostedEnvironment(rig);
  const gone = new AbortController();
  const { work } = environment.client.beta.environments;
  const waiting = work.poll(environment.id, { block_ms: 999 }, { signal: gone.signal });
  await new Promise((resolve) => setTimeout(resolve, 50));
  gone.abort();
  await expect(waiting).rejects.toThrow(Anthropic.APIUserAbortError);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const session = await hostedSession(rig, environment.id);
  expect((await polled(environment)).data.id).toBe(session);
});

test("no odd request is answered with a 500", async () => {
  const environment = await hostedEnvironment(rig);
  await hostedSession(rig, environment.id);
  const { id } = await polled(environment);
  const odd = ["", "%00", "%F0%9F%98%80", "x".repeat(3_000), "-1", "1e9", "null", "NO_HEARTBEAT", "..%2F..", "'--"];
  const base = `/v1/environments/${environment.id}/work`;
  for (const text of odd) {
    const requests: [string, string, unknown?][] = [
      ["GET", `${base}/poll?block_ms=${text}&reclaim_older_than_ms=${text}`],
      ["GET", `${base}?limit=${text}&page=${text}`],
      ["POST", `${base}/${id}/heartbeat?expected_last_heartbeat=${text}&desired_ttl_seconds=${text}`],
      ["POST", `${base}/${text}/ack`],
      ["POST", `${base}/${id}/stop`, text],
      ["POST", `${base}/${id}/stop`, { force: text }],
      ["POST", `${base}/${id}`, { metadata: { [text]: text } }],
      ["DELETE", `/longhaul/v1/environments/${environment.id}/keys/${text}`],
      ["POST", `/longhaul/v1/environments/${text}/keys`, { name: text }],
    ];
    for (const [method, path, body] of requests) {
      for (const credential of [environment.key, rig.token]) {
        const headers = { authorization: `Bearer ${credential}`, "anthropic-worker-id": "w".repeat(500) };
        const answer = await rig.request(path, { method, headers, ...(body === undefined ? {} : { body }) });
        expect(answer.status, `${method} ${path}`).toBeLessThan(500);
        await answer.body?.cancel();
      }
    }
  }
});

describe("refusals", () => {
  test.each([
    ["block_ms=0", /`block_ms` must be a whole number from 1 to 999/],
    ["block_ms=1000", /`block_ms`/],
    ["reclaim_older_than_ms=-1", /`reclaim_older_than_ms`/],
    ["block_ms=soon", /`block_ms`/],
  ])("poll with %s", async (query, text) => {
    const environment = await hostedEnvironment(rig);
    const answer = await rig.request(`/v1/environments/${environment.id}/work/poll?${query}`, {
      headers: { authorization: `Bearer ${environment.key}` },
    });
    const { error } = (await answer.json()) as { error: { message: string } };
    expect([answer.status, error.message]).toEqual([400, expect.stringMatching(text)]);
  });

  test("what does not exist, a cloud environment, wrong bodies", async () => {
    const environment = await hostedEnvironment(rig);
    await hostedSession(rig, environment.id);
    const { id } = await polled(environment);
    const { work } = rig.client.beta.environments;
    const place = { environment_id: environment.id };
    expect((await refusalOf(work.retrieve("work_none", place))).status).toBe(404);
    expect((await refusalOf(environment.client.beta.environments.work.ack("work_none", place))).status).toBe(404);
    expect((await refusalOf(work.stats("env_none"))).errorCode).toBe("environment_not_found");
    const cloud = await rig.client.beta.environments.create({ name: `cloud ${id}` });
    expect((await refusalOf(work.stats(cloud.id))).message).toMatch(/cloud environment and has no work queue/);
    const keys = await rig.request(`/longhaul/v1/environments/${cloud.id}/keys`, { method: "POST" });
    expect([keys.status, await keys.text()]).toEqual([400, expect.stringMatching(/no worker serves it/)]);
    for (const body of [{ force: "yes" }, { forced: true }, []]) {
      const answer = await rig.request(`/v1/environments/${environment.id}/work/${id}/stop`, { method: "POST", body });
      expect(answer.status).toBe(400);
    }
    const beat = `/v1/environments/${environment.id}/work/${id}/heartbeat?desired_ttl_seconds=0`;
    const answer = await rig.request(beat, { method: "POST", headers: { authorization: `Bearer ${environment.key}` } });
    expect(answer.status).toBe(400);
  });
});

describe("environment keys", () => {
  test("are shown once, listed without their value, and end when they are deleted", async () => {
    const environment = await hostedEnvironment(rig);
    const path = `/longhaul/v1/environments/${environment.id}/keys`;
    const made = await rig.request(path, { method: "POST", body: { name: "laptop" } });
    expect(made.headers.get("cache-control")).toBe("no-store");
    const { value, ...key } = (await made.json()) as { value: string; id: string };
    expect(key).toEqual({
      id: expect.stringMatching(/^envkey_/),
      type: "environment_key",
      environment_id: environment.id,
      name: "laptop",
      hint: value.slice(-4),
      created_at: expect.any(String),
    });
    const list = (await (await rig.request(path)).json()) as { data: unknown[] };
    expect(list.data).toHaveLength(2);
    expect(list.data[0]).toEqual(key);
    const { work } = workerClient(rig, value).beta.environments;
    expect(await work.poll(environment.id)).toBeNull();
    expect(await (await rig.request(`${path}/${key.id}`, { method: "DELETE" })).json()).toEqual({
      id: key.id,
      type: "environment_key_deleted",
    });
    expect((await refusalOf(work.poll(environment.id))).status).toBe(401);
    expect((await rig.request(`${path}/${key.id}`, { method: "DELETE" })).status).toBe(404);
    expect((await rig.request(path, { method: "POST", body: { name: "" } })).status).toBe(400);
  });
});

describe("the environment", () => {
  test("archived: its queue goes on, nothing new begins, there are no new keys", async () => {
    const environment = await hostedEnvironment(rig);
    const session = await hostedSession(rig, environment.id);
    await rig.client.beta.environments.archive(environment.id);
    expect((await polled(environment)).data.id).toBe(session);
    const keys = await rig.request(`/longhaul/v1/environments/${environment.id}/keys`, { method: "POST" });
    expect([keys.status, await keys.text()]).toEqual([400, expect.stringMatching(/environment_archived/)]);
  });

  test("is deleted only when no session needs its queue; its keys go with it", async () => {
    const environment = await hostedEnvironment(rig);
    const session = await hostedSession(rig, environment.id);
    const refused = await refusalOf(rig.client.beta.environments.delete(environment.id));
    expect([refused.status, refused.message]).toEqual([400, expect.stringContaining(session)]);
    await rig.client.beta.sessions.archive(session);
    await rig.client.beta.environments.delete(environment.id);
    expect((await refusalOf(environment.client.beta.environments.work.poll(environment.id))).status).toBe(401);
    const kept = await Promise.all(
      ["work", "environment_key"].map((kind) => rig.ports.records.list(kind, { limit: 999 })),
    );
    expect(JSON.stringify(kept)).not.toContain(environment.id);
  });
});
