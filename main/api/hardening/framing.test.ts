/** Where one request ends and the next begins is decided once: what two readers could read differently is refused. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Rig, startRig } from "../testing/rig.ts";
import { exchange, request } from "./testing/raw.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({}, { headersTimeoutMs: 1_000, requestTimeoutMs: 1_500 });
});
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  expect((await rig.client.beta.agents.list()).data).toEqual([]);
});
afterAll(() => rig[Symbol.asyncDispose]());

const BODY = JSON.stringify({ name: "hostile", model: "claude-opus-5-5" });
const head = (): Record<string, string> => ({ host: rig.host, authorization: `Bearer ${rig.token}` });
const statuses = async (bytes: string | readonly string[]): Promise<number[]> =>
  (await exchange(rig.url, bytes)).answers.map(({ status }) => status);

/** A request that makes an agent when it is taken for one. */
const smuggled = (): string =>
  request("POST /v1/agents HTTP/1.1", { ...head(), "content-length": String(BODY.length), connection: "close" }, BODY);
const last = (): string => request("GET /v1/agents HTTP/1.1", { ...head(), connection: "close" });

describe("lengths", () => {
  test.each<[string, Record<string, string | readonly string[]>]>([
    ["both a length and chunks", { "content-length": "6", "transfer-encoding": "chunked" }],
    ["two lengths", { "content-length": ["0", "60"] }],
    ["two equal lengths", { "content-length": ["0", "0"] }],
    ["a list of lengths", { "content-length": "0, 60" }],
    ["a signed length", { "content-length": "+0" }],
    ["a negative length", { "content-length": "-1" }],
    ["a hexadecimal length", { "content-length": "0x0" }],
    ["a length beyond all numbers", { "content-length": "99999999999999999999" }],
    ["an empty length", { "content-length": "" }],
    ["another coding last", { "transfer-encoding": "chunked, identity" }],
    ["an unknown coding", { "transfer-encoding": "xchunked" }],
    ["chunks twice in one line", { "transfer-encoding": "chunked, chunked" }],
    ["chunks in two lines", { "transfer-encoding": ["chunked", "chunked"] }],
    ["a coding with a NUL", { "transfer-encoding": "chunked\0" }],
    ["a coding with a vertical tab", { "transfer-encoding": "\x0bchunked" }],
    ["chunks behind another coding", { "transfer-encoding": "gzip, chunked" }],
  ])("%s: nothing after it is taken for a request", async (_, headers) => {
    const bytes = request("POST /v1/agents HTTP/1.1", { ...head(), ...headers }, `0\r\n\r\n${smuggled()}`);
    const all = await statuses(bytes);
    expect(all.filter((status) => status < 400)).toEqual([]);
    expect(all.length).toBeLessThanOrEqual(1);
  });

  test.each([
    ["a sign", "+5\r\nhello\r\n0\r\n\r\n"],
    ["a prefix", "0x5\r\nhello\r\n0\r\n\r\n"],
    ["a negative size", "-5\r\nhello\r\n0\r\n\r\n"],
    ["a size beyond all numbers", "fffffffffffffffff\r\nhello\r\n0\r\n\r\n"],
    ["a size that is none", "xyz\r\nhello\r\n0\r\n\r\n"],
    ["no size", "\r\nhello\r\n0\r\n\r\n"],
    ["a space before it", " 5\r\nhello\r\n0\r\n\r\n"],
    ["more than the size", "3\r\nhello\r\n0\r\n\r\n"],
    ["a line feed alone", "5\nhello\n0\n\n"],
    ["an extension without end", `5;${"x".repeat(40_000)}\r\nhello\r\n0\r\n\r\n`],
    ["trailers without end", `0\r\n${"x: y\r\n".repeat(10_000)}\r\n`],
  ])("a chunk with %s is refused", async (_, chunks) => {
    const bytes = request("POST /v1/agents HTTP/1.1", { ...head(), "transfer-encoding": "chunked" }, chunks);
    const all = await statuses([bytes, last()]);
    expect(all).toHaveLength(1);
    expect([400, 413, 431]).toContain(all[0]);
  });

  test("a trailer is no header", async () => {
    const chunks = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\nauthorization: Bearer ${rig.token}\r\n\r\n`;
    const headers = { host: rig.host, "transfer-encoding": "chunked", trailer: "authorization", connection: "close" };
    expect(await statuses(request("POST /v1/agents HTTP/1.1", headers, chunks))).toEqual([401]);
  });

  test("a body that was refused before it was read is not read as the next request", async () => {
    const body = smuggled().padEnd(5_000);
    const headers = { host: rig.host, "content-length": String(40_000_000), ...head() };
    const all = await statuses(request("POST /v1/agents HTTP/1.1", headers, body));
    expect(all[0]).toBe(413);
    expect(all.filter((status) => status < 400)).toEqual([]);
  });
});

describe("one connection, several requests", () => {
  test("a hostile one between two good ones is refused, and only that", async () => {
    const hostile = [
      request("GET /v1/agents HTTP/1.1", { ...head(), host: "evil.example" }),
      request("GET /v1/agents HTTP/1.1", { ...head(), origin: "http://evil.example" }),
      request("GET /v1/agents HTTP/1.1", { host: rig.host }),
    ];
    const good = request("GET /v1/agents HTTP/1.1", head());
    const bytes = [good, ...hostile.flatMap((each) => [each, good]), last()].join("");
    expect(await statuses(bytes)).toEqual([200, 403, 200, 403, 200, 401, 200, 200]);
  });

  test("a key that came with one request does not count for the next", async () => {
    const bytes = `${request("GET /v1/agents HTTP/1.1", head())}${request("GET /v1/agents HTTP/1.1", { host: rig.host, connection: "close" })}`;
    expect(await statuses(bytes)).toEqual([200, 401]);
  });

  test("what follows garbage is not answered", async () => {
    const all = await statuses(`${request("GET /v1/agents HTTP/1.1", head())}\0garbage\r\n\r\n${last()}`);
    // The first may be answered before the rest is looked at.
    expect(all.at(-1)).toBe(400);
    expect(all.length).toBeLessThanOrEqual(2);
  });
});

describe("lines", () => {
  test.each<[string, () => string]>([
    ["a folded header", () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key: x\r\n ${rig.token}\r\n\r\n`],
    [
      "a header folded by a tab",
      () => `GET /v1/agents HTTP/1.1\r\nhost:\r\n\t${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`,
    ],
    ["line feeds alone", () => `GET /v1/agents HTTP/1.1\nhost: ${rig.host}\nx-api-key: ${rig.token}\n\n`],
    [
      "a line feed alone between headers",
      () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\nx-api-key: ${rig.token}\r\n\r\n`,
    ],
    ["carriage returns alone", () => `GET /v1/agents HTTP/1.1\rhost: ${rig.host}\rx-api-key: ${rig.token}\r\r`],
    [
      "a carriage return in a value",
      () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx: a\rx-api-key: ${rig.token}\r\n\r\n`,
    ],
    ["a NUL in a value", () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\0\r\nx-api-key: ${rig.token}\r\n\r\n`],
    ["a NUL in a name", () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx-api\0-key: ${rig.token}\r\n\r\n`],
    ["a NUL in the target", () => `GET /v1/agents\0 HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`],
    [
      "a space before the colon",
      () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key : ${rig.token}\r\n\r\n`,
    ],
    [
      "a space before the first name",
      () => `GET /v1/agents HTTP/1.1\r\n host: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`,
    ],
    ["a line without a colon", () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key\r\n\r\n`],
    ["an empty name", () => `GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\n: ${rig.token}\r\n\r\n`],
    [
      "a space in the target",
      () => `GET /v1/agents x HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`,
    ],
    [
      "bytes over ASCII in the target",
      () => `GET /v1/agents/\xff HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`,
    ],
    ["HTTP/0.9", () => "GET /v1/agents\r\n"],
    ["the preface of HTTP/2", () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
    ["HTTP/2.0 in the line", () => `GET /v1/agents HTTP/2.0\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`],
    ["HTTP/1.9", () => `GET /v1/agents HTTP/1.9\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`],
    ["another protocol", () => `GET /v1/agents RTSP/1.0\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`],
    ["TLS", () => "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"],
    [
      "a method in small letters",
      () => `get /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`,
    ],
    ["a made-up method", () => `HACK /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx-api-key: ${rig.token}\r\n\r\n`],
  ])("%s: refused, and the connection ends", async (_, bytes) => {
    const { answers, bytes: came } = await exchange(rig.url, bytes());
    expect(answers.length).toBeLessThanOrEqual(1);
    for (const { status, body } of answers) {
      expect([400, 408]).toContain(status);
      expect(JSON.parse(body)).toMatchObject({ type: "error" });
    }
    expect(came).not.toContain(rig.token);
  });
});

