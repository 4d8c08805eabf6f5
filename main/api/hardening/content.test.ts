/** Bodies and paths that mean harm: forms of other sites, JSON that costs or poisons, ways out of the interface's folder. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Rig, startRig } from "../testing/rig.ts";
import { exchange, request } from "./testing/raw.ts";

let rig: Rig;
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-hardening-"));
  mkdirSync(join(folder, "built", "assets"), { recursive: true });
  mkdirSync(join(folder, "built-secret"));
  writeFileSync(join(folder, "built", "index.html"), "<html>");
  writeFileSync(join(folder, "built", "assets", "app.js"), "1");
  for (const place of ["secret.txt", "built-secret/secret.txt"]) writeFileSync(join(folder, place), "canary-outside");
  symlinkSync(folder, join(folder, "built", "assets", "up"));
  rig = await startRig({ rendererDir: join(folder, "built") }, { headersTimeoutMs: 1_000 });
});
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  expect((await rig.client.beta.agents.list()).data).toEqual([]);
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const key = (): Record<string, string> => ({ host: rig.host, authorization: `Bearer ${rig.token}` });

async function send(line: string, headers: Record<string, string>, body: string): Promise<[number, string]> {
  const whole = { ...headers, "content-length": String(Buffer.byteLength(body, "latin1")), connection: "close" };
  const { answers } = await exchange(rig.url, request(line, whole, body));
  expect(answers).toHaveLength(1);
  return [answers[0]?.status ?? 0, answers[0]?.body ?? ""];
}

describe("what a form of another site can send", () => {
  const FORMS = ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"];
  const json = JSON.stringify({ name: "hostile", model: "claude-opus-5-5" });

  test.each(FORMS)("%s with the browser's own marks is refused before it is read", async (type) => {
    for (const marks of [{ origin: "http://evil.example" }, { origin: "null" }, { "sec-fetch-site": "cross-site" }]) {
      const headers = { ...key(), "content-type": type, ...marks };
      expect((await send("POST /v1/agents HTTP/1.1", headers, json))[0]).toBe(403);
      expect((await send("POST /longhaul/v1/sign_in HTTP/1.1", headers, '{"code":"one-time"}'))[0]).toBe(403);
    }
  });

  test("none of them used up the code of a sign-in", () => {
    expect(rig.ports.redeemSignInCode("one-time")).toBe(true);
  });

  test.each(FORMS)("%s without the key, as from a browser that sends no marks, changes nothing", async (type) => {
    const headers = { host: rig.host, "content-type": type, cookie: `token=${rig.token}` };
    for (const [method, path] of [
      ["POST", "/v1/agents"],
      ["POST", "/v1/files"],
      ["PUT", "/longhaul/v1/settings/model"],
      ["DELETE", "/longhaul/v1/settings/model"],
      ["POST", "/longhaul/v1/vault/rotate"],
    ] as const) {
      expect((await send(`${method} ${path} HTTP/1.1`, headers, json))[0], path).toBe(401);
    }
  });

  test.each(["X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Host"])(
    "%s changes nothing about a request",
    async (name) => {
      const value = name.endsWith("Override")
        ? "DELETE"
        : name === "X-Forwarded-Host"
          ? "evil.example"
          : "/longhaul/v1/health";
      const [status] = await send("POST /longhaul/v1/nothing HTTP/1.1", { ...key(), [name]: value }, "{}");
      expect(status).toBe(404);
    },
  );
});

describe("JSON", () => {
  const nested = (open: string, close: string, depth: number): string => open.repeat(depth) + close.repeat(depth);

  test.each<[string, string]>([
    ["lists in lists", `{"name":${nested("[", "]", 20_000)}}`],
    ["objects in objects", `{"name":${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}}`],
    ["depth in a field that nobody knows", `{"name":"a","model":"m","x":${nested("[", "]", 5_000)}}`],
    ["depth in metadata", `{"name":"a","model":"m","metadata":{"k":${nested("[", "]", 5_000)}}}`],
    ["__proto__", '{"name":"a","model":"claude-opus-5-5","__proto__":{"admin":true}}'],
    ["__proto__ twice", '{"__proto__":{"name":"a"},"model":"claude-opus-5-5","__proto__":{"name":"b"}}'],
    ["__proto__ in escapes", '{"name":"a","model":"claude-opus-5-5","\\u005f\\u005fproto__":{"admin":true}}'],
    ["__proto__ deep inside", '{"name":"a","model":"claude-opus-5-5","metadata":{"a":{"__proto__":{"x":1}}}}'],
    ["constructor as an unknown field", '{"name":"a","model":"claude-opus-5-5","constructor":{"prototype":{"x":1}}}'],
    ["a number beyond all numbers", '{"name":1e999,"model":"m"}'],
    ["NaN", '{"name":NaN,"model":"m"}'],
    ["a comment", '{"name":"a"/*,*/,"model":"m"}'],
    ["single quotes", "{'name':'a','model':'m'}"],
    ["two values", '{"name":"a","model":"claude-opus-5-5"}{"name":"b","model":"claude-opus-5-5"}'],
    ["a byte order mark in the middle", '{"name":"a",\xef\xbb\xbf"model":"m"}'],
    ["UTF-16", Buffer.from('{"name":"a","model":"claude-opus-5-5"}', "utf16le").toString("latin1")],
    ["an overlong slash", '{"name":"a","model":"m","system":"\xc0\xaf"}'],
    ["a NUL between values", '{"name":"a",\0"model":"claude-opus-5-5"}'],
  ])("%s is refused with an envelope", async (_, body) => {
    const [status, text] = await send(
      "POST /v1/agents HTTP/1.1",
      { ...key(), "content-type": "application/json" },
      body,
    );
    expect([status, JSON.parse(text)]).toEqual([400, expect.objectContaining({ type: "error" })]);
    expect(({} as Record<string, unknown>)["admin"]).toBeUndefined();
  });

  test("a body that says it is compressed is not unpacked", async () => {
    const headers = { ...key(), "content-type": "application/json", "content-encoding": "gzip" };
    const bomb = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x02\x00";
    expect((await send("POST /v1/agents HTTP/1.1", headers, bomb))[0]).toBe(400);
  });
});

