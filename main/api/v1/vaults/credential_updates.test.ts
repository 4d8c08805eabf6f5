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
const FUTURE = "2099-01-31T12:00:00Z";

describe("update", () => {
  const update = (credential: { id: string; vault_id: string }, params: object) =>
    it.vaults.credentials.update(credential.id, { vault_id: credential.vault_id, ...params });

  test("names and metadata merge; what is not named stays, and no value is sealed again", async () => {
    const made = await create({ ...BEARER, display_name: "a", metadata: { keep: "1", drop: "2" } });
    const before = it.file();
    const updated = await update(made, { display_name: "b", metadata: { drop: null, add: "3" } });
    expect(updated).toMatchObject({ display_name: "b", metadata: { keep: "1", add: "3" }, auth: made.auth });
    expect(await update(made, {})).toEqual(updated);
    expect(
      await update(made, { display_name: null, metadata: null, auth: { type: "static_bearer", token: null } }),
    ).toEqual(updated);
    expect(it.file()).toBe(before);
  });

  test("a new value takes the place of the old one, of which nothing stays", async () => {
    const made = await create(BEARER);
    const before = new Set(it.sealed());
    const updated = await update(made, { auth: { type: "static_bearer", token: "canary-bearer-2" } });
    answers.push(JSON.stringify(updated));
    expect({ ...updated, updated_at: "" }).toEqual({ ...made, updated_at: "" });
    const after = it.sealed();
    expect(after).toHaveLength(before.size);
    expect(after.filter((id) => !before.has(id))).toHaveLength(1);
  });

  test("an environment variable keeps what is left out", async () => {
    const made = await create(VARIABLE);
    const type = "environment_variable";
    const off = await update(made, { auth: { type, injection_location: { body: false } } });
    expect(off.auth).toEqual({ ...made.auth, injection_location: { body: false, header: true } });
    const both = await refused(update(made, { auth: { type, injection_location: { header: false } } }));
    expect([both.status, both.message]).toEqual([400, expect.stringContaining("`auth.injection_location`")]);
    const none = await refused(update(made, { auth: { type, injection_location: null } }));
    expect(none.message).toContain("`auth.injection_location` must be an object, not null");
    const open = await update(made, { auth: { type, networking: { type: "unrestricted" }, secret_value: null } });
    expect(open.auth).toEqual({ ...off.auth, networking: { type: "unrestricted" } });
  });

  test("an OAuth credential keeps its expiry, scope and client unless they are named", async () => {
    const made = await create({ auth: { ...OAUTH.auth, expires_at: FUTURE } });
    const type = "mcp_oauth";
    const renewed = await update(made, { auth: { type, access_token: "canary-access-2" } });
    expect(renewed.auth).toEqual(made.auth);
    const later = "2099-06-30T12:00:00+02:00";
    const moved = await update(made, { auth: { type, expires_at: later, refresh: { scope: "" } } });
    expect(moved.auth).toMatchObject({ expires_at: later, refresh: { scope: null, client_id: "client-1" } });
    // The type of a credential's token endpoint stays, whichever of the two comes with a new secret.
    const post = { type: "client_secret_post", client_secret: "canary-client-2" };
    const kept = await update(made, {
      auth: { type, refresh: { refresh_token: "canary-refresh-2", token_endpoint_auth: post } },
    });
    expect(kept.auth).toEqual(moved.auth);
    answers.push(JSON.stringify([renewed, moved, kept]));
  });

  test.each<[string, CredentialParams, Record<string, unknown>, RegExp]>([
    [
      "the server",
      BEARER,
      { type: "static_bearer", mcp_server_url: "https://a.b" },
      /`auth\.mcp_server_url` cannot be changed/,
    ],
    [
      "the server of OAuth",
      OAUTH,
      { type: "mcp_oauth", mcp_server_url: "https://a.b" },
      /`auth\.mcp_server_url` cannot be changed/,
    ],
    ["the name", VARIABLE, { type: "environment_variable", secret_name: "B" }, /`auth\.secret_name` cannot be changed/],
    [
      "the client",
      OAUTH,
      { type: "mcp_oauth", refresh: { client_id: "b" } },
      /`auth\.refresh\.client_id` cannot be changed/,
    ],
    [
      "the token endpoint",
      OAUTH,
      { type: "mcp_oauth", refresh: { token_endpoint: "https://a.b" } },
      /`auth\.refresh\.token_endpoint` cannot be changed/,
    ],
    [
      "the kind",
      BEARER,
      { type: "environment_variable", secret_value: "canary-x" },
      /`auth\.type` must be "static_bearer"/,
    ],
    [
      "an expiry to the past",
      OAUTH,
      { type: "mcp_oauth", expires_at: "2020-01-01T00:00:00Z" },
      /`auth\.expires_at` must be in the future/,
    ],
    [
      "a refresh where there is none",
      { auth: { type: "mcp_oauth", mcp_server_url: "https://a.b", access_token: "canary-a" } },
      { type: "mcp_oauth", refresh: { refresh_token: "canary-x" } },
      /`auth\.refresh` cannot be added/,
    ],
    [
      "a secret of a public client",
      { auth: { ...OAUTH.auth, refresh: { ...OAUTH.auth.refresh, token_endpoint_auth: { type: "none" } } } },
      {
        type: "mcp_oauth",
        refresh: { token_endpoint_auth: { type: "client_secret_basic", client_secret: "canary-x" } },
      },
      /`auth\.refresh\.token_endpoint_auth` cannot be set/,
    ],
  ])("cannot change %s", async (_, params, auth, text) => {
    const made = await create(params);
    const before = it.file();
    const error = await refused(update(made, { auth }));
    expect([error.status, error.apiMessage]).toEqual([400, expect.stringMatching(text)]);
    expect(it.file()).toBe(before);
    expect(await it.vaults.credentials.retrieve(made.id, { vault_id: made.vault_id })).toEqual(made);
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
  expect(answers.length).toBeGreaterThan(15);
  expect(everything.records).toContain("STRIPE_KEY");
  for (const [where, text] of Object.entries(everything)) expect(text.includes("canary-"), where).toBe(false);
});
