/** The list of connections, adding, checking and removing them; what signing in does is in `sign_ins.test.ts`. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type {
  Connection,
  ConnectionDetails,
  ConnectionList,
  ConnectionRemoved,
} from "../../../contract/vaults/connections.ts";
import { MemoryRecords } from "../../../session/records/memory_records.ts";
import { type MemoryVault, memoryVault } from "../../testing/memory_vault.ts";
import { type Rig, startRig } from "../../testing/rig.ts";
import { LastUses } from "./last_uses.ts";

const BASE = "/longhaul/v1/connections";
const BEARER = { type: "static_bearer", mcp_server_url: "https://mcp.example.com/mcp", token: "canary-bearer" };
const VARIABLE = {
  type: "environment_variable",
  secret_name: "STRIPE_KEY",
  secret_value: "canary-variable",
  networking: { type: "limited", allowed_hosts: ["api.stripe.com"] },
};

let rig: Rig;
let vault: MemoryVault;
let uses: LastUses;
let now: number;
/** Everything that was answered, for the canaries. */
let answers: string;

beforeEach(async () => {
  vault = memoryVault();
  now = Date.parse("2030-01-01T12:00:00.000Z");
  const records = new MemoryRecords();
  uses = new LastUses(records, () => now);
  answers = "";
  rig = await startRig({ vault, records, lastUses: uses, now: () => now });
});
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  expect(answers).not.toContain("canary");
  await rig[Symbol.asyncDispose]();
});

async function call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> {
  const answer = await rig.request(BASE + path, { method, ...(body === undefined ? {} : { body }) });
  const text = await answer.text();
  answers += text;
  return { status: answer.status, body: JSON.parse(text) as T };
}

const add = async (body: object): Promise<Connection> => (await call<Connection>("POST", "", body)).body;
const list = async (): Promise<ConnectionList> => (await call<ConnectionList>("GET", "")).body;

interface Failure {
  error: { type: string; message: string; connection_id?: string };
}

describe("adding values", () => {
  test("the first makes the vault Connections, the next goes into the same one", async () => {
    expect(await list()).toEqual({ data: [], sign_ins: [] });
    const bearer = await add({ ...BEARER, name: "Tracker" });
    const variable = await add(VARIABLE);
    expect(bearer).toMatchObject({
      type: "connection",
      display_name: "Tracker",
      vault: { display_name: "Connections" },
      auth: { type: "static_bearer", mcp_server_url: BEARER.mcp_server_url },
      state: "connected",
      problem: null,
      last_use: null,
    });
    expect(variable.vault).toEqual(bearer.vault);
    expect((await list()).data.map(({ id }) => id)).toEqual([bearer.id, variable.id]);
    expect((await rig.client.beta.vaults.list()).data).toHaveLength(1);
    expect(await vault.sealed()).toHaveLength(2);
  });

  test("two at the same moment make one vault", async () => {
    const [one, two] = await Promise.all([add(BEARER), add(VARIABLE)]);
    expect(one.vault.id).toBe(two.vault.id);
  });

  test("an archived default vault is left alone and a new one is made", async () => {
    const first = await add(BEARER);
    await rig.client.beta.vaults.archive(first.vault.id);
    expect(await list()).toEqual({ data: [], sign_ins: [] });
    expect((await add(BEARER)).vault.id).not.toBe(first.vault.id);
  });

  test("one vault may be named; an unknown or archived one is refused", async () => {
    const own = await rig.client.beta.vaults.create({ display_name: "work" });
    expect((await add({ ...BEARER, vault_id: own.id })).vault).toEqual({ id: own.id, display_name: "work" });
    const unknown = await call<Failure>("POST", "", { ...BEARER, vault_id: "vlt_none" });
    expect([unknown.status, unknown.body.error.message]).toEqual([404, expect.stringContaining("vlt_none")]);
    await rig.client.beta.vaults.archive(own.id);
    const archived = await call<Failure>("POST", "", { ...VARIABLE, vault_id: own.id });
    expect([archived.status, archived.body.error.message]).toEqual([400, expect.stringContaining("archived")]);
  });

  test("a second one for the same server names the first", async () => {
    const first = await add(BEARER);
    const again = await call<Failure>("POST", "", { ...BEARER, mcp_server_url: "https://MCP.example.com:443/mcp/" });
    expect([again.status, again.body.error.connection_id]).toEqual([409, first.id]);
    const signIn = await call<Failure>("POST", "", { mcp_server_url: BEARER.mcp_server_url });
    expect([signIn.status, signIn.body.error.connection_id]).toEqual([409, first.id]);
    expect(vault.begun.size).toBe(0);
  });

  test.each<[string, object, RegExp]>([
    ["no address", {}, /`mcp_server_url` is required/],
    ["another scheme", { mcp_server_url: "ftp://example.com" }, /`mcp_server_url` must be an http or https URL/],
    ["a password in the address", { mcp_server_url: "https://a:canary@example.com" }, /must not contain a user name/],
    ["an unknown kind", { type: "cookie", mcp_server_url: "https://a.example" }, /`type`/],
    ["no token", { type: "static_bearer", mcp_server_url: "https://a.example" }, /`token` is required/],
    ["a token with a line break", { ...BEARER, token: "canary\nx" }, /`token` must be visible ASCII/],
    ["a scope with a space", { mcp_server_url: "https://a.example", scopes: ["a b"] }, /`scopes\[0\]`/],
    ["a name that no shell takes", { ...VARIABLE, secret_name: "1A" }, /`secret_name`/],
    ["an unknown field", { mcp_server_url: "https://a.example", token: "canary" }, /Unknown field `token`/],
  ])("refuses %s and says which field", async (_, body, text) => {
    const { status, body: answer } = await call<Failure>("POST", "", body);
    expect([status, answer.error.message]).toEqual([400, expect.stringMatching(text)]);
    expect(await vault.sealed()).toEqual([]);
  });

  test("only the API key may ask", async () => {
    const answer = await rig.request(BASE, { headers: { authorization: "Bearer ek_none" } });
    expect(answer.status).toBe(401);
  });
});

