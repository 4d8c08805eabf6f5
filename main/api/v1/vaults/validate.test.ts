/** `mcp_oauth_validate` through the official SDK, the real broker, and MCP servers of every temper. */
import { mkdirSync, rmSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type McpServer, sendJson, startMcpServer } from "../../../vault/credentials/testing/mcp_server.ts";
import { refusalOf } from "../../testing/rig.ts";
import { BEARER, startVaultRig, VARIABLE, type VaultRig } from "./testing/vault_rig.ts";

let it: VaultRig;
const servers: McpServer[] = [];
/** Every validation of this file, for the canaries at the end. */
const answers: string[] = [];
beforeAll(async () => {
  it = await startVaultRig();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});
afterAll(async () => {
  expect(it.rig.failures).toEqual([]);
  await it[Symbol.asyncDispose]();
});

async function server(transport?: "json" | "stream" | "sse"): Promise<McpServer> {
  const started = await startMcpServer(transport);
  servers.push(started);
  return started;
}

type EndpointAuth = { type: "none" } | { type: "client_secret_basic" | "client_secret_post"; client_secret: string };

/** A credential for the server; with a refresh token when the token endpoint's authentication is named. */
async function credential(mcp: { url: string; token_endpoint: string }, token_endpoint_auth?: EndpointAuth) {
  const refresh =
    token_endpoint_auth === undefined
      ? undefined
      : {
          client_id: "client 1",
          refresh_token: "canary-refresh-1",
          token_endpoint: mcp.token_endpoint,
          token_endpoint_auth,
          scope: "read write",
          resource: "https://res.example",
        };
  const auth = { type: "mcp_oauth", mcp_server_url: mcp.url, access_token: "canary-access-1" } as const;
  return it.vaults.credentials.create(await it.vault(), {
    auth: { ...auth, expires_at: "2099-01-01T00:00:00Z", ...(refresh === undefined ? {} : { refresh }) },
  });
}

async function validate({ id, vault_id }: { id: string; vault_id: string }) {
  const validation = await it.vaults.credentials.mcpOAuthValidate(id, { vault_id });
  answers.push(JSON.stringify(validation));
  return validation;
}

