/** How a request is written: attempts to have one reader see another request than the next one does. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cleanUp } from "../mcp/testing/granted.ts";
import { CALL, MINE, raw, requestText, type World, world } from "./testing/world.ts";

let all: World;
beforeAll(async () => {
  all = await world();
});
beforeEach(() => all.forget());
afterAll(cleanUp);

/** A request that would reach the server if the one before it were read as shorter than it is. */
const hidden = () => requestText(all.broker, `/mcp/${MINE}`);

const head = (method: string, target: string, ...lines: string[]): string => {
  const { url, token } = all.broker;
  const first = [`${method} ${target} HTTP/1.1`, `host: ${new URL(url).host}`, `authorization: Bearer ${token}`];
  return `${[...first, "content-type: application/json", ...lines].join("\r\n")}\r\n\r\n`;
};

const targets = [`/mcp/${MINE}`, "/model/v1/messages", "/control/capabilities"];

async function refusedEverywhere(make: (target: string) => string | string[], status = 400): Promise<void> {
  for (const target of targets) {
    const answer = await raw(all.broker.url, make(target));
    expect([target, answer.status, answer.answers]).toEqual([target, status, 1]);
  }
  expect(all.arrived()).toBe(0);
}

describe("lengths", () => {
  test.each<[string, string[]]>([
    ["two lengths", ["content-length: 0", `content-length: ${300}`]],
    ["the same length twice", ["content-length: 2", "content-length: 2"]],
    ["a list of lengths", ["content-length: 2, 2"]],
    ["a length with a sign", ["content-length: +2"]],
    ["a negative length", ["content-length: -2"]],
    ["a length in hex", ["content-length: 0x2"]],
    ["a length and chunks", ["content-length: 2", "transfer-encoding: chunked"]],
    ["chunks and a length", ["transfer-encoding: chunked", "content-length: 2"]],
    ["chunks twice", ["transfer-encoding: chunked", "transfer-encoding: chunked"]],
    ["chunks that are none", ["transfer-encoding: xchunked"]],
    ["chunks in another coding", ["transfer-encoding: gzip, chunked"]],
    ["chunks, then nothing", ["transfer-encoding: chunked, identity"]],
    ["identity", ["transfer-encoding: identity"]],
    ["a space before the colon", ["transfer-encoding : chunked"]],
    ["a tab before the value's end", ["transfer-encoding: chunked\x0b"]],
    ["a length on a folded line", ["content-length:\r\n 2"]],
    ["an endless length", [`content-length: ${"9".repeat(40)}`]],
  ])("%s", (_name, lines) => refusedEverywhere((target) => `${head("POST", target, ...lines)}0\r\n\r\n${hidden()}`));

  test.each<[string, string]>([
    ["of no hex", "zz\r\nx\r\n0\r\n\r\n"],
    ["with bare line feeds", "2\n{}\n0\n\n"],
    ["longer than any memory", "ffffffffffffffffff\r\n{}"],
    ["of another length than said", "1\r\n{}\r\n0\r\n\r\n"],
  ])("a chunk %s", async (_name, chunks) => {
    for (const target of targets.slice(0, 2)) {
      const answer = await raw(all.broker.url, head("POST", target, "transfer-encoding: chunked") + chunks);
      expect(answer.status).toBe(400);
    }
    expect(all.arrived()).toBe(0);
  });

  test("a body where none belongs is not read as the next request", async () => {
    for (const method of ["GET", "DELETE"]) {
      const inner = hidden();
      const answer = await raw(all.broker.url, head(method, `/mcp/${MINE}`, `content-length: ${inner.length}`) + inner);
      expect([answer.status, answer.answers]).toEqual([400, 1]);
    }
    expect(all.arrived()).toBe(0);
  });
});

describe("lines", () => {
  test.each<[string, string]>([
    ["a folded line", "x-one: a\r\n b"],
    ["a bare line feed", "x-one: a\nx-two: b"],
    ["a bare carriage return", "x-one: a\rx-two: b"],
    ["a NUL in a value", "x-one: a\0b"],
    ["a NUL in a name", "x-o\0ne: a"],
    ["a space in a name", "x one: a"],
    ["no name", ": a"],
    ["no colon", "x-one"],
    ["a control character in a value", "mcp-name: a\x08b"],
    ["a delete in a value", "mcp-name: a\x7fb"],
  ])("%s", (_name, line) => refusedEverywhere((target) => head("POST", target, line)));

  test("a line that is continued before the first header", () =>
    refusedEverywhere(
      (target) => `POST ${target} HTTP/1.1\r\n x: y\r\n${head("POST", target).split("\r\n").slice(1).join("\r\n")}`,
    ));

  test("headers without end", async () => {
    const many = Array.from({ length: 400 }, (_, index) => `x-${index}: ${"a".repeat(50)}`);
    await refusedEverywhere((target) => head("POST", target, ...many), 431);
  });
});

