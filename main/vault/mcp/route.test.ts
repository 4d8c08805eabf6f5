import { afterEach, describe, expect, test } from "vitest";
import { fakeKeychain, keychainKeys } from "../sealed/testing/keys.ts";
import { errorOf, testBroker } from "../testing/broker_client.ts";
import {
  brokerWithStore,
  call,
  cleanUp,
  countingServer,
  dataDirectory,
  grant,
  granted,
  message,
  SERVER_ID,
  seal,
  sealToken,
  TOKEN,
  uses,
} from "./testing/granted.ts";

afterEach(cleanUp);

describe("what reaches the server", () => {
  test("the exact body, the transport's headers, the credential in the capability's place, and nothing else", async () => {
    const server = await countingServer();
    const { broker } = await granted(`${server.url}/srv/mcp?tenant=7`);
    const body = `{ "jsonrpc":"2.0", "id" : 1,\n "method":"tools/call", "params":{"x":"ü\\u00fc"} }`;
    const answer = await call(broker, body, {
      headers: {
        "mcp-session-id": "s-1",
        "mcp-protocol-version": "2025-11-25",
        "last-event-id": "e-9",
        "mcp-method": "tools/call",
        "mcp-name": "get_weather",
        "mcp-param-region": "eu",
        "x-api-key": "own",
        cookie: "a=b",
        referer: "http://x.test/",
        forwarded: "for=1.2.3.4",
        "x-forwarded-for": "1.2.3.4",
        "accept-encoding": "gzip",
        "x-something": "else",
      },
    });
    expect(answer.status).toBe(200);
    expect(server.arrived).toHaveLength(1);
    expect(server.arrived[0]).toMatchObject({ method: "POST", path: "/srv/mcp?tenant=7", body });
    const { headers } = server.arrived[0] as (typeof server.arrived)[0];
    expect(Object.keys(headers).sort()).toEqual(
      [
        ...["accept", "accept-encoding", "accept-language", "authorization", "connection", "content-length"],
        ...["content-type", "host", "last-event-id", "mcp-method", "mcp-name", "mcp-param-region"],
        ...["mcp-protocol-version", "mcp-session-id", "user-agent"],
      ].sort(),
    );
    expect(headers).toMatchObject({
      authorization: `Bearer ${TOKEN}`,
      host: `127.0.0.1:${server.port}`,
      "accept-encoding": "identity",
      "mcp-session-id": "s-1",
      "mcp-param-region": "eu",
    });
    expect(JSON.stringify(server.arrived)).not.toContain(broker.token);
  });

  test("GET and DELETE", async () => {
    const server = await countingServer();
    const { broker } = await granted(server.url);
    await call(broker, null);
    await call(broker, null, { method: "DELETE", headers: { "mcp-session-id": "s" } });
    expect(
      server.arrived.map(({ method, headers }) => [method, headers.authorization, headers["content-length"]]),
    ).toEqual([
      ["GET", `Bearer ${TOKEN}`, undefined],
      ["DELETE", `Bearer ${TOKEN}`, undefined],
    ]);
  });

  test("no credential at all where none is granted, and nothing is noted", async () => {
    const server = await countingServer();
    const { broker } = await granted(server.url, {}, null);
    expect((await call(broker)).status).toBe(200);
    expect(server.arrived[0]?.headers).not.toHaveProperty("authorization");
    await sealToken(broker, server.url);
    expect((await call(broker)).status).toBe(200);
    expect(server.arrived[1]?.headers).not.toHaveProperty("authorization");
  });

  test("the access token of an mcp_oauth credential, and none of its other values", async () => {
    const server = await countingServer();
    const broker = await brokerWithStore();
    const secrets = { access_token: "canary-access", refresh_token: "canary-refresh", client_secret: "canary-client" };
    const credential = await seal(broker, { type: "mcp_oauth", mcp_server_url: server.url, expires_at: null }, secrets);
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential }]);
    await call(broker);
    expect(server.arrived[0]?.headers.authorization).toBe("Bearer canary-access");
    expect(JSON.stringify(server.arrived)).not.toMatch(/canary-(refresh|client)/);
  });

  test("connections are used again, dropped on request, and not kept longer than servers keep theirs", async () => {
    const server = await countingServer();
    const { broker } = await granted(server.url);
    await (await call(broker)).text();
    await (await call(broker)).text();
    expect(server.connections).toBe(1);
    expect((await broker.control("POST", "drop_connections")).status).toBe(204);
    await (await call(broker)).text();
    expect(server.connections).toBe(2);
  });
});

describe("what comes back", () => {
  test("status, body, the transport's headers; no cookies, no marks of ours", async () => {
    const server = await countingServer((response) => {
      response.writeHead(404, {
        "mcp-session-id": "new",
        "retry-after": "7",
        "content-type": "application/json",
        "set-cookie": "a=b",
        "longhaul-refused": "capability",
        "access-control-allow-origin": "*",
        "clear-site-data": '"*"',
      });
      response.end('{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Session not found"}}');
    });
    const { broker } = await granted(server.url);
    const answer = await call(broker);
    expect(answer.status).toBe(404);
    expect(Object.fromEntries(answer.headers)).toMatchObject({ "mcp-session-id": "new", "retry-after": "7" });
    for (const name of ["set-cookie", "longhaul-refused", "access-control-allow-origin", "clear-site-data"]) {
      expect(answer.headers.has(name)).toBe(false);
    }
    expect(await answer.json()).toMatchObject({ error: { code: -32001 } });
  });

  test("202 and 204 have no body", async () => {
    const server = await countingServer((response) => response.writeHead(202).end());
    const { broker } = await granted(server.url);
    expect((await call(broker, message("notifications/initialized"))).status).toBe(202);
    server.answer = (response) => response.writeHead(204).end();
    expect((await call(broker, null, { method: "DELETE" })).status).toBe(204);
  });

  test("403 for want of a scope passes with its challenge", async () => {
    const challenge = 'Bearer error="insufficient_scope", scope="files:write"';
    const server = await countingServer((response) => response.writeHead(403, { "www-authenticate": challenge }).end());
    const { broker } = await granted(server.url);
    const answer = await call(broker);
    expect([answer.status, answer.headers.get("www-authenticate")]).toEqual([403, challenge]);
    expect(answer.headers.has("longhaul-refused")).toBe(false);
  });
});