describe("methods and protocols", () => {
  test.each(["TRACE", "TRACK", "DEBUG", "PROPFIND", "PURGE", "LINK"])(
    "%s is refused and echoes nothing",
    async (method) => {
      const { answers, bytes } = await exchange(
        rig.url,
        request(`${method} /v1/agents HTTP/1.1`, { ...head(), "x-canary": "echo-me", connection: "close" }),
      );
      expect(answers.every(({ status }) => status >= 400)).toBe(true);
      expect(bytes).not.toContain("echo-me");
    },
  );

  test.each<[string, () => string]>([
    ["another machine", () => "evil.example:443"],
    ["this server", () => rig.host],
    ["a path", () => "/v1/agents"],
  ])("CONNECT to %s opens no tunnel", async (_, target) => {
    const { answers } = await exchange(rig.url, [request(`CONNECT ${target()} HTTP/1.1`, head()), smuggled()]);
    expect(answers.filter(({ status }) => status < 400)).toEqual([]);
  });

  test.each(["websocket", "h2c", "TLS/1.0"])("an upgrade to %s does not change the protocol", async (protocol) => {
    const headers = {
      ...head(),
      connection: "Upgrade, HTTP2-Settings",
      upgrade: protocol,
      "http2-settings": "AAMAAABkAAQAAP__",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "sec-websocket-version": "13",
    };
    const { answers } = await exchange(rig.url, [request("GET /longhaul/v1/health HTTP/1.1", headers), last()]);
    expect(answers.map(({ status }) => status)).toEqual([400]);
  });

  test("an expectation that is none is refused; one that is met changes nothing", async () => {
    const odd = { ...head(), expect: "the-impossible", "content-length": String(BODY.length), connection: "close" };
    expect(await statuses(request("POST /v1/agents HTTP/1.1", odd, BODY))).toEqual([417]);
    const met = { host: rig.host, expect: "100-continue", "content-length": String(BODY.length), connection: "close" };
    expect((await statuses(request("POST /v1/agents HTTP/1.1", met, BODY))).at(-1)).toBe(401);
  });

  test.each([
    "*",
    "//evil.example/v1/agents",
    "/v1/../longhaul/v1/health",
    "/%76%31/agents",
    "/V1/agents",
    "/./v1/agents",
  ])("the target %s leads past no key", async (target) => {
    for (const method of ["GET", "OPTIONS"]) {
      const bytes = request(`${method} ${target} HTTP/1.1`, { host: rig.host, connection: "close" });
      const all = await statuses(bytes);
      expect(all.every((status) => status >= 400)).toBe(true);
    }
  });
});