describe("the server", () => {
  test.each(["json", "stream", "sse"] as const)("that takes the token makes it valid (%s)", async (transport) => {
    const mcp = await server(transport);
    mcp.accepted.add("canary-access-1");
    const made = await credential(mcp);
    expect(await validate(made)).toEqual({
      type: "vault_credential_validation",
      credential_id: made.id,
      vault_id: made.vault_id,
      status: "valid",
      has_refresh_token: false,
      mcp_probe: null,
      refresh: null,
      validated_at: expect.any(String),
    });
    if (transport === "sse") return;
    const methods = mcp.asked.map(({ method, body }) => (body === "" ? method : JSON.parse(body).method));
    expect(methods).toEqual(["initialize", "notifications/initialized", "tools/list", "DELETE"]);
    expect(mcp.asked[2]?.headers).toMatchObject({
      authorization: "Bearer canary-access-1",
      "mcp-session-id": "session-1",
      "mcp-protocol-version": "2025-03-26",
    });
  });

  test("that refuses it makes it invalid, with its answer scrubbed", async () => {
    const mcp = await server();
    const validation = await validate(await credential(mcp));
    expect(validation).toMatchObject({
      status: "invalid",
      mcp_probe: {
        method: "initialize",
        http_response: { status_code: 401, content_type: "application/json", body_truncated: false },
      },
      refresh: { status: "no_refresh_token", http_response: null },
    });
    expect(validation.mcp_probe?.http_response?.body).toMatch(/"unauthorized".*\*{15}/);
  });

  test("that wants a credential only for its tools is asked for them", async () => {
    const mcp = await server();
    mcp.answer = ({ body }, response) => {
      const { id, method } = JSON.parse(body) as { id?: number; method: string };
      if (method === "tools/list") sendJson(response, 403, { error: "scope" });
      else sendJson(response, id === undefined ? 202 : 200, { id, result: {} });
    };
    expect(await validate(await credential(mcp))).toMatchObject({
      status: "invalid",
      mcp_probe: { method: "tools/list", http_response: { status_code: 403 } },
      refresh: null,
    });
  });

  test.each<[string, number]>([
    ["is broken", 503],
    ["redirects, which is not followed", 302],
    ["is no MCP server", 404],
  ])("that %s says nothing about the credential", async (_, status) => {
    const mcp = await server();
    mcp.answer = (__, response) => void response.writeHead(status, { location: "https://evil.example/" }).end("no");
    expect(await validate(await credential(mcp))).toMatchObject({
      status: "unknown",
      mcp_probe: { method: "initialize", http_response: { status_code: status, body: "no", content_type: "" } },
    });
  });

  test("that cannot be reached, or breaks off, leaves it unknown without an answer to show", async () => {
    const mcp = await server();
    const made = await credential(mcp);
    mcp.answer = (_, response) => void response.destroy();
    expect(await validate(made)).toMatchObject({ status: "unknown", mcp_probe: { http_response: null } });
    mcp.close();
    expect(await validate(made)).toMatchObject({
      status: "unknown",
      mcp_probe: { method: "initialize", http_response: null },
    });
  });

  test("that answers endlessly, or compressed with the token inside, is cut short and shows nothing of it", async () => {
    const mcp = await server();
    mcp.answer = (_, response) => {
      response.writeHead(401, { "content-type": "text/plain" });
      response.end(`${"x".repeat(2_040)}canary-access-1${"y".repeat(200_000)}`);
    };
    const long = await validate(await credential(mcp));
    expect(long.mcp_probe?.http_response).toMatchObject({ body_truncated: true, status_code: 401 });
    expect(long.mcp_probe?.http_response?.body).toBe(`${"x".repeat(2_040)}${"*".repeat(8)}`);
    mcp.answer = (_, response) =>
      void response.writeHead(401, { "content-encoding": "gzip" }).end(gzipSync("canary-access-1"));
    const packed = await validate(await credential(mcp));
    expect(packed.mcp_probe?.http_response).toMatchObject({ body: "", body_truncated: true });
  });
});

