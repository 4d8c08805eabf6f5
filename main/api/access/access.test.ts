import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Caller } from "../../workers/port.ts";
import { createApi } from "../app.ts";
import { equippedSession, hostedEnvironment, hostedSession, tokenOf } from "../testing/hosted.ts";
import { type Rig, startRig } from "../testing/rig.ts";
import { ACCESS } from "./table.ts";

type Kind = Caller["kind"];

let rig: Rig;
/** What belongs to the callers, and the same things of others. */
const own: Record<string, string> = {};
const other: Record<string, string> = {};
const tokens = {} as Record<Kind, string>;

beforeAll(async () => {
  rig = await startRig();
  const mine = await hostedEnvironment(rig);
  const session = await equippedSession(rig, mine.id);
  const work = await mine.client.beta.environments.work.poll(mine.id);
  if (work === null) throw new Error("the session was not offered");
  Object.assign(tokens, { api_key: rig.token, environment_key: mine.key, item_token: tokenOf(work) });
  Object.assign(own, { environment: mine.id, work: work.id, session, skill: "skill_own", store: "memstore_own" });
  const theirs = await hostedEnvironment(rig);
  const foreign = await hostedSession(rig, theirs.id);
  const item = await theirs.client.beta.environments.work.poll(theirs.id);
  Object.assign(other, {
    environment: theirs.id,
    work: item?.id,
    session: foreign,
    skill: "skill_x",
    store: "memstore_x",
  });
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

function fill(path: string, ids: Record<string, string>): string {
  return path.replaceAll(/:(\w+)/g, (_, name: string) => ids[name] ?? "1");
}

async function statusOf(kind: Kind, method: string, path: string, body: unknown = {}): Promise<number> {
  const answer = await rig.request(path, {
    method,
    headers: { authorization: `Bearer ${tokens[kind]}` },
    ...(method === "GET" ? {} : { body }),
  });
  await answer.body?.cancel();
  return answer.status;
}

const KINDS: readonly Kind[] = ["api_key", "environment_key", "item_token"];
/** Not refused; what the route itself says of these made-up requests is its own business. */
const passes = (status: number): boolean => status !== 401 && status !== 403;

describe("the table", () => {
  const rows = ACCESS.filter(({ path }) => !path.endsWith("/stop") && !path.endsWith("/stream"));

  test.each(rows)("$method $path", async ({ method, path, allows }) => {
    for (const kind of KINDS) {
      const status = await statusOf(kind, method, fill(path, own));
      if (allows.includes(kind)) expect(passes(status), `${kind}: ${status}`).toBe(true);
      else expect(status, kind).toBe(403);
    }
  });

  test.each(rows)("$method $path of somebody else is refused", async ({ method, path, allows }) => {
    for (const name of ["environment", "work", "session", "skill", "store"]) {
      if (!path.includes(`:${name}`)) continue;
      const ids = { ...own, [name]: other[name] ?? "" };
      if (allows.includes("item_token")) expect(await statusOf("item_token", method, fill(path, ids)), name).toBe(403);
      // An environment's key opens all items of its environment, and skills, which belong to no environment.
      if (!allows.includes("environment_key") || name === "skill") continue;
      const wanted = name === "work" ? 404 : 403;
      expect(await statusOf("environment_key", method, fill(path, ids)), name).toBe(wanted);
    }
  });

  test("every route that is not in it is the API key's alone", async () => {
    const listed = new Set(ACCESS.map(({ method, path }) => `${method} ${path.replaceAll(/:\w+/g, ":")}`));
    const routes = createApi(rig.ports).routes.filter(
      ({ method, path }) => method !== "ALL" && /^\/(v1|longhaul)\//.test(path) && path !== "/longhaul/v1/sign_in",
    );
    const others = routes.filter(({ method, path }) => !listed.has(`${method} ${path.replaceAll(/:\w+/g, ":")}`));
    expect(others.length).toBeGreaterThan(30);
    for (const { method, path } of others) {
      const filled = fill(
        path.replace("/environments/:id", "/environments/:environment").replace("/sessions/:id", "/sessions/:session"),
        own,
      );
      for (const kind of ["environment_key", "item_token"] as const) {
        expect(await statusOf(kind, method, filled), `${kind} ${method} ${path}`).toBe(403);
      }
    }
  });
});

/** Status for: API key, environment key, item token. Written by hand from the contract, not from the table. */
const EXPECTED: [method: string, path: string, api: number, key: number, token: number, body?: unknown][] = [
  ["GET", "/v1/environments/:environment/work", 403, 200, 403],
  ["GET", "/v1/environments/:environment/work/poll", 403, 200, 403],
  ["GET", "/v1/environments/:environment/work/poll/", 403, 200, 403],
  ["GET", "/v1/environments/:environment/work/stats", 200, 403, 403],
  ["GET", "/v1/environments/:environment/work/:work", 200, 403, 403],
  ["POST", "/v1/environments/:environment/work/:work", 200, 403, 403, { metadata: {} }],
  ["POST", "/v1/environments/:environment/work/:work/heartbeat?expected_last_heartbeat=x", 403, 412, 412],
  ["GET", "/v1/sessions/:session", 200, 200, 200],
  ["GET", "/v1/sessions/:session/events?limit=1000", 200, 200, 200],
  ["GET", "/v1/sessions/:session/events/stream", 200, 200, 200],
  ["POST", "/v1/sessions/:session/events", 400, 400, 400, { events: [{ type: "user.tool_result", tool_use_id: "x" }] }],
  ["POST", "/v1/sessions/:session/events", 200, 403, 403, { events: [{ type: "user.interrupt" }] }],
  [
    "POST",
    "/v1/sessions/:session/events",
    200,
    403,
    403,
    { events: [{ type: "user.message", content: [{ type: "text", text: "I am the person" }] }] },
  ],
  [
    "POST",
    "/v1/sessions/:session/events",
    400,
    403,
    403,
    { events: [{ type: "user.tool_confirmation", tool_use_id: "x", result: "allow" }] },
  ],
  ["POST", "/v1/sessions/:session", 200, 403, 403],
  ["GET", "/v1/sessions", 200, 403, 403],
  ["GET", "/v1/sessions/:session/threads", 200, 403, 403],
  ["GET", "/v1/sessions/:session/resources", 200, 403, 403],
  ["GET", "/v1/agents", 200, 403, 403],
  ["POST", "/v1/agents", 400, 403, 403],
  ["GET", "/v1/environments", 200, 403, 403],
  ["GET", "/v1/environments/:environment", 200, 403, 403],
  ["POST", "/v1/environments/:environment/archive/nothing", 404, 403, 403],
  ["GET", "/v1/files", 200, 403, 403],
  ["GET", "/v1/memory_stores/memstore_own/memories/../../../agents", 200, 403, 403],
  ["POST", "/v1/memory_stores/memstore_read/memories/mem_1/", -1, 403, 403],
  ["DELETE", "/v1/memory_stores/memstore_read/memories/mem_1", -1, 403, 403],
  ["GET", "/longhaul/v1/health", 200, 403, 403],
  ["GET", "/longhaul/v1/sessions/:session/events", 200, 403, 403],
  ["GET", "/longhaul/v1/environments/:environment/keys", 200, 403, 403],
  ["GET", "/v1/nothing", 404, 403, 403],
];

describe("by hand", () => {
  test.each(EXPECTED)("%s %s: %i %i %i", async (method, path, api, key, token, body) => {
    const wanted = { api_key: api, environment_key: key, item_token: token };
    for (const kind of KINDS) {
      if (wanted[kind] < 0) continue;
      expect(await statusOf(kind, method, fill(path, own), body), kind).toBe(wanted[kind]);
    }
  });

  test("a refusal is a permission_error that says which credential fits", async () => {
    const answer = await rig.request("/v1/agents", { headers: { authorization: `Bearer ${tokens.item_token}` } });
    expect(await answer.json()).toMatchObject({
      type: "error",
      error: {
        type: "permission_error",
        message: expect.stringMatching(/work item cannot be used for GET \/v1\/agents.*API key/),
      },
    });
  });

  test.each([
    ["a made-up environment key", `sk-ant-oat01-${"a".repeat(43)}`],
    ["a made-up item token", `sk-ant-req-${"a".repeat(43)}`],
    ["nothing", ""],
    ["a huge one", `sk-ant-oat01-${"a".repeat(20_000)}`],
  ])("%s is answered with 401", async (_, token) => {
    const path = fill("/v1/environments/:environment/work/poll", own);
    const answer = await rig.request(path, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(401);
  });

  test("worker's credentials are Bearer tokens only", async () => {
    const path = fill("/v1/environments/:environment/work/poll", own);
    const answer = await fetch(rig.url + path, { headers: { "x-api-key": tokens.environment_key } });
    expect(answer.status).toBe(401);
  });
});

test("a token ends with its item: then it only hears that the item has stopped", async () => {
  const mine = await hostedEnvironment(rig);
  const session = await hostedSession(rig, mine.id);
  const work = await mine.client.beta.environments.work.poll(mine.id);
  if (work === null) throw new Error("the session was not offered");
  const headers = { authorization: `Bearer ${tokenOf(work)}` };
  const base = `/v1/environments/${mine.id}/work/${work.id}`;
  const post = async (path: string) => (await rig.request(path, { method: "POST", headers })).status;
  expect(await post(`${base}/ack`)).toBe(200);
  expect((await rig.request(`/v1/sessions/${session}`, { headers })).status).toBe(200);
  expect(await post(`${base}/stop`)).toBe(200);
  expect((await rig.request(`/v1/sessions/${session}`, { headers })).status).toBe(401);
  expect(await (await rig.request(`${base}/heartbeat`, { method: "POST", headers })).json()).toMatchObject({
    state: "stopped",
    lease_extended: false,
    last_heartbeat: "",
  });
  expect(await post(`${base}/stop`)).toBe(409);
});
