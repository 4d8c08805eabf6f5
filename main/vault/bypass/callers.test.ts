/** Who may use a route: attempts with a token that is another's, none, or no longer one. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import { call, cleanUp, grant, message } from "../mcp/testing/granted.ts";
import { errorOf, LAUNCH_SECRET, testBroker } from "../testing/broker_client.ts";
import { CALL, MINE, OTHERS, raw, requestText, type World, world } from "./testing/world.ts";

let all: World;
beforeAll(async () => {
  all = await world();
});
beforeEach(() => all.forget());
afterAll(cleanUp);

type Headers = Record<string, string>;

/** One request to each route with these headers in the place of the session's token: what each answers. */
async function everywhere(headers: Headers, id = MINE): Promise<(number | null)[]> {
  const { broker } = all;
  const json = { "content-type": "application/json" };
  const ask = (path: string, body: string) =>
    fetch(`${broker.url}${path}`, { method: "POST", body, headers: { ...json, ...headers } });
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const proxied = lines.map((line) => line.replace(/^authorization/i, "proxy-authorization"));
  const connect = ["CONNECT example.com:443 HTTP/1.1", "host: example.com:443", ...proxied, "", ""].join("\r\n");
  return [
    (await ask("/model/v1/messages", '{"model":"m","max_tokens":1,"messages":[]}')).status,
    (await ask(`/mcp/${id}`, CALL)).status,
    (await raw(broker.url, connect)).status,
  ];
}

test("the proof: with its token a session reaches all three routes", async () => {
  const own = await world();
  const { broker } = own;
  expect((await broker.model("/v1/models")).status).toBe(200);
  expect((await raw(broker.url, requestText(broker, `/mcp/${MINE}`, { method: "POST", body: CALL }))).status).toBe(200);
  const authorization = `proxy-authorization: Bearer ${broker.token}`;
  expect((await raw(broker.url, `CONNECT example.com:443 HTTP/1.1\r\n${authorization}\r\n\r\n`)).status).toBe(200);
  expect([own.model.arrived.length, own.mine.arrived.length, own.internet.connections]).toEqual([1, 1, 1]);
});

describe("a token that is none", () => {
  test.each<[string, (token: string) => Headers]>([
    ["no token at all", () => ({})],
    ["an empty one", () => ({ authorization: "Bearer " })],
    ["a made-up one", () => ({ authorization: `Bearer ${"0".repeat(64)}` })],
    [
      "one with its last digit changed",
      (token) => ({ authorization: `Bearer ${token.slice(0, -1)}${token.endsWith("0") ? 1 : 0}` }),
    ],
    ["one digit short", (token) => ({ authorization: `Bearer ${token.slice(1)}` })],
    ["one in capitals", (token) => ({ authorization: `Bearer ${token.toUpperCase()}x` })],
    ["the launch secret", () => ({ authorization: `Bearer ${LAUNCH_SECRET}` })],
    ["the session's id", () => ({ authorization: `Bearer ${all.broker.sessionId}` })],
    ["the right one under Basic", (token) => ({ authorization: `Basic ${token}` })],
    ["the right one without a scheme", (token) => ({ authorization: token })],
    ["the right one with words behind it", (token) => ({ authorization: `Bearer ${token} x` })],
    ["the right one in a cookie", (token) => ({ cookie: `authorization=Bearer ${token}` })],
  ])("%s", async (_name, headers) => {
    expect(await everywhere(headers(all.broker.token))).toEqual([401, 401, 407]);
    expect(all.arrived()).toBe(0);
  });

  test("the right one in the address", async () => {
    const { url, token } = all.broker;
    for (const target of [`/mcp/${MINE}?token=${token}`, `/model/v1/models?authorization=Bearer%20${token}`]) {
      const host = `host: ${new URL(url).host}`;
      expect((await raw(url, `GET ${target} HTTP/1.1\r\n${host}\r\n\r\n`)).status).toBe(401);
    }
    expect(all.arrived()).toBe(0);
  });

  test("the right one where only a proxy looks, and the other way round", async () => {
    const { url, token } = all.broker;
    const host = `host: ${new URL(url).host}`;
    const misplaced = `GET /mcp/${MINE} HTTP/1.1\r\n${host}\r\nproxy-authorization: Bearer ${token}\r\n\r\n`;
    expect((await raw(url, misplaced)).status).toBe(401);
    const connect = `CONNECT example.com:443 HTTP/1.1\r\nauthorization: Bearer ${token}\r\n\r\n`;
    expect((await raw(url, connect)).status).toBe(407);
    expect(all.arrived()).toBe(0);
  });

  test("a token of an earlier broker on the same machine", async () => {
    const earlier = await testBroker({});
    const { token } = earlier;
    await earlier.close();
    expect(await everywhere({ authorization: `Bearer ${token}` })).toEqual([401, 401, 407]);
    expect(all.arrived()).toBe(0);
  });

  test("two tokens of which the first is right", async () => {
    const { url, token } = all.broker;
    const second = [`authorization: Bearer ${all.other.token}`];
    expect((await raw(url, requestText(all.broker, `/mcp/${MINE}`, { headers: second }))).status).toBe(400);
    const both = `proxy-authorization: Bearer ${token}\r\nproxy-authorization: Bearer ${all.other.token}`;
    expect((await raw(url, `CONNECT example.com:443 HTTP/1.1\r\n${both}\r\n\r\n`)).status).toBe(400);
    expect(all.arrived()).toBe(0);
  });

  test("a token that comes after the body, as a trailer", async () => {
    const { url, token } = all.broker;
    const head = ["POST /model/v1/messages HTTP/1.1", `host: ${new URL(url).host}`, "transfer-encoding: chunked"];
    const body = `2\r\n{}\r\n0\r\nauthorization: Bearer ${token}\r\n\r\n`;
    expect((await raw(url, `${head.join("\r\n")}\r\n\r\n${body}`)).status).toBe(401);
    expect(all.arrived()).toBe(0);
  });
});