describe("a refresh", () => {
  const renewed = { access_token: "canary-access-2", refresh_token: "canary-refresh-2", expires_in: 3600 };

  test.each<[EndpointAuth, Record<string, string | undefined>]>([
    [{ type: "none" }, { client_id: "client 1" }],
    [
      { type: "client_secret_post", client_secret: "canary-client:1" },
      { client_id: "client 1", client_secret: "canary-client:1" },
    ],
    [
      { type: "client_secret_basic", client_secret: "canary-client:1" },
      { client_id: undefined, client_secret: undefined },
    ],
  ])("after a 401 renews the tokens, seals them and tries them ($type)", async (auth, fields) => {
    const mcp = await server();
    mcp.accepted.add("canary-access-2");
    mcp.token = (_, response) => sendJson(response, 200, renewed);
    const made = await credential(mcp, auth);
    const before = it.file();
    const validation = await validate(made);
    expect(validation).toMatchObject({
      status: "valid",
      has_refresh_token: true,
      mcp_probe: null,
      refresh: { status: "succeeded", http_response: null },
    });
    const asked = mcp.asked.find(({ path }) => path === "/token");
    const form = Object.fromEntries(new URLSearchParams(asked?.body));
    expect(form).toMatchObject({
      grant_type: "refresh_token",
      refresh_token: "canary-refresh-1",
      scope: "read write",
      resource: "https://res.example",
    });
    for (const [name, value] of Object.entries(fields)) expect(form[name]).toBe(value);
    const basic = Buffer.from(String(asked?.headers.authorization).replace("Basic ", ""), "base64").toString();
    if (auth.type === "client_secret_basic") expect(basic).toBe("client+1:canary-client%3A1");
    else expect(asked?.headers.authorization).toBeUndefined();

    // Kept: the next validation needs no refresh, and the expiry is the new one.
    expect(it.file()).not.toBe(before);
    const { auth: shown } = await it.vaults.credentials.retrieve(made.id, { vault_id: made.vault_id });
    const expires = Date.parse((shown as { expires_at: string }).expires_at);
    expect(Math.abs(expires - Date.now() - 3_600_000)).toBeLessThan(60_000);
    mcp.token = (_, response) => sendJson(response, 500, {});
    expect(await validate(made)).toMatchObject({ status: "valid", refresh: null });
    // And the new refresh token is the one that is used from now on.
    mcp.accepted.clear();
    await validate(made);
    expect(mcp.asked.findLast(({ path }) => path === "/token")?.body).toContain("canary-refresh-2");
  });

  test("that a form answers counts, and one refresh token is kept when no new one comes", async () => {
    const mcp = await server();
    mcp.accepted.add("canary-access-3");
    mcp.token = (_, response) =>
      void response
        .writeHead(200, { "content-type": "application/x-www-form-urlencoded" })
        .end("access_token=canary-access-3&token_type=bearer");
    const made = await credential(mcp, { type: "none" });
    expect(await validate(made)).toMatchObject({ status: "valid" });
    const { auth } = await it.vaults.credentials.retrieve(made.id, { vault_id: made.vault_id });
    expect(auth).toMatchObject({ expires_at: null });
    mcp.accepted.clear();
    await validate(made);
    expect(mcp.asked.findLast(({ path }) => path === "/token")?.body).toContain("canary-refresh-1");
  });

  test("that the token endpoint refuses makes it invalid, with its answer scrubbed", async () => {
    const mcp = await server();
    mcp.token = ({ headers }, response) =>
      sendJson(response, 400, {
        error: "invalid_grant",
        refresh_token: "canary-unknown-new",
        you_sent: headers.authorization,
      });
    const auth = { type: "client_secret_basic", client_secret: "canary-client-1" } as const;
    const validation = await validate(await credential(mcp, auth));
    expect(validation).toMatchObject({
      status: "invalid",
      mcp_probe: { method: "initialize", http_response: { status_code: 401 } },
      refresh: { status: "failed", http_response: { status_code: 400 } },
    });
    const body = validation.refresh?.http_response?.body ?? "";
    expect(body).toContain("invalid_grant");
    expect(body).not.toContain(Buffer.from("client+1:canary-client-1").toString("base64"));
  });

  test.each<[string, number, unknown, string]>([
    ["an error with status 200", 200, { error: "bad_refresh_token" }, "invalid"],
    ["an access token that no header carries", 200, { access_token: "a b" }, "invalid"],
    ["an endpoint that is busy", 429, {}, "unknown"],
    ["an endpoint that is broken", 502, {}, "unknown"],
  ])("with %s failed", async (_, status, body, verdict) => {
    const mcp = await server();
    mcp.token = (__, response) => sendJson(response, status, body);
    const made = await credential(mcp, { type: "none" });
    expect(await validate(made)).toMatchObject({
      status: verdict,
      refresh: { status: "failed", http_response: { status_code: status } },
    });
    // What was there before still counts.
    mcp.accepted.add("canary-access-1");
    expect(await validate(made)).toMatchObject({ status: "valid" });
  });

  test("whose endpoint is away says so, and nothing about the credential", async () => {
    const mcp = await server();
    const gone = await server();
    gone.close();
    const made = await credential({ url: mcp.url, token_endpoint: gone.token_endpoint }, { type: "none" });
    expect(await validate(made)).toMatchObject({
      status: "unknown",
      refresh: { status: "connect_error", http_response: null },
    });
  });

  test("that succeeds with a token the server refuses too is invalid, and the token is kept all the same", async () => {
    const mcp = await server();
    mcp.token = (_, response) => sendJson(response, 200, renewed);
    const made = await credential(mcp, { type: "none" });
    expect(await validate(made)).toMatchObject({ status: "invalid", refresh: { status: "succeeded" } });
    mcp.accepted.add("canary-access-2");
    expect(await validate(made)).toMatchObject({ status: "valid", refresh: null });
  });

  test("runs once, however many ask at the same time", async () => {
    const mcp = await server();
    mcp.accepted.add("canary-access-2");
    mcp.token = (_, response) => void setTimeout(() => sendJson(response, 200, renewed), 50);
    const made = await credential(mcp, { type: "none" });
    const all = await Promise.all(Array.from({ length: 5 }, () => validate(made)));
    expect(all.map(({ status }) => status)).toEqual(["valid", "valid", "valid", "valid", "valid"]);
    expect(mcp.asked.filter(({ path }) => path === "/token")).toHaveLength(1);
  });

  test("does not begin where the new tokens could not be kept", async () => {
    const mcp = await server();
    mcp.token = (_, response) => sendJson(response, 200, renewed);
    const made = await credential(mcp, { type: "none" });
    mkdirSync(`${it.path}.new/in the way`, { recursive: true });
    const error = await refusalOf(validate(made));
    expect([error.status, error.errorCode]).toEqual([500, "store_unwritable"]);
    expect(mcp.asked.map(({ path }) => path)).toEqual(["/mcp"]);
    rmSync(`${it.path}.new`, { recursive: true });
    mcp.accepted.add("canary-access-2");
    expect(await validate(made)).toMatchObject({ status: "valid" });
  });

  test("that crosses an update of the credential loses neither: the rotated refresh token, and the person's access token", async () => {
    const mcp = await server();
    const made = await credential(mcp, { type: "none" });
    const vault_id = made.vault_id;
    mcp.token = async (_, response) => {
      await it.vaults.credentials.update(made.id, {
        vault_id,
        auth: { type: "mcp_oauth", access_token: "canary-access-9" },
      });
      sendJson(response, 200, renewed);
    };
    await validate(made);
    mcp.asked.length = 0;
    mcp.token = (_, response) => sendJson(response, 400, {});
    await validate(made);
    expect(mcp.asked[0]?.headers.authorization).toBe("Bearer canary-access-9");
    expect(mcp.asked.at(-1)?.body).toContain("canary-refresh-2");
  });

  test("that crosses a deletion keeps nothing", async () => {
    const mcp = await server();
    const made = await credential(mcp, { type: "none" });
    const before = it.sealed().length;
    mcp.token = async (_, response) => {
      await it.vaults.credentials.delete(made.id, { vault_id: made.vault_id });
      sendJson(response, 200, renewed);
    };
    await validate(made);
    expect(it.sealed()).toHaveLength(before - 1);
  });
});

test("only OAuth credentials are validated, and one without a value is invalid without a probe", async () => {
  for (const params of [BEARER, VARIABLE]) {
    const made = await it.vaults.credentials.create(await it.vault(), params);
    const error = await refusalOf(validate(made));
    expect([error.status, error.apiMessage]).toEqual([400, expect.stringContaining(`"${params.auth.type}"`)]);
  }
  const mcp = await server();
  const made = await credential(mcp);
  await it.rig.ports.vault.purge(it.sealed());
  expect(await validate(made)).toMatchObject({ status: "invalid", mcp_probe: null, refresh: null });
  expect(mcp.asked).toEqual([]);
});

test("no validation and no line of the log holds any of the values, old or new", () => {
  expect(answers.length).toBeGreaterThan(25);
  expect(answers.join("\n")).not.toContain("canary-");
  expect(it.broker.logs.join("\n")).not.toContain("canary-");
});
