/** Who a request says it is for and from: only this server's own names are answered, each said once. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Rig, startRig } from "../testing/rig.ts";
import { exchange, request } from "./testing/raw.ts";

let rig: Rig;
let port: string;
beforeAll(async () => {
  rig = await startRig({}, { headersTimeoutMs: 1_000 });
  port = new URL(rig.url).port;
});
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  // None of them did what it asked for.
  expect((await rig.client.beta.agents.list()).data).toEqual([]);
});
afterAll(() => rig[Symbol.asyncDispose]());

type Headers = Record<string, string | readonly string[]>;
const BODY = JSON.stringify({ name: "hostile", model: "claude-opus-5-5" });

/** A request that would make an agent, but for its headers. */
async function post(headers: Headers, target = "/v1/agents"): Promise<number[]> {
  const whole = {
    authorization: `Bearer ${rig.token}`,
    "content-type": "application/json",
    "content-length": String(BODY.length),
    connection: "close",
    ...headers,
  };
  const { answers } = await exchange(rig.url, request(`POST ${target} HTTP/1.1`, whole, BODY));
  for (const { body } of answers) {
    if (body !== "") expect(JSON.parse(body)).toMatchObject({ type: "error" });
  }
  return answers.map(({ status }) => status);
}

describe("Host", () => {
  test("the right one is let in: what follows fails for its own reason", async () => {
    const { answers } = await exchange(
      rig.url,
      request("GET /v1/agents HTTP/1.1", { host: rig.host, "x-api-key": rig.token, connection: "close" }),
    );
    expect(answers.map(({ status }) => status)).toEqual([200]);
  });

  test.each<[string, () => string | readonly string[], number]>([
    ["of another machine", () => "evil.example", 403],
    ["of another machine, with our port", () => `evil.example:${port}`, 403],
    ["ours as a label of another name", () => `127.0.0.1.evil.example:${port}`, 403],
    ["another name that resolves here", () => `localtest.me:${port}`, 403],
    ["ours without the port", () => "127.0.0.1", 403],
    ["ours with another port", () => "127.0.0.1:80", 403],
    ["ours with the port in another form", () => `127.0.0.1:0${port}`, 403],
    ["ours with a second port", () => `127.0.0.1:${port}:80`, 400],
    ["with a user's name", () => `evil@127.0.0.1:${port}`, 400],
    ["another one behind our name as user's", () => `127.0.0.1:${port}@evil.example`, 400],
    ["with a dot at its end", () => `localhost.:${port}`, 403],
    ["as IPv6", () => `[::1]:${port}`, 403],
    ["as IPv6 that maps ours", () => `[::ffff:7f00:1]:${port}`, 403],
    ["as one number", () => `2130706433:${port}`, 403],
    ["in octal", () => `0177.0.0.1:${port}`, 403],
    ["shortened", () => `127.1:${port}`, 403],
    ["every address", () => `0.0.0.0:${port}`, 403],
    ["with a path", () => `127.0.0.1:${port}/x`, 400],
    ["with bytes over ASCII", () => `lo\xe7alhost:${port}`, 400],
    ["empty", () => "", 400],
    ["twice, the right one first", () => [rig.host, "evil.example"], 400],
    ["twice, the right one last", () => ["evil.example", rig.host], 400],
    ["twice the right one", () => [rig.host, rig.host], 400],
    ["a list", () => `${rig.host}, evil.example`, 400],
  ])("%s is refused", async (_, host, status) => {
    expect(await post({ host: host() })).toEqual([status]);
  });

  test("none at all, in 1.1 and in 1.0, is refused", async () => {
    const rest = { "x-api-key": rig.token, connection: "close" };
    for (const version of ["1.1", "1.0"]) {
      const { answers } = await exchange(rig.url, request(`GET /v1/agents HTTP/${version}`, rest));
      expect(answers.map(({ status }) => status)).toEqual([400]);
    }
  });

  test.each<[string, () => string]>([
    ["another host", () => `http://evil.example/v1/agents`],
    ["another port", () => `http://127.0.0.1:1/v1/agents`],
    ["another scheme", () => `https://${rig.host}/v1/agents`],
    ["a user's name", () => `http://evil@${rig.host}/v1/agents`],
    ["a file", () => "file:///etc/passwd"],
    ["no URL", () => "http://"],
  ])("a whole URL as target with %s is refused, whatever Host says", async (_, target) => {
    const statuses = await post({ host: rig.host }, target());
    expect(statuses).toHaveLength(1);
    expect([400, 403]).toContain(statuses[0]);
  });
});

describe("Origin and Sec-Fetch-Site", () => {
  test.each<[string, () => string | readonly string[], number]>([
    ["a site", () => "http://evil.example", 403],
    ["a site with our port", () => `http://evil.example:${port}`, 403],
    ["a page of a sandboxed frame", () => "null", 403],
    ["a page of a file", () => "file://", 403],
    ["an extension", () => "chrome-extension://abcdefgh", 403],
    ["another port of this machine", () => "http://127.0.0.1:3000", 403],
    ["our host by another scheme", () => `https://${rig.host}`, 403],
    ["our host in other letters", () => `HTTP://${rig.host}`, 403],
    ["our host with a slash", () => `http://${rig.host}/`, 403],
    ["our host as a label of another", () => `http://${rig.host}.evil.example`, 403],
    ["our host as a user's name", () => `http://${rig.host}@evil.example`, 403],
    ["the app's own, longer", () => "app://longhaul.evil", 403],
    ["the app's own, in other letters", () => "APP://longhaul", 403],
    ["empty", () => "", 403],
    ["two, ours first", () => [rig.url, "http://evil.example"], 400],
    ["two, ours last", () => ["http://evil.example", rig.url], 400],
    ["a list", () => `${rig.url} http://evil.example`, 403],
  ])("%s is refused", async (_, origin, status) => {
    expect(await post({ host: rig.host, origin: origin() })).toEqual([status]);
  });

  test.each([
    ["cross-site", 403],
    ["same-site", 403],
    ["CROSS-SITE", 403],
    ["whatever", 403],
    ["", 403],
  ])("Sec-Fetch-Site %j is refused", async (site, status) => {
    expect(await post({ host: rig.host, "sec-fetch-site": site })).toEqual([status]);
  });

  test("Sec-Fetch-Site twice is refused", async () => {
    expect(await post({ host: rig.host, "sec-fetch-site": ["none", "cross-site"] })).toEqual([400]);
    expect(await post({ host: rig.host, "sec-fetch-site": ["cross-site", "same-origin"] })).toEqual([400]);
  });

  test("an Origin behind so many headers that a parser would drop it is seen", async () => {
    const many = Array.from({ length: 3_000 }, () => "");
    expect(await post({ host: rig.host, h: many, origin: "http://evil.example" })).toEqual([431]);
  });

  test("a preflight of another origin gets no permission", async () => {
    const headers = {
      host: rig.host,
      origin: "http://evil.example",
      "access-control-request-method": "PUT",
      "access-control-request-headers": "authorization",
      "access-control-request-private-network": "true",
      connection: "close",
    };
    const { answers } = await exchange(rig.url, request("OPTIONS /longhaul/v1/settings/model HTTP/1.1", headers));
    expect(answers.map(({ status }) => status)).toEqual([403]);
    expect(Object.keys(answers[0]?.headers ?? {}).filter((name) => name.startsWith("access-control"))).toEqual([]);
  });
});
