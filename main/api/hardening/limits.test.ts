/** What is too large or too slow ends at a limit, and takes nothing from anybody else. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, startRig } from "../testing/rig.ts";
import { exchange, request } from "./testing/raw.ts";

let rig: Rig;
beforeAll(async () => {
  // Small, so that the limits are reached; that they are kept does not depend on how large they are.
  rig = await startRig({}, { headersTimeoutMs: 300, requestTimeoutMs: 600 });
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const head = (): Record<string, string> => ({ host: rig.host, authorization: `Bearer ${rig.token}` });
const statuses = async (bytes: string | readonly string[], pauseMs = 0): Promise<number[]> =>
  (await exchange(rig.url, bytes, pauseMs)).answers.map(({ status }) => status);
const drops = (text: string, count = 100): string[] => Array.from({ length: count }, () => text);

describe("too large", () => {
  test.each<[string, () => string, number]>([
    ["a URL", () => request(`GET /v1/agents?q=${"a".repeat(40_000)} HTTP/1.1`, head()), 431],
    ["a method", () => request(`${"G".repeat(40_000)} / HTTP/1.1`, head()), 400],
    ["a header's name", () => request("GET /v1/agents HTTP/1.1", { ...head(), ["x".repeat(40_000)]: "1" }), 431],
    ["a key", () => request("GET /v1/agents HTTP/1.1", { host: rig.host, "x-api-key": "k".repeat(40_000) }), 431],
    ["a cookie", () => request("GET /v1/agents HTTP/1.1", { ...head(), cookie: "c".repeat(40_000) }), 431],
    [
      "all headers together",
      () => request("GET /v1/agents HTTP/1.1", { ...head(), x: drops("y".repeat(100), 500) }),
      431,
    ],
    [
      "what a sign-in may announce",
      () =>
        request("POST /longhaul/v1/sign_in HTTP/1.1", {
          host: rig.host,
          "content-length": "4097",
          connection: "close",
        }),
      413,
    ],
    [
      "what a key's form may announce",
      () =>
        request("PUT /longhaul/v1/settings/model HTTP/1.1", {
          ...head(),
          "content-length": "999999",
          connection: "close",
        }),
      413,
    ],
  ])("%s is refused", async (_, bytes, status) => {
    expect(await statuses(bytes())).toEqual([status]);
  });

  test("chunks that add up to too much are refused when they do, not at their end", async () => {
    const piece = `400\r\n${" ".repeat(1024)}\r\n`;
    const headers = { host: rig.host, "transfer-encoding": "chunked", connection: "close" };
    const all = await statuses([request("POST /longhaul/v1/sign_in HTTP/1.1", headers), ...drops(piece, 5)]);
    expect(all).toEqual([413]);
  });
});

describe("too slow", () => {
  test.each<[string, () => string[]]>([
    ["nothing at all after the first byte", () => ["G"]],
    ["a request line that never ends", () => ["GET /v1/", ...drops("a")]],
    ["headers that never end", () => [`GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\n`, ...drops("x: y\r\n")]],
    ["a header's value that never ends", () => [`GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\nx: `, ...drops("y")]],
  ])("%s ends with 408", async (_, parts) => {
    expect(await statuses(parts(), 50)).toEqual([408]);
  });

  test.each<[string, () => string[]]>([
    [
      "a body of one byte now and then",
      () => [request("POST /v1/agents HTTP/1.1", { ...head(), "content-length": "5000" }), ...drops(" ")],
    ],
    ["a body that does not come", () => [request("POST /v1/agents HTTP/1.1", { ...head(), "content-length": "50" })]],
    [
      "a chunk that does not end",
      () => [
        request("POST /v1/agents HTTP/1.1", { ...head(), "transfer-encoding": "chunked" }),
        "fff\r\n",
        ...drops(" "),
      ],
    ],
    [
      "chunks that never end",
      () => [
        request("POST /v1/agents HTTP/1.1", { ...head(), "transfer-encoding": "chunked" }),
        ...drops("1\r\n \r\n"),
      ],
    ],
    [
      "an upload that does not come",
      () => [
        request("POST /v1/files HTTP/1.1", {
          ...head(),
          "content-type": "multipart/form-data; boundary=x",
          "content-length": "5000",
        }),
        "--x\r\n",
        ...drops(" "),
      ],
    ],
  ])("%s ends the request and the connection", async (_, parts) => {
    const all = await statuses(parts(), 50);
    expect(all).toHaveLength(1);
    expect([400, 408]).toContain(all[0]);
  });

  test("a stream whose request never ends is cut off, and nothing is written into the middle of it", async () => {
    const id = await rig.session();
    const headers = { ...head(), "content-length": "50" };
    const { bytes } = await exchange(rig.url, request(`GET /longhaul/v1/sessions/${id}/timeline HTTP/1.1`, headers));
    expect(bytes.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test("a hundred of them hold up nobody", async () => {
    const slow = Array.from({ length: 100 }, () =>
      statuses([`GET /v1/agents HTTP/1.1\r\nhost: ${rig.host}\r\n`, ...drops("x: y\r\n", 20)], 50),
    );
    await sleep(50);
    const answers = await Promise.all(Array.from({ length: 20 }, () => rig.request("/v1/agents")));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect((await Promise.all(slow)).flat()).toEqual(Array(100).fill(408));
  });
});