describe("state", () => {
  const note = (
    connection: Connection,
    session_id: string,
    decision: "allowed" | "refused",
    route = "mcp" as const,
  ) => {
    now += 1000;
    uses.note({
      session_id,
      vault_id: connection.vault.id,
      credential_id: connection.id,
      route,
      host: "mcp.example.com",
      decision,
      reason: decision === "allowed" ? "tools/call" : "mcp.example.com refuses the token (status 401).",
    });
  };

  test("the last use names the session, and a refused one says what to do", async () => {
    const connection = await add(BEARER);
    const session = await rig.session({ vault_ids: [connection.vault.id], title: "Port to v2" });
    note(connection, session, "allowed");
    const [used] = (await list()).data;
    expect(used).toMatchObject({
      state: "connected",
      last_use: { session_id: session, session_title: "Port to v2", decision: "allowed", host: "mcp.example.com" },
    });
    note(connection, session, "refused");
    expect((await list()).data[0]).toMatchObject({
      state: "refused",
      problem: "mcp.example.com refuses the token (status 401).",
    });
    // A new value is not blamed for what the old one met.
    now += 1000;
    const auth = { type: "static_bearer", token: "canary-2" } as const;
    await rig.client.beta.vaults.credentials.update(connection.id, { vault_id: connection.vault.id, auth });
    expect((await list()).data[0]).toMatchObject({ state: "connected", problem: null });
  });

  test("the sessions that use its vault are listed; those that are over are not", async () => {
    const connection = await add(BEARER);
    const vault_ids = [connection.vault.id];
    const open = await rig.session({ vault_ids, title: "open" });
    await rig.session({ title: "another" });
    await rig.client.beta.sessions.archive(await rig.session({ vault_ids }));
    const { body } = await call<ConnectionDetails>("GET", `/${connection.id}`);
    expect(body.sessions).toEqual([{ id: open, title: "open" }]);
  });

  test("an OAuth token that ran out without a refresh token needs a person; one with is renewed", async () => {
    const own = await rig.client.beta.vaults.create({ display_name: "work" });
    const expires_at = new Date(now + 60_000).toISOString();
    const make = (url: string, refresh: object | null) =>
      rig.client.beta.vaults.credentials.create(own.id, {
        auth: { type: "mcp_oauth", mcp_server_url: url, access_token: "canary", expires_at, refresh: refresh as never },
      });
    await make("https://short.example", null);
    const endpoint = { token_endpoint: "https://a.example/t", token_endpoint_auth: { type: "none" } };
    await make("https://long.example", { client_id: "c", refresh_token: "canary", scope: "read write", ...endpoint });
    now += 120_000;
    const [short, long] = (await list()).data;
    expect(short).toMatchObject({ state: "sign_in_needed", problem: expect.stringContaining("no refresh token") });
    expect(long).toMatchObject({ state: "connected", scopes: ["read", "write"] });
  });

  test("a check is remembered for the value it was made with", async () => {
    const own = await rig.client.beta.vaults.create({ display_name: "work" });
    const made = await rig.client.beta.vaults.credentials.create(own.id, {
      auth: { type: "mcp_oauth", mcp_server_url: "https://a.example", access_token: "canary" },
    });
    const http_response = { status_code: 401, body: "", body_truncated: false, content_type: "" };
    vi.spyOn(vault, "validate").mockResolvedValueOnce({
      status: "invalid",
      mcp_probe: { method: "initialize", http_response },
      refresh: { status: "no_refresh_token", http_response: null },
    });
    const checked = await call<Connection>("POST", `/${made.id}/validate`);
    expect(checked.body).toMatchObject({
      state: "sign_in_needed",
      checked: { status: "invalid", summary: expect.stringContaining("Sign in again") },
    });
    expect((await list()).data[0]).toEqual(checked.body);
    // The contract's own answers do not change.
    expect(await rig.client.beta.vaults.credentials.retrieve(made.id, { vault_id: own.id })).toEqual(made);
    const auth = { type: "mcp_oauth", access_token: "canary-2" } as const;
    await rig.client.beta.vaults.credentials.update(made.id, { vault_id: own.id, auth });
    expect((await list()).data[0]).toMatchObject({ state: "connected", checked: null });
  });
});