describe("a server that refuses", () => {
  const unauthorized = () => countingServer((response) => response.writeHead(401).end("no"));

  test("the credential: a person must sign in, which is told from a lost capability", async () => {
    const server = await unauthorized();
    const { broker } = await granted(server.url);
    const answer = await call(broker);
    expect(answer.headers.get("longhaul-refused")).toBe("sign_in_needed");
    const error = await errorOf(answer);
    expect(error).toMatchObject({ status: 401, type: "authentication_error", code: "sign_in_needed" });
    expect(error.message).toContain("refused the session's credential");
    expect(await uses(broker)).toMatchObject([
      { route: "mcp", decision: "allowed", reason: "tools/list", host: `127.0.0.1:${server.port}`, count: 1 },
      { decision: "refused", reason: expect.stringMatching(/^tools\/list: .*refused the session's credential/) },
    ]);
  });

  test("that there is none", async () => {
    const server = await unauthorized();
    const { broker } = await granted(server.url, {}, null);
    const error = await errorOf(await call(broker));
    expect(error).toMatchObject({ status: 401, code: "sign_in_needed" });
    expect(error.message).toContain("have none for it");
    expect(server.arrived).toHaveLength(1);
  });
});

describe("nothing is sent", () => {
  test("to a server that was not granted, or before grants are known", async () => {
    const server = await countingServer();
    const broker = await brokerWithStore();
    expect(await errorOf(await call(broker))).toMatchObject({ status: 403, code: "grants_unknown" });
    await grant(broker, [{ id: "f".repeat(32), url: server.url, credential: null }]);
    const refused = await call(broker);
    expect(refused.headers.get("longhaul-refused")).toBe("not_granted");
    expect(server.connections).toBe(0);
  });

  test("when the credential was purged", async () => {
    const server = await countingServer();
    const { broker, credential } = await granted(server.url);
    const purged = await broker.control("POST", "credentials/purge", { secret_ids: [credential?.secret_id] });
    expect(purged.status).toBe(204);
    expect(await errorOf(await call(broker))).toMatchObject({ status: 404, code: "value_missing" });
    expect(server.connections).toBe(0);
    expect(await uses(broker)).toMatchObject([{ decision: "refused", reason: expect.stringContaining("not there") }]);
  });

  test("when the keychain is locked, and all is well when it is unlocked", async () => {
    const server = await countingServer();
    const fake = fakeKeychain();
    const keys = { keychain: keychainKeys(fake), passphrase: null };
    const directory = await dataDirectory();
    const first = await testBroker({}, { keys }, directory);
    const credential = await sealToken(first, server.url);
    await first.close();
    // A broker that was restarted has not read the key yet.
    fake.mode = "locked";
    const broker = await testBroker({}, { keys: { ...keys, keychain: keychainKeys(fake) } }, directory);
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential }]);
    const answer = await call(broker);
    expect(answer.headers.get("longhaul-refused")).toBe("keychain_locked");
    expect(await errorOf(answer)).toMatchObject({ status: 503, type: "api_error", code: "keychain_locked" });
    expect(server.connections).toBe(0);
    fake.unlock();
    expect((await call(broker)).status).toBe(200);
  });

  test("with a credential that is bound to another server", async () => {
    const server = await countingServer();
    const other = await countingServer();
    const broker = await brokerWithStore();
    const credential = await sealToken(broker, server.url);
    await grant(broker, [{ id: SERVER_ID, url: other.url, credential }]);
    expect(await errorOf(await call(broker))).toMatchObject({ status: 403, code: "not_granted" });
    // Under the other server's name it cannot be opened.
    await grant(broker, [{ id: SERVER_ID, url: other.url, credential: { ...credential, issuer: other.url } }]);
    expect(await errorOf(await call(broker))).toMatchObject({ status: 404, code: "value_missing" });
    expect([server.connections, other.connections]).toEqual([0, 0]);
  });

  test("when the token could not stand in a header", async () => {
    const server = await countingServer();
    const { broker } = await granted(server.url, {}, "two\r\nlines: 1");
    expect(await errorOf(await call(broker))).toMatchObject({ status: 400, code: "endpoint_misconfigured" });
    expect(server.connections).toBe(0);
    expect(broker.logs.join("")).not.toContain("lines: 1");
  });

  test.each([
    ["text", { headers: { "content-type": "text/plain" } }, 415],
    ["a compressed message", { headers: { "content-encoding": "gzip" } }, 415],
    ["PUT", { method: "PUT" }, 405],
    ["a DELETE with a body", { method: "DELETE" }, 400],
  ])("as %s", async (_name, init, status) => {
    const server = await countingServer();
    const { broker } = await granted(server.url);
    expect((await call(broker, message("ping"), init)).status).toBe(status);
    expect(server.connections).toBe(0);
  });
});