describe("headers that may be there once", () => {
  test.each([
    "authorization: Bearer x",
    "host: evil.test",
    "content-type: text/plain",
    "x-api-key: a\r\nx-api-key: b",
    "mcp-session-id: a\r\nMcp-Session-Id: b",
    "mcp-method: ping\r\nmcp-method: tools/call",
    "last-event-id: 1\r\nlast-event-id: 2",
  ])("%j", (lines) => refusedEverywhere((target) => head("POST", target, "content-length: 0", lines)));
});

describe("headers that Connection names, and others of one connection", () => {
  test("do not pass, and cannot take away what the broker adds", async () => {
    const own = await world();
    const lines = [
      "connection: close, mcp-session-id, authorization, host, content-length, x-api-key",
      "mcp-session-id: smuggled",
      "keep-alive: timeout=99",
      "proxy-connection: keep-alive",
      "proxy-authorization: Bearer smuggled",
      "te: trailers",
      "trailer: authorization",
    ];
    const text = requestText(own.broker, `/mcp/${MINE}`, { method: "POST", body: CALL, headers: lines });
    expect((await raw(own.broker.url, text)).status).toBe(200);
    const model = requestText(own.broker, "/model/v1/models", { headers: lines });
    expect((await raw(own.broker.url, model)).status).toBe(200);
    for (const { headers } of [...own.mine.arrived, ...own.model.arrived]) {
      expect(JSON.stringify(headers)).not.toContain("smuggled");
      for (const name of ["te", "trailer", "proxy-connection", "keep-alive"]) expect(headers).not.toHaveProperty(name);
      expect(headers.connection).toBe("keep-alive");
    }
    expect(own.mine.arrived[0]?.headers.authorization).toMatch(/^Bearer mcp-canary/);
    expect(own.model.arrived[0]?.headers["x-api-key"]).toMatch(/^sk-ant-canary/);
  });
});

describe("versions of HTTP", () => {
  const to = (text: (target: string) => string, statuses: (number | null)[]) => async () => {
    for (const target of targets) {
      const answer = await raw(all.broker.url, text(target));
      expect(statuses).toContain(answer.status);
      expect(answer.answers).toBeLessThanOrEqual(1);
    }
    expect(all.arrived()).toBe(0);
  };
  const version =
    (name: string, ...lines: string[]) =>
    (target: string) =>
      head("GET", target, ...lines).replace("HTTP/1.1", name);

  test(
    "0.9",
    to((target) => `GET ${target}\r\n\r\n`, [400, 403]),
  );
  test("0.9 with headers", to(version("HTTP/0.9"), [400]));
  test("1.0", to(version("HTTP/1.0"), [400]));
  test("1.0 that stays open", to(version("HTTP/1.0", "connection: keep-alive"), [400]));
  test("1.2", to(version("HTTP/1.2"), [400]));
  test("2.0 in the words of 1.1", to(version("HTTP/2.0"), [400]));
  test(
    "the preface of 2",
    to(() => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", [400]),
  );
  test(
    "an upgrade to 2",
    to(
      (target) =>
        head("GET", target, "connection: upgrade, http2-settings", "upgrade: h2c", "http2-settings: AAMAAABk"),
      [400],
    ),
  );
  test(
    "an upgrade to a WebSocket",
    to(
      (target) =>
        head(
          "GET",
          target,
          "connection: upgrade",
          "upgrade: websocket",
          "sec-websocket-version: 13",
          "sec-websocket-key: x",
        ),
      [400],
    ),
  );
  test(
    "another protocol",
    to((target) => head("GET", target).replace("HTTP/1.1", "RTSP/1.0"), [400]),
  );
  test(
    "TLS",
    to(() => "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", [400]),
  );

  test("CONNECT of 1.0", async () => {
    const text = `CONNECT example.com:443 HTTP/1.0\r\nproxy-authorization: Bearer ${all.broker.token}\r\n\r\n`;
    expect((await raw(all.broker.url, text)).status).toBe(400);
    expect(all.arrived()).toBe(0);
  });
});

test("what stands behind a bad request is not read, also when good ones stand before it", async () => {
  const good = requestText(all.broker, `/mcp/${MINE}`, { method: "POST", body: CALL });
  const behind = requestText(all.broker, `/mcp/${MINE}`, { method: "DELETE" });
  for (const bad of [
    good.replace("content-length", "content-length: 0\r\ncontent-length"),
    good.replace("/1.1", "/1.0"),
  ]) {
    await raw(all.broker.url, good + good + bad + behind);
    expect(all.mine.arrived.map(({ method }) => method)).not.toContain("DELETE");
    expect(all.mine.arrived.length).toBeLessThanOrEqual(2);
    all.forget();
  }
});

test("a request that is never finished reaches nobody", async () => {
  const { url } = all.broker;
  const answer = await raw(url, head("POST", `/mcp/${MINE}`, "content-length: 100") + CALL.slice(0, 20));
  expect([answer.status, all.arrived()]).toEqual([null, 0]);
});