describe("removing", () => {
  test("what was pasted is gone here and said to stay valid elsewhere", async () => {
    const connection = await add(BEARER);
    const { body } = await call<ConnectionRemoved>("DELETE", `/${connection.id}`);
    expect(body).toMatchObject({
      id: connection.id,
      revocation: { state: "unsupported", message: expect.stringContaining("delete it at mcp.example.com too") },
    });
    expect(await list()).toEqual({ data: [], sign_ins: [] });
    expect(await vault.sealed()).toEqual([]);
    const { id, vault: place } = connection;
    const credential = await rig.client.beta.vaults.credentials.retrieve(id, { vault_id: place.id });
    expect(credential.archived_at).toEqual(expect.any(String));
    expect((await call("DELETE", `/${id}`)).status).toBe(404);
    expect((await call("GET", `/${id}`)).status).toBe(404);
    // The place is free again.
    expect((await add(BEARER)).id).not.toBe(id);
  });

  const oauth = async () => {
    const own = await rig.client.beta.vaults.create({ display_name: "work" });
    const auth = { type: "mcp_oauth", mcp_server_url: "https://a.example", access_token: "canary" } as const;
    return rig.client.beta.vaults.credentials.create(own.id, { auth });
  };

  test("tokens are taken back at the server while their value is still there, and no session gets it meanwhile", async () => {
    const made = await oauth();
    const seen: unknown[] = [];
    vi.spyOn(vault, "revoke").mockImplementation(async ({ credential_id }) => {
      seen.push(credential_id, (await vault.sealed()).length, (await list()).data.length);
      return { state: "revoked", message: "a.example took the tokens back." };
    });
    const { body } = await call<ConnectionRemoved>("DELETE", `/${made.id}`);
    expect(seen).toEqual([made.id, 1, 0]);
    expect(body.revocation.state).toBe("revoked");
    expect(await vault.sealed()).toEqual([]);
  });

  test("a server that cannot be told is named, and the value is gone all the same", async () => {
    const made = await oauth();
    vi.spyOn(vault, "revoke").mockRejectedValue(new Error("a.example does not answer."));
    const { body } = await call<ConnectionRemoved>("DELETE", `/${made.id}`);
    expect(body.revocation).toEqual({
      state: "failed",
      message: expect.stringContaining("a.example does not answer"),
    });
    expect(await vault.sealed()).toEqual([]);
  });
});
