import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { refusalOf } from "../../testing/rig.ts";
import { BEARER, type CredentialParams, OAUTH, startVaultRig, VARIABLE, type VaultRig } from "./testing/vault_rig.ts";

let it: VaultRig;
/** Everything that the API ever answered in this file, for the canaries at the end. */
const answers: string[] = [];
beforeAll(async () => {
  it = await startVaultRig();
});
afterAll(async () => {
  expect(it.rig.failures).toEqual([]);
  await it[Symbol.asyncDispose]();
});

const create = async (params: CredentialParams, vault?: string) => {
  const vault_id = vault ?? (await it.vault());
  const made = await it.vaults.credentials.create(vault_id, params);
  answers.push(JSON.stringify(made));
  return made;
};
const refused = async (call: PromiseLike<unknown>) => {
  const error = await refusalOf(call);
  answers.push(error.message, JSON.stringify(error.error));
  return error;
};
/** A create request that the SDK's types would not let pass. */
async function post(vault: string, body: unknown): Promise<[number, string]> {
  const answer = await it.rig.request(`/v1/vaults/${vault}/credentials`, { method: "POST", body });
  const text = await answer.text();
  answers.push(text);
  return [answer.status, text];
}

const FUTURE = "2099-01-31T12:00:00Z";

describe("create", () => {
  test("each kind answers with what may be shown, and with all of its defaults", async () => {
    const vault_id = await it.vault();
    const bearer = await create({ ...BEARER, display_name: "mine", metadata: { a: "b" } }, vault_id);
    expect(bearer).toEqual({
      id: expect.stringMatching(/^vcrd_/),
      type: "vault_credential",
      vault_id,
      display_name: "mine",
      auth: { type: "static_bearer", mcp_server_url: "https://mcp.example.com/mcp" },
      metadata: { a: "b" },
      created_at: expect.any(String),
      updated_at: bearer.created_at,
      archived_at: null,
    });
    expect((await create({ auth: { ...OAUTH.auth, expires_at: FUTURE } }, vault_id)).auth).toEqual({
      type: "mcp_oauth",
      mcp_server_url: "https://oauth.example.com/mcp",
      expires_at: FUTURE,
      refresh: {
        client_id: "client-1",
        token_endpoint: "https://oauth.example.com/token",
        token_endpoint_auth: { type: "client_secret_basic" },
        resource: null,
        scope: "read write",
      },
    });
    const variable = await create(VARIABLE, vault_id);
    expect(variable).toMatchObject({ display_name: null, metadata: {} });
    expect(variable.auth).toEqual({
      type: "environment_variable",
      secret_name: "STRIPE_KEY",
      networking: VARIABLE.auth.networking,
      injection_location: { body: true, header: true },
    });
    expect(await it.vaults.credentials.retrieve(variable.id, { vault_id })).toEqual(variable);
  });

  test("an injection location that is given stands for the whole of it", async () => {
    const made = await create({ auth: { ...VARIABLE.auth, injection_location: { header: true } } });
    expect(made.auth).toMatchObject({ injection_location: { body: false, header: true } });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no auth", {}, /`auth` is required/],
    [
      "an unknown kind",
      { auth: { type: "basic", password: "canary-x" } },
      /`auth\.type` must be one of "mcp_oauth", "static_bearer"/,
    ],
    ["no token", { auth: { ...BEARER.auth, token: undefined } }, /`auth\.token` is required/],
    ["an empty token", { auth: { ...BEARER.auth, token: "" } }, /`auth\.token` must not be empty/],
    [
      "a token with a line break",
      { auth: { ...BEARER.auth, token: "canary-x\n" } },
      /`auth\.token` must be visible ASCII/,
    ],
    [
      "a token of 33,000 characters",
      { auth: { ...BEARER.auth, token: "x".repeat(33_000) } },
      /`auth\.token` must have at most 32768 characters/,
    ],
    [
      "a token that is no text",
      { auth: { ...BEARER.auth, token: { canary: "canary-x" } } },
      /`auth\.token` must be a string, not an object/,
    ],
    [
      "another scheme",
      { auth: { ...BEARER.auth, mcp_server_url: "stdio://x" } },
      /`auth\.mcp_server_url` must be an http or https URL/,
    ],
    [
      "a password in the URL",
      { auth: { ...BEARER.auth, mcp_server_url: "https://u:canary-x@h/" } },
      /`auth\.mcp_server_url` must not contain a user name or password/,
    ],
    ["a fragment", { auth: { ...BEARER.auth, mcp_server_url: "https://h/#a" } }, /must not have a fragment/],
    [
      "an expiry in the past",
      { auth: { ...OAUTH.auth, expires_at: "2020-01-01T00:00:00Z" } },
      /`auth\.expires_at` must be in the future/,
    ],
    [
      "an expiry that is no time",
      { auth: { ...OAUTH.auth, expires_at: "soon" } },
      /`auth\.expires_at` must be an RFC 3339 time/,
    ],
    [
      "a secret for a public client",
      {
        auth: {
          ...OAUTH.auth,
          refresh: { ...OAUTH.auth.refresh, token_endpoint_auth: { type: "none", client_secret: "canary-x" } },
        },
      },
      /Unknown field `auth\.refresh\.token_endpoint_auth\.client_secret`/,
    ],
    [
      "a name that no variable has",
      { auth: { ...VARIABLE.auth, secret_name: "1-A" } },
      /`auth\.secret_name` must be a name of an environment variable/,
    ],
    ["no networking", { auth: { ...VARIABLE.auth, networking: undefined } }, /`auth\.networking` is required/],
    [
      "a URL as a host",
      { auth: { ...VARIABLE.auth, networking: { type: "limited", allowed_hosts: ["https://a.b"] } } },
      /`auth\.networking\.allowed_hosts\[0\]` must be a host name/,
    ],
    [
      "an IPv6 address",
      { auth: { ...VARIABLE.auth, networking: { type: "limited", allowed_hosts: ["::1"] } } },
      /allowed_hosts\[0\]` must be a host name/,
    ],
    [
      "an address in disguise",
      { auth: { ...VARIABLE.auth, networking: { type: "limited", allowed_hosts: ["2130706433"] } } },
      /allowed_hosts\[0\]` must be a host name/,
    ],
    [
      "17 hosts",
      {
        auth: {
          ...VARIABLE.auth,
          networking: { type: "limited", allowed_hosts: Array.from({ length: 17 }, (_, index) => `h${index}.io`) },
        },
      },
      /at most 16 entries \(it has 17\)/,
    ],
    [
      "nowhere to inject",
      { auth: { ...VARIABLE.auth, injection_location: {} } },
      /`auth\.injection_location` must enable/,
    ],
    [
      "null to inject",
      { auth: { ...VARIABLE.auth, injection_location: null } },
      /`auth\.injection_location` must be an object, not null/,
    ],
    ["a long name", { ...BEARER, display_name: "x".repeat(256) }, /`display_name` must have at most 255/],
  ])("refuses %s, by name and without the value", async (_, body, text) => {
    const [status, answer] = await post(await it.vault(), body);
    expect([status, answer]).toEqual([400, expect.stringMatching(text.source.replaceAll('"', '\\\\"'))]);
  });

  test("one server and one name per vault, however the address is written, until the former is archived", async () => {
    const vault = await it.vault();
    const first = await create(BEARER, vault);
    for (const mcp_server_url of ["https://MCP.example.com:443/mcp/", "HTTPS://mcp.example.com/mcp"]) {
      const error = await refused(it.vaults.credentials.create(vault, { auth: { ...BEARER.auth, mcp_server_url } }));
      expect([error.status, error.type, error.message]).toEqual([
        409,
        "conflict_error",
        expect.stringContaining("A credential already exists for this MCP server URL."),
      ]);
      expect(error.headers?.get("x-should-retry")).toBe("false");
    }
    const oauth = { auth: { ...OAUTH.auth, mcp_server_url: BEARER.auth.mcp_server_url } };
    expect((await refused(it.vaults.credentials.create(vault, oauth))).status).toBe(409);
    for (const mcp_server_url of [
      "https://mcp.example.com/MCP",
      "https://mcp.example.com:8443/mcp",
      "https://a.mcp.example.com/mcp",
    ]) {
      await create({ auth: { ...BEARER.auth, mcp_server_url } }, vault);
    }
    await create(VARIABLE, vault);
    expect((await refused(it.vaults.credentials.create(vault, VARIABLE))).status).toBe(409);
    await create({ auth: { ...VARIABLE.auth, secret_name: "stripe_key" } }, vault);
    await it.vaults.credentials.archive(first.id, { vault_id: vault });
    await create(BEARER, vault);
    await create(BEARER);
  });

  test("of requests at the same time one wins, and the losers leave nothing sealed", async () => {
    const vault = await it.vault();
    const before = it.sealed().length;
    const calls = Array.from({ length: 6 }, () => it.vaults.credentials.create(vault, BEARER));
    const results = await Promise.allSettled(calls);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(it.sealed()).toHaveLength(before + 1);
  });

  test("a vault holds 20 credentials; archived ones do not count", async () => {
    const vault = await it.vault();
    const variable = (index: number): CredentialParams => ({
      auth: { ...VARIABLE.auth, secret_name: `NAME_${index}` },
    });
    const made = [];
    for (let index = 0; index < 20; index++) made.push(await create(variable(index), vault));
    const error = await refused(it.vaults.credentials.create(vault, variable(20)));
    expect([error.status, error.message]).toEqual([400, expect.stringContaining("at most 20 credentials")]);
    await it.vaults.credentials.archive(made[0]?.id ?? "", { vault_id: vault });
    await create(variable(20), vault);
    const listed = [];
    for await (const credential of it.vaults.credentials.list(vault, { limit: 7 })) listed.push(credential);
    answers.push(JSON.stringify(listed));
    expect(listed).toHaveLength(20);
    expect(listed.at(-1)?.auth).toMatchObject({ secret_name: "NAME_1" });
    expect((await it.vaults.credentials.list(vault, { include_archived: true, limit: 100 })).data).toHaveLength(21);
  });
});

