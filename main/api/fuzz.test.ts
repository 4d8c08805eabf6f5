/** No request, however odd, is answered with a 500: seeded mutations of valid requests against one server. */
import { expect, test } from "vitest";
import { newId } from "../contract/ids.ts";
import { startRig } from "./testing/rig.ts";

const REQUESTS = 600;

/** A small generator of its own: the same requests every time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const next = random(20_261_122);
const pick = <T>(values: readonly T[]): T => values[Math.floor(next() * values.length)] as T;

const ODD_IDS = ["nothing", "%00", "%E0%A4%A", "..", "a".repeat(500), "'\";--", "sesn_%F0%9F%98%80"];
const ODD_VALUES = [
  null,
  true,
  -1,
  1.5,
  1e308,
  "",
  " ",
  "\0",
  "x".repeat(3000),
  "\u{1f600}",
  [],
  {},
  [[]],
  { type: "x" },
  { type: "text", text: "x" },
  { type: "always_ask" },
];

interface Template {
  method: "GET" | "POST" | "DELETE" | "PUT";
  path: string;
  body?: unknown;
}

const TOOLS = [
  {
    type: "agent_toolset_20260401",
    configs: [{ name: "bash", permission_policy: { type: "auto" } }],
    default_config: {},
  },
  { type: "custom", name: "t", description: "d", input_schema: { type: "object", properties: { a: {} } } },
];
const MESSAGE = {
  type: "user.message",
  content: [
    { type: "text", text: "x" },
    { type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } },
    { type: "document", source: { type: "text", media_type: "text/plain", data: "x" }, title: "t" },
  ],
};
const AGENT = { name: "n", model: { id: "m", effort: "low" }, system: "s", tools: TOOLS, metadata: { a: "b" } };
const ENVIRONMENT = {
  name: "n",
  config: { type: "cloud", networking: { type: "limited", allowed_hosts: ["a.b"] }, packages: { npm: [] } },
};

const REFRESH = {
  client_id: "c",
  refresh_token: "r",
  token_endpoint: "https://a.b/t",
  token_endpoint_auth: { type: "client_secret_post", client_secret: "s" },
};
const OAUTH = { type: "mcp_oauth", mcp_server_url: "https://a.b", access_token: "t", refresh: REFRESH };
const VARIABLE = {
  type: "environment_variable",
  secret_name: "A",
  secret_value: "v",
  networking: { type: "limited", allowed_hosts: ["*.a.b"] },
  injection_location: { header: true },
};
const VAULT_TEMPLATES: Template[] = [
  { method: "POST", path: "/v1/vaults", body: { display_name: "n", metadata: { a: "b" } } },
  { method: "POST", path: "/v1/vaults/VAULT", body: { display_name: "n", metadata: { a: null } } },
  { method: "POST", path: "/v1/vaults/VAULT/credentials", body: { display_name: "n", metadata: {}, auth: OAUTH } },
  { method: "POST", path: "/v1/vaults/VAULT/credentials", body: { auth: VARIABLE } },
  {
    method: "POST",
    path: "/v1/vaults/VAULT/credentials/CREDENTIAL",
    body: { auth: { type: "static_bearer", token: "t" } },
  },
  { method: "POST", path: "/v1/vaults/VAULT/credentials/CREDENTIAL/mcp_oauth_validate" },
  { method: "GET", path: "/v1/vaults" },
  { method: "GET", path: "/v1/vaults/VAULT/credentials" },
];

const TEMPLATES: Template[] = [
  ...VAULT_TEMPLATES,
  { method: "POST", path: "/v1/agents", body: AGENT },
  { method: "POST", path: "/v1/agents/AGENT", body: { ...AGENT, version: 1 } },
  { method: "POST", path: "/v1/environments", body: ENVIRONMENT },
  { method: "POST", path: "/v1/environments/ENV", body: ENVIRONMENT },
  {
    method: "POST",
    path: "/v1/sessions",
    body: {
      agent: { type: "agent_with_overrides", id: "AGENT", tools: TOOLS },
      environment_id: "ENV",
      resources: [{ type: "local_repository", path: "/tmp", checkout: null, mount_path: "/workspace/a" }],
      initial_events: [MESSAGE],
      title: "t",
    },
  },
  {
    method: "POST",
    path: "/v1/sessions/SESSION",
    body: { title: "t", metadata: { a: null }, agent: { tools: TOOLS } },
  },
  {
    method: "POST",
    path: "/v1/sessions/SESSION/events",
    body: { events: [MESSAGE, { type: "user.interrupt", session_thread_id: null }] },
  },
  {
    method: "POST",
    path: "/v1/sessions/SESSION/events",
    body: { events: [{ type: "user.custom_tool_result", custom_tool_use_id: "CALL", content: MESSAGE.content }] },
  },
  {
    method: "POST",
    path: "/v1/sessions/SESSION/events",
    body: { events: [{ type: "user.tool_confirmation", tool_use_id: "CALL", result: "deny", deny_message: "x" }] },
  },
  { method: "POST", path: "/longhaul/v1/sessions/SESSION/wake", body: { reason: "user" } },
  { method: "POST", path: "/longhaul/v1/sign_in", body: { code: "x" } },
  { method: "POST", path: "/v1/files", body: {} },
  { method: "DELETE", path: "/v1/sessions/nothing" },
  { method: "DELETE", path: "/v1/sessions/SESSION/resources/nothing" },
  { method: "PUT", path: "/v1/agents/AGENT", body: AGENT },
  ...[
    "/v1/agents",
    "/v1/agents/AGENT",
    "/v1/agents/AGENT/versions",
    "/v1/environments",
    "/v1/environments/ENV",
    "/v1/sessions",
    "/v1/sessions/SESSION",
    "/v1/sessions/SESSION/events",
    "/v1/sessions/SESSION/resources",
    "/v1/sessions/SESSION/threads",
    "/v1/files",
    "/v1/files/nothing/content",
    "/longhaul/v1/sessions",
    "/longhaul/v1/sessions/SESSION",
    "/longhaul/v1/sessions/SESSION/events",
    "/longhaul/v1/sessions/SESSION/requests/CALL",
    "/longhaul/v1/search",
    "/longhaul/v1/blobs/nothing",
  ].map((path): Template => ({ method: "GET", path })),
];
const QUERIES =
  "limit page order types[] statuses[] ids[] created_at[gte] created_at[lt] version after q agent_id agent_version include_archived".split(
    " ",
  );

/** The value with one place in it replaced, removed, or joined by an unknown neighbour. */
function mutated(value: unknown): unknown {
  if (typeof value !== "object" || value === null || next() < 0.15) return pick(ODD_VALUES);
  if (Array.isArray(value)) {
    const at = Math.floor(next() * value.length);
    return next() < 0.2 ? [...value, ...value] : value.map((item, index) => (index === at ? mutated(item) : item));
  }
  const copy: Record<string, unknown> = { ...value };
  const key = pick([...Object.keys(copy), "unknown"]);
  if (next() < 0.2) delete copy[key];
  else copy[key] = mutated(copy[key]);
  return copy;
}