describe("ways out of the folder of the interface", () => {
  test.each([
    "/../secret.txt",
    "/assets/../../secret.txt",
    "/%2e%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%2fsecret.txt",
    "/assets/%2e%2e/%2e%2e/secret.txt",
    "/%252e%252e%252fsecret.txt",
    "/%c0%ae%c0%ae/secret.txt",
    "/%ef%bc%8e%ef%bc%8e/secret.txt",
    "/..\\secret.txt",
    "/..%5csecret.txt",
    "/..;/secret.txt",
    "/....//secret.txt",
    "/../built-secret/secret.txt",
    "/../built-secret%2fsecret.txt",
    "/assets/up/secret.txt",
    "/assets/up%2fsecret.txt",
    "//secret.txt",
    "/index.html%00.txt",
    "/index.html/..%2f..%2fsecret.txt",
    "/assets/app.js::$DATA",
    "/file:///etc/passwd",
    "/etc/passwd",
    "/%2fetc/passwd",
    "/proc/self/environ",
    "/~root/secret.txt",
    "/C:/Windows/win.ini",
    `/${"a/".repeat(8_000)}`,
    `/${"..%2f".repeat(3_000)}secret.txt`,
  ])("%s", async (path) => {
    const { answers, bytes } = await exchange(
      rig.url,
      request(`GET ${path} HTTP/1.1`, { host: rig.host, connection: "close" }),
    );
    expect(bytes).not.toMatch(/canary-outside|root:/);
    expect(answers).toHaveLength(1);
    expect([400, 404]).toContain(answers[0]?.status);
  });

  test("a whole URL as target leads out as little", async () => {
    const target = `http://${rig.host}/..%2fsecret.txt`;
    const { bytes } = await exchange(
      rig.url,
      request(`GET ${target} HTTP/1.1`, { host: rig.host, connection: "close" }),
    );
    expect(bytes).not.toContain("canary-outside");
  });
});