describe("another session", () => {
  test("its server cannot be called, whoever asks", async () => {
    const { broker, other } = all;
    const mine = { authorization: `Bearer ${broker.token}` };
    const foreign = await fetch(`${broker.url}/mcp/${OTHERS}`, { headers: mine });
    expect(await errorOf(foreign)).toMatchObject({ status: 403, code: "not_granted" });
    const back = await fetch(`${broker.url}/mcp/${MINE}`, { headers: { authorization: `Bearer ${other.token}` } });
    expect(await errorOf(back)).toMatchObject({ status: 403, code: "not_granted" });
    expect(all.arrived()).toBe(0);
  });

  test("an MCP session's id opens nothing: the server is the one of the grant", async () => {
    const { broker } = all;
    const headers = { authorization: `Bearer ${broker.token}`, "mcp-session-id": "of-the-other", "mcp-name": OTHERS };
    expect((await fetch(`${broker.url}/mcp/${OTHERS}`, { headers })).status).toBe(403);
    expect(all.arrived()).toBe(0);
  });

  test("one that has no grants has nothing, also after those of others were set", async () => {
    const { broker } = all;
    const session_id = newId("session");
    const { token } = (await (await broker.control("POST", "capabilities", { session_id })).json()) as {
      token: string;
    };
    const answer = await fetch(`${broker.url}/mcp/${MINE}`, { headers: { authorization: `Bearer ${token}` } });
    expect(await errorOf(answer)).toMatchObject({ status: 403, code: "grants_unknown" });
    expect(
      (await raw(broker.url, `CONNECT example.com:443 HTTP/1.1\r\nproxy-authorization: Bearer ${token}\r\n\r\n`))
        .status,
    ).toBe(403);
    expect(all.arrived()).toBe(0);
  });
});

