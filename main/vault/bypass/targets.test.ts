/** What may be asked for: attempts to reach another path, another route or another method with a good token. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { cleanUp } from "../mcp/testing/granted.ts";
import { CALL, MINE, OTHERS, raw, requestText, type World, world } from "./testing/world.ts";

let all: World;
beforeAll(async () => {
  all = await world();
});
beforeEach(() => all.forget());
afterAll(cleanUp);

const origin = () => all.broker.url;

describe("paths that are nearly a server's", () => {
  test.each<[string, () => string]>([
    ["up and over to the control routes", () => "/mcp/../control/status"],
    ["the same with encoded dots", () => "/mcp/%2e%2e/control/status"],
    ["the same with an encoded slash", () => "/mcp/..%2fcontrol%2fstatus"],
    ["the same with backslashes", () => "/mcp/..\\control\\status"],
    ["two slashes in front", () => `//mcp/${MINE}`],
    ["two slashes within", () => `/mcp//${MINE}`],
    ["a slash at the end", () => `/mcp/${MINE}/`],
    ["something behind the id", () => `/mcp/${MINE}/admin`],
    ["up and down again", () => `/mcp/${OTHERS}/../${MINE}`],
    ["a dot", () => `/mcp/./${MINE}`],
    ["a query", () => `/mcp/${MINE}?url=http://evil.test/`],
    ["an empty query", () => `/mcp/${MINE}?`],
    ["a fragment", () => `/mcp/${MINE}#x`],
    ["a path parameter", () => `/mcp/${MINE};x=1`],
    ["the id in capitals", () => `/mcp/${MINE.toUpperCase()}`],
    ["the route in capitals", () => `/MCP/${MINE}`],
    ["one digit of the id encoded", () => `/mcp/%61${MINE.slice(1)}`],
    ["the slash encoded", () => `/mcp%2f${MINE}`],
    ["an encoded NUL", () => `/mcp/${MINE}%00`],
    ["an encoded line break", () => `/mcp/${MINE}%0d%0a`],
    ["a digit too few", () => `/mcp/${MINE.slice(1)}`],
    ["a digit too many", () => `/mcp/${MINE}a`],
    ["two ids", () => `/mcp/${MINE},${OTHERS}`],
    ["a name of every object", () => "/mcp/__proto__"],
    ["a route that every object has", () => "/constructor/x"],
    ["a URL", () => "/mcp/http://evil.test/"],
    ["no id", () => "/mcp/"],
    ["no slash", () => "/mcp"],
    ["the whole address", () => `${origin()}/mcp/${MINE}`],
    ["the whole address of another host", () => `http://evil.test/mcp/${MINE}`],
    ["an address with a user", () => `http://user@${new URL(origin()).host}/mcp/${MINE}`],
    ["another scheme", () => `ws://${new URL(origin()).host}/mcp/${MINE}`],
    ["a star", () => "*"],
  ])("%s", async (_name, target) => {
    for (const method of ["GET", "POST"]) {
      const body = method === "POST" ? CALL : "";
      const answer = await raw(origin(), requestText(all.broker, target(), { method, body }));
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(answer.answers).toBe(1);
    }
    expect(all.arrived()).toBe(0);
  });

  test.each<[string, string]>([
    ["a NUL", "\0"],
    ["a tab", "\t"],
    ["a carriage return", "\r"],
    ["a byte that is no ASCII", "\xe9"],
    ["a letter in UTF-8", "\xc3\xa9"],
    ["a digit of full width", "\xef\xbc\x91"],
    ["a space", " "],
  ])("%s in the path", async (_name, byte) => {
    for (const target of [`/mcp/${MINE}${byte}x`, `/mcp${byte}/${MINE}`, `/model/v1/mo${byte}dels`]) {
      expect((await raw(origin(), requestText(all.broker, target))).status).toBe(400);
    }
    expect(all.arrived()).toBe(0);
  });

  test("an endless path", async () => {
    expect((await raw(origin(), requestText(all.broker, `/mcp/${MINE}/${"a".repeat(3_000)}`))).status).toBe(400);
    expect((await raw(origin(), requestText(all.broker, `/mcp/${MINE}/${"a".repeat(20_000)}`))).status).toBe(431);
    expect(all.arrived()).toBe(0);
  });
});

describe("paths of the model endpoint that are not documented for this route", () => {
  test.each([
    ["GET", "/model/v1/files"],
    ["GET", "/model/v1/organizations/me"],
    ["POST", "/model/v1/messages/batches"],
    ["POST", "/model/v1/messages/"],
    ["POST", "/model//v1/messages"],
    ["POST", "/model/v1/messages/../files"],
    ["POST", "/model/v1/messages%2f..%2ffiles"],
    ["POST", "/model/v1/%2e%2e/admin"],
    ["POST", "/model/../model/v1/messages"],
    ["POST", "/model/V1/messages"],
    ["POST", "/model/v1/messages;x"],
    ["GET", "/model/v1/messages"],
    ["DELETE", "/model/v1/models/x"],
    ["GET", "/model/v1/models/"],
    ["GET", "/model/v1/models/.."],
    ["GET", "/model/v1/models/%2e%2e"],
    ["GET", "/model/v1/models/..%2ffiles"],
    ["GET", "/model/v1/models/a%2f..%2f..%2ffiles"],
    ["GET", "/model/v1/models/x%00"],
    ["GET", "/model/v1/models/x%0d%0ay"],
    ["GET", "/model/v1/models/%c0%ae%c0%ae"],
    ["GET", "/model/v1/models/x%"],
    ["GET", "/model/http://evil.test/"],
    ["GET", "/model/@evil.test/v1/models"],
    ["GET", "/model"],
    ["GET", "/git/github.com/x"],
    ["GET", "/egress/example.com"],
  ])("%s %s", async (method, target) => {
    const body = method === "POST" ? "{}" : "";
    const answer = await raw(origin(), requestText(all.broker, target, { method, body }));
    expect([answer.status, answer.answers]).toEqual([404, 1]);
    expect(all.arrived()).toBe(0);
  });
});

describe("methods", () => {
  const targets = [`/mcp/${MINE}`, "/model/v1/messages", "/control/status"];

  test.each(["TRACE", "TRACK", "OPTIONS", "PUT", "PATCH", "HEAD", "PROPFIND", "SOURCE", "get", "PURGE"])(
    "%s",
    async (method) => {
      for (const target of targets) {
        const answer = await raw(origin(), requestText(all.broker, target, { method }));
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.status).toBeLessThan(500);
        // A TRACE that is answered repeats the request with its token.
        expect(answer.text).not.toContain(all.broker.token);
      }
      expect(all.arrived()).toBe(0);
    },
  );

  test("CONNECT to a route", async () => {
    const proxy = `proxy-authorization: Bearer ${all.broker.token}`;
    for (const target of [...targets, `${origin()}/mcp/${MINE}`, new URL(origin()).host, "control:443"]) {
      const answer = await raw(origin(), requestText(all.broker, target, { method: "CONNECT", headers: [proxy] }));
      expect(answer.status).toBeGreaterThanOrEqual(400);
    }
    expect(all.arrived()).toBe(0);
  });

  test("a method in a header or a query counts for nothing", async () => {
    const headers = [
      "x-http-method-override: DELETE",
      "x-original-url: /control/status",
      "x-rewrite-url: /control/status",
    ];
    const answer = await raw(origin(), requestText(all.broker, "/model/v1/models?_method=POST", { headers }));
    expect(answer.status).toBe(200);
    expect(all.model.arrived.map(({ method }) => method)).toEqual(["GET"]);
  });
});
