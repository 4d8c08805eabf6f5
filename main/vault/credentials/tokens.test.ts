/** Tokens in use: when they are refreshed, how often, and what is said when there is none to be had. */
import { mkdirSync, mkdtempSync, rmdirSync, rmSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import type { SealRequest } from "../../contract/vaults/broker_api.ts";
import type { CredentialRef } from "../../contract/vaults/grants.ts";
import { Redactor } from "../redact.ts";
import { openSealedStore } from "../sealed/open_store.ts";
import { type FakeKeychain, fakeKeychain, keychainKeys } from "../sealed/testing/keys.ts";
import { Credentials } from "./credentials.ts";
import { type McpServer, sendJson, startMcpServer } from "./testing/mcp_server.ts";

const START = Date.parse("2030-01-01T00:00:00Z");
const HOUR = 3_600_000;

let server: McpServer;
let dir: string;
let keychain: FakeKeychain;
let now: number;
let credentials: Credentials;
let given: number;

beforeEach(async () => {
  server = await startMcpServer();
  dir = mkdtempSync(join(tmpdir(), "longhaul-tokens-"));
  keychain = fakeKeychain();
  now = START;
  given = 1;
  credentials = broker();
  // Rotation: each refresh token works once.
  server.token = ({ body }, response) => {
    if (new URLSearchParams(body).get("refresh_token") !== `canary-refresh-${given}`) return refuse(response);
    given += 1;
    sendJson(response, 200, tokens(given));
  };
});
afterEach(() => {
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const tokens = (number: number, over = {}) => ({
  access_token: `canary-access-${number}`,
  refresh_token: `canary-refresh-${number}`,
  token_type: "Bearer",
  expires_in: 3600,
  ...over,
});
const refuse = (response: ServerResponse) => sendJson(response, 400, { error: "invalid_grant" });
const refreshes = () => server.asked.filter(({ path }) => path === "/token").length;
/** In the way of the file's next state; reading goes on. Works for root, too. */
const blockDisk = () => mkdirSync(join(dir, "vault", "credentials.json.new"));
const freeDisk = () => rmdirSync(join(dir, "vault", "credentials.json.new"));
/** As after a restart, when nothing but the file is left. */
const broker = () =>
  new Credentials(
    openSealedStore(dir, { keychain: keychainKeys(keychain), passphrase: null }),
    new Redactor([]),
    () => now,
  );

/** Seals a credential whose access token expires an hour after the start. */
async function sealed(over: Partial<SealRequest> = {}): Promise<CredentialRef> {
  const ref = { vault_id: newId("vault"), credential_id: newId("credential"), secret_id: "a".repeat(32) };
  await credentials.seal({
    ...ref,
    from: null,
    auth: {
      type: "mcp_oauth",
      mcp_server_url: server.url,
      expires_at: new Date(START + HOUR).toISOString(),
      refresh: {
        client_id: "client",
        token_endpoint: server.token_endpoint,
        token_endpoint_auth: { type: "none" },
        resource: null,
        scope: null,
      },
    },
    secrets: { access_token: "canary-access-1", refresh_token: "canary-refresh-1" },
    ...over,
  });
  return { ...ref, secret_id: over.secret_id ?? ref.secret_id, issuer: server.url };
}
const token = (number: number) => ({ token: `canary-access-${number}` });

describe("ahead of the expiry", () => {
  test("a token is used as it is until shortly before it expires, then refreshed once", async () => {
    const ref = await sealed();
    now = START + HOUR - 31_000;
    expect(await credentials.bearer(ref)).toEqual(token(1));
    expect(refreshes()).toBe(0);
    now = START + HOUR - 29_000;
    expect(await Promise.all(Array.from({ length: 20 }, () => credentials.bearer(ref)))).toEqual(
      Array.from({ length: 20 }, () => token(2)),
    );
    expect(refreshes()).toBe(1);
    expect((await credentials.open(ref)).auth).toMatchObject({
      expires_at: new Date(START + 2 * HOUR - 29_000).toISOString(),
    });
    now += 1_000;
    expect(await broker().bearer(ref)).toEqual(token(2));
    expect(refreshes()).toBe(1);
  });

  test("a token that lives for seconds is not refreshed at every use", async () => {
    const ref = await sealed();
    server.token = (_, response) => sendJson(response, 200, tokens(2, { expires_in: 5 }));
    now = START + HOUR;
    expect(await credentials.bearer(ref)).toEqual(token(2));
    now += 3_900;
    expect(await credentials.bearer(ref)).toEqual(token(2));
    expect(refreshes()).toBe(1);
    now += 200;
    await credentials.bearer(ref);
    expect(refreshes()).toBe(2);
  });

  test("a server that is away costs nothing while the token lives, then it is said", async () => {
    const ref = await sealed();
    server.token = (_, response) => void response.destroy();
    now = START + HOUR - 10_000;
    expect(await credentials.bearer(ref)).toEqual(token(1));
    now = START + HOUR;
    await expect(credentials.bearer(ref)).rejects.toMatchObject({ code: "endpoint_unreachable" });
    for (const answer of [
      (response: ServerResponse) => sendJson(response, 503, { error: "invalid_grant" }),
      (response: ServerResponse) => sendJson(response, 429, { error: "invalid_client" }),
      (response: ServerResponse) => void response.writeHead(200).end("<html>log in to the hotel</html>"),
      (response: ServerResponse) => void response.writeHead(302, { location: "https://hotel.test" }).end(),
      (response: ServerResponse) => sendJson(response, 400, { error: "temporarily_unavailable" }),
    ]) {
      server.token = (_, response) => answer(response);
      await expect(credentials.bearer(ref)).rejects.toMatchObject({ code: "endpoint_unreachable" });
    }
    server.token = (_, response) => sendJson(response, 200, tokens(2));
    expect(await credentials.bearer(ref)).toEqual(token(2));
  });

  test("a refused refresh token: used while the token lives, then a person must sign in; asked once", async () => {
    const ref = await sealed();
    given = 99;
    now = START + HOUR - 10_000;
    for (let call = 0; call < 5; call++) expect(await credentials.bearer(ref)).toEqual(token(1));
    now = START + HOUR;
    for (let call = 0; call < 5; call++) {
      await expect(credentials.bearer(ref)).rejects.toMatchObject({ code: "sign_in_needed" });
      expect(await credentials.renewed(ref, "canary-access-1")).toBeNull();
    }
    expect(refreshes()).toBe(1);
    // A person who asks whether it works gets an answer of today.
    expect(await credentials.validate(ref)).toMatchObject({ status: "invalid", refresh: { status: "failed" } });
    expect(refreshes()).toBe(2);
  });

  test("without a refresh token, or a known expiry, the server decides", async () => {
    const { auth } = await credentials.open(await sealed());
    const without = await sealed({ auth: { ...auth, refresh: null } as typeof auth, secrets: { access_token: "old" } });
    now = START + 2 * HOUR;
    expect(await credentials.bearer(without)).toEqual({ token: "old" });
    expect(await credentials.renewed(without, "old")).toBeNull();
    const unknown = await sealed({ auth: { ...auth, expires_at: null } as typeof auth, secret_id: "b".repeat(32) });
    expect(await credentials.bearer(unknown)).toEqual(token(1));
    expect(refreshes()).toBe(0);
  });
});

describe("after a refusal", () => {
  test("all who hold the token share one refresh, and later ones are answered from the store", async () => {
    const ref = await sealed();
    const all = await Promise.all(Array.from({ length: 20 }, () => credentials.renewed(ref, "canary-access-1")));
    expect(new Set(all.map((one) => one?.token))).toEqual(new Set(["canary-access-2"]));
    expect(await credentials.renewed(ref, "canary-access-1")).toEqual(token(2));
    expect(await broker().renewed(ref, "canary-access-1")).toEqual(token(2));
    expect(refreshes()).toBe(1);
  });

  test("bearer, renewed and validate share it, too", async () => {
    const ref = await sealed();
    server.accepted.add("canary-access-2");
    now = START + HOUR;
    const [bearer, renewed, validated] = await Promise.all([
      credentials.bearer(ref),
      credentials.renewed(ref, "canary-access-1"),
      credentials.validate(ref),
    ]);
    expect([bearer, renewed]).toEqual([token(2), token(2)]);
    expect(validated).toMatchObject({ status: "valid" });
    expect(refreshes()).toBe(1);
  });

  test("an update of the credential meanwhile: both values end with the tokens, from one refresh", async () => {
    const ref = await sealed();
    const { auth } = await credentials.open(ref);
    const copy = { ...ref, secret_id: "b".repeat(32) };
    const usual = server.token;
    server.token = (asked, response) => {
      void credentials.seal({ ...copy, from: ref.secret_id, auth, secrets: {} }).then(() => usual(asked, response));
    };
    await credentials.renewed(ref, "canary-access-1");
    expect(await credentials.renewed(copy, "canary-access-1")).toEqual(token(2));
    expect(await credentials.renewed(ref, "canary-access-1")).toEqual(token(2));
    expect(refreshes()).toBe(1);
  });

  test("a value with other tokens gets a refresh of its own, after the one that is under way", async () => {
    const ref = await sealed();
    const { auth } = await credentials.open(ref);
    const other = { ...ref, secret_id: "b".repeat(32) };
    await credentials.seal({
      ...other,
      from: null,
      auth,
      secrets: { access_token: "other-access", refresh_token: "other-refresh" },
    });
    let running = 0;
    server.token = ({ body }, response) => {
      running += 1;
      expect(running).toBe(1);
      const mine = new URLSearchParams(body).get("refresh_token") === "other-refresh" ? 7 : 2;
      setTimeout(() => {
        running -= 1;
        sendJson(response, 200, tokens(mine));
      }, 20);
    };
    expect(
      await Promise.all([credentials.renewed(ref, "canary-access-1"), credentials.renewed(other, "other-access")]),
    ).toEqual([token(2), token(7)]);
    expect(refreshes()).toBe(2);
  });

  test("a token that was just given and is refused is not refreshed again at once", async () => {
    const ref = await sealed();
    await credentials.renewed(ref, "canary-access-1");
    expect(await credentials.renewed(ref, "canary-access-2")).toBeNull();
    expect(refreshes()).toBe(1);
    now += 11_000;
    expect(await credentials.renewed(ref, "canary-access-2")).toEqual(token(3));
  });

  test("a server that repeats the refused token gives nothing new", async () => {
    const ref = await sealed();
    server.token = (_, response) => sendJson(response, 200, tokens(1));
    expect(await credentials.renewed(ref, "canary-access-1")).toBeNull();
    expect(refreshes()).toBe(1);
  });

  test("the server is away: it is said, and the next try may work", async () => {
    const ref = await sealed();
    const usual = server.token;
    server.token = (_, response) => void response.destroy();
    await expect(credentials.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "endpoint_unreachable" });
    server.token = usual;
    expect(await credentials.renewed(ref, "canary-access-1")).toEqual(token(2));
  });
});

describe("what goes wrong between the server and the disk", () => {
  test("nothing can be written: the refresh token is not used up", async () => {
    const ref = await sealed();
    blockDisk();
    await expect(credentials.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "store_unwritable" });
    expect(refreshes()).toBe(0);
    now = START + HOUR - 10_000;
    expect(await credentials.bearer(ref)).toEqual(token(1));
    freeDisk();
    expect(await credentials.renewed(ref, "canary-access-1")).toEqual(token(2));
  });

  test("the disk fills up in between: nobody gets the new token before it is stored, and it is not lost", async () => {
    const ref = await sealed();
    const usual = server.token;
    server.token = (asked, response) => {
      blockDisk();
      usual(asked, response);
    };
    await expect(credentials.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "store_unwritable" });
    await expect(credentials.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "store_unwritable" });
    expect((await credentials.open(ref)).secrets.access_token).toBe("canary-access-1");
    freeDisk();
    expect(await credentials.renewed(ref, "canary-access-1")).toEqual(token(2));
    expect(refreshes()).toBe(1);
    expect(await broker().renewed(ref, "canary-access-1")).toEqual(token(2));
  });

  test("the broker dies in between: the used refresh token is refused, and a person must sign in", async () => {
    const ref = await sealed();
    const usual = server.token;
    server.token = (asked, response) => {
      blockDisk();
      usual(asked, response);
    };
    await expect(credentials.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "store_unwritable" });
    freeDisk();
    server.token = usual;
    expect(await broker().renewed(ref, "canary-access-1")).toBeNull();
  });

  test("the credential is removed in between: its tokens come back nowhere", async () => {
    const ref = await sealed();
    const usual = server.token;
    server.token = (asked, response) => {
      void credentials.purge([ref.secret_id]).then(() => usual(asked, response));
    };
    await expect(credentials.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "value_missing" });
    expect(await credentials.sealed()).toEqual([]);
  });

  test("the keychain is locked: nothing is opened, nothing is asked", async () => {
    const ref = await sealed();
    const restarted = broker();
    keychain.mode = "locked";
    await expect(restarted.bearer(ref)).rejects.toMatchObject({ code: "keychain_locked" });
    await expect(restarted.renewed(ref, "canary-access-1")).rejects.toMatchObject({ code: "keychain_locked" });
    expect(server.asked).toEqual([]);
    keychain.mode = "open";
    expect(await restarted.bearer(ref)).toEqual(token(1));
  });
});