test("an archived session: its token, a new token without new grants, and a token of before", async () => {
  const own = await world();
  const { broker } = own;
  const before = broker.token;
  await broker.control("DELETE", `capabilities/${broker.sessionId}`);
  const renewed = await broker.control("POST", "capabilities", { session_id: broker.sessionId });
  const { token } = (await renewed.json()) as { token: string };
  const ask = (with_: string) => raw(broker.url, requestText({ url: broker.url, token: with_ }, `/mcp/${MINE}`));
  expect((await ask(before)).status).toBe(401);
  const answer = await ask(token);
  expect([answer.status, answer.text]).toEqual([403, expect.stringContaining("grants_unknown")]);
  const proxy = `CONNECT example.com:443 HTTP/1.1\r\nproxy-authorization: Bearer ${token}\r\n\r\n`;
  expect((await raw(broker.url, proxy)).text).toContain("policy_unknown");
  expect(own.arrived()).toBe(0);
});

test("a server that was taken from the session, while it was being called", async () => {
  const own = await world();
  const { broker, mine } = own;
  mine.answer = () => undefined;
  const answer = raw(broker.url, requestText(broker, `/mcp/${MINE}`, { method: "POST", body: message("tools/call") }));
  await expect.poll(() => mine.arrived.length).toBe(1);
  await grant(broker, []);
  expect(await answer).toEqual({ status: null, answers: 0, text: "" });
  expect((await call(broker)).status).toBe(403);
  expect(mine.arrived).toHaveLength(1);
});

describe("a session's token on the control routes", () => {
  test.each([
    ["POST", "capabilities"],
    ["POST", "grants"],
    ["POST", "egress"],
    ["GET", "audit?written=0"],
    ["GET", "credentials"],
    ["PUT", "credentials"],
    ["POST", "credentials/purge"],
    ["POST", "drop_connections"],
    ["GET", "status"],
  ])("%s %s", async (method, path) => {
    const body = method === "GET" ? undefined : { session_id: all.broker.sessionId, grants: {} };
    expect((await all.broker.control(method, path, body, all.broker.token)).status).toBe(401);
  });
});

describe("a page in a browser", () => {
  const headers = (list: Headers) => ({ authorization: `Bearer ${all.broker.token}`, ...list });

  test.each<[string, Headers]>([
    ["an Origin", { origin: "https://evil.test" }],
    ["the broker's own Origin", { origin: "http://127.0.0.1" }],
    ["an opaque Origin", { origin: "null" }],
    ["Sec-Fetch-Site alone, as for an image", { "sec-fetch-site": "cross-site" }],
    ["a request from the address bar", { "sec-fetch-site": "none" }],
  ])("%s", async (_name, list) => {
    const { url } = all.broker;
    const lines = Object.entries(headers(list)).map(([name, value]) => `${name}: ${value}`);
    for (const path of ["/model/v1/models", `/mcp/${MINE}`, "/control/status"]) {
      const host = `host: ${new URL(url).host}`;
      expect((await raw(url, `GET ${path} HTTP/1.1\r\n${[host, ...lines].join("\r\n")}\r\n\r\n`)).status).toBe(403);
    }
    const proxied = lines.map((line) => line.replace(/^authorization/, "proxy-authorization")).join("\r\n");
    expect((await raw(url, `CONNECT example.com:443 HTTP/1.1\r\n${proxied}\r\n\r\n`)).status).toBe(407);
    expect(all.arrived()).toBe(0);
  });

  test("a name that was rebound to this machine, or another port's", async () => {
    const { url, token } = all.broker;
    for (const host of [
      "evil.test",
      `evil.test:${new URL(url).port}`,
      "127.0.0.1",
      `localhost:${new URL(url).port}`,
      "",
    ]) {
      for (const path of ["/model/v1/models", `/mcp/${MINE}`, "/control/status"]) {
        const text = `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nauthorization: Bearer ${token}\r\n\r\n`;
        expect((await raw(url, text)).status).toBe(403);
      }
    }
    expect(all.arrived()).toBe(0);
  });

  test("a preflight gets no leave to send anything", async () => {
    const preflight = ["origin: https://evil.test", "access-control-request-method: POST"];
    const answer = await raw(
      all.broker.url,
      requestText(all.broker, `/mcp/${MINE}`, { method: "OPTIONS", headers: preflight }),
    );
    expect(answer.status).toBe(403);
    expect(answer.text.toLowerCase()).not.toContain("access-control-allow");
    expect(all.arrived()).toBe(0);
  });
});