describe("archive and delete", () => {
  test("archive purges the value, keeps the record, is final and idempotent", async () => {
    const { id, vault_id } = await create(OAUTH);
    const before = it.sealed().length;
    const archived = await it.vaults.credentials.archive(id, { vault_id });
    expect(archived.archived_at).toEqual(expect.any(String));
    expect(await it.vaults.credentials.archive(id, { vault_id })).toEqual(archived);
    expect(it.sealed()).toHaveLength(before - 1);
    expect((await it.vaults.credentials.list(vault_id)).data).toEqual([]);
    for (const call of [
      () => it.vaults.credentials.update(id, { vault_id, display_name: "x" }),
      () => it.vaults.credentials.mcpOAuthValidate(id, { vault_id }),
    ]) {
      const error = await refused(call());
      expect([error.status, error.message]).toEqual([400, expect.stringContaining("archived")]);
    }
    expect(await it.vaults.credentials.delete(id, { vault_id })).toEqual({ id, type: "vault_credential_deleted" });
  });

  test("delete takes record and value; nobody finds it afterwards, or from another vault", async () => {
    const { id, vault_id } = await create(VARIABLE);
    const other = await it.vault();
    const credentials = it.vaults.credentials;
    const calls = (vault: string) => [
      () => credentials.retrieve(id, { vault_id: vault }),
      () => credentials.update(id, { vault_id: vault }),
      () => credentials.archive(id, { vault_id: vault }),
      () => credentials.delete(id, { vault_id: vault }),
      () => credentials.mcpOAuthValidate(id, { vault_id: vault }),
    ];
    for (const call of calls(other)) expect((await refused(call())).status).toBe(404);
    const before = it.sealed().length;
    await credentials.delete(id, { vault_id });
    expect(it.sealed()).toHaveLength(before - 1);
    for (const call of calls(vault_id)) expect((await refused(call())).status).toBe(404);
    await create(VARIABLE, vault_id);
  });
});

test("no answer, record, file or line of the log holds any of the values that came in", async () => {
  const records = await it.records.list("credential", { limit: 1000, include_archived: true });
  const everything = {
    answers: answers.join("\n"),
    records: JSON.stringify(records),
    file: it.file(),
    log: it.broker.logs.join("\n"),
  };
  expect(answers.length).toBeGreaterThan(50);
  expect(everything.records).toContain("STRIPE_KEY");
  for (const [where, text] of Object.entries(everything)) expect(text.includes("canary-"), where).toBe(false);
});