describe("other credentials", () => {
  test("a static token is what it is; when it was replaced, the new one is given", async () => {
    const auth = { type: "static_bearer" as const, mcp_server_url: server.url };
    const ref = await sealed({ auth, secrets: { token: "canary-static" } });
    expect(await credentials.bearer(ref)).toEqual({ token: "canary-static" });
    expect(await credentials.renewed(ref, "canary-static")).toBeNull();
    expect(await credentials.renewed(ref, "canary-before")).toEqual({ token: "canary-static" });
  });

  test("the value of an environment variable is no token", async () => {
    const auth = {
      type: "environment_variable" as const,
      secret_name: "TOKEN",
      networking: { type: "unrestricted" as const },
      injection_location: { body: true, header: true },
    };
    const ref = { ...(await sealed({ auth, secrets: { secret_value: "canary-value" } })), issuer: "TOKEN" };
    await expect(credentials.bearer(ref)).rejects.toMatchObject({ status: 400 });
    await expect(credentials.renewed(ref, "x")).rejects.toMatchObject({ status: 400 });
  });

  test("a value without its token needs a sign-in, one of another server is not there", async () => {
    const ref = await sealed({ secrets: {} });
    await expect(credentials.bearer(ref)).rejects.toMatchObject({ code: "sign_in_needed" });
    expect(await credentials.renewed(ref, "x")).toBeNull();
    const foreign = { ...ref, issuer: "https://evil.test" };
    await expect(credentials.bearer(foreign)).rejects.toMatchObject({ code: "value_missing" });
    await expect(credentials.renewed(foreign, "x")).rejects.toMatchObject({ code: "value_missing" });
  });
});