function bodyOf(body: unknown): string {
  const roll = next();
  if (roll < 0.02) return "";
  const text = JSON.stringify(roll < 0.3 ? body : mutated(body));
  return roll > 0.95 ? text.slice(0, Math.floor(next() * text.length)) : text;
}

function queryOf(): string {
  const parts = Array.from({ length: Math.floor(next() * 3) }, () => {
    const value = pick([...ODD_VALUES, 1, 5, "asc", "true", "running", "2026-01-01T00:00:00Z", "eyJhIjoxfQ"]);
    return `${encodeURIComponent(pick(QUERIES))}=${encodeURIComponent(String(value).slice(0, 200))}`;
  });
  return parts.length === 0 ? "" : `?${parts.join("&")}`;
}

test("600 odd requests: never a 500, always an envelope for an error", { timeout: 60_000 }, async () => {
  await using rig = await startRig();
  const sessionId = await rig.session();
  const call = newId("event");
  await rig.emit(sessionId, { type: "agent.custom_tool_use", id: call, name: "t", input: {} });
  const vault = await rig.client.beta.vaults.create({ display_name: "v" });
  const credential = await rig.client.beta.vaults.credentials.create(vault.id, {
    auth: { type: "static_bearer", mcp_server_url: "https://mcp.example", token: "t" },
  });
  const known: Record<string, string> = {
    AGENT: (await rig.client.beta.agents.list()).data[0]?.id ?? "",
    ENV: (await rig.client.beta.environments.list()).data[0]?.id ?? "",
    SESSION: sessionId,
    CALL: call,
    VAULT: vault.id,
    CREDENTIAL: credential.id,
  };
  const fill = (text: string) =>
    text.replace(/\b(AGENT|ENV|SESSION|CALL|VAULT|CREDENTIAL)\b/g, (name) => known[name] ?? "");
  const statuses = new Map<number, number>();
  for (let n = 0; n < REQUESTS; n += 1) {
    const { method, path, body } = pick(TEMPLATES);
    const url = fill(path.replace(/[A-Z]{3,}/g, (name) => (next() < 0.15 ? pick(ODD_IDS) : name))) + queryOf();
    const answer = await rig.request(url, { method, ...(body === undefined ? {} : { body: fill(bodyOf(body)) }) });
    const text = await answer.text();
    statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
    expect(answer.status, `${method} ${url}\n${text}`).toBeLessThan(500);
    expect(answer.headers.get("request-id")).toMatch(/^req_/);
    if (answer.status < 400) continue;
    expect(JSON.parse(text), url).toMatchObject({ type: "error", error: { message: expect.any(String) } });
  }
  expect(rig.failures).toEqual([]);
  // Otherwise the generator would not reach beyond the first check of each endpoint.
  expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 5);
  expect(statuses.get(400)).toBeGreaterThan(REQUESTS / 5);
  expect((await rig.client.beta.sessions.retrieve(sessionId)).id).toBe(sessionId);
});
