/** The model endpoint that a person enters: what is sent where, with which key, and what happens when that is out of reach. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelEndpoint } from "../../contract/process.ts";
import type { ModelSettings, ModelTest } from "../../contract/vaults/settings.ts";
import { cheapPassphrase, type FakeKeychain, fakeKeychain, keychainKeys } from "../sealed/testing/keys.ts";
import { errorOf, stopBrokers, type TestBroker, testBroker } from "../testing/broker_client.ts";

const KEY = "sk-ant-canary-vault-7f3a";
const ask = { model: "claude-sonnet-5-5", max_tokens: 100, messages: [{ role: "user", content: "hi" }] };

let folder: string;
let fake: FakeKeychain;
const servers: Server[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-model-"));
  fake = fakeKeychain();
});
afterEach(async () => {
  await stopBrokers();
  for (const server of servers.splice(0)) server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** An endpoint that notes with which key it was asked for what, and lets nobody in without the right one. */
async function endpoint(
  key: string | null = KEY,
  answer?: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const seen: { key: unknown; path: string | undefined; port: number | undefined }[] = [];
  const server = createServer((request, response) => {
    const given = request.headers["x-api-key"] ?? request.headers.authorization?.replace("Bearer ", "");
    seen.push({ key: given, path: request.url, port: request.socket.remotePort });
    request.resume();
    request.on("end", () => {
      if (key !== null && given !== key) {
        const error = { type: "authentication_error", message: `invalid key ${String(given)}` };
        return void response.writeHead(401).end(JSON.stringify({ type: "error", error }));
      }
      if (answer !== undefined) return answer(request, response);
      response.end(JSON.stringify({ data: [], echo: given }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const start = (model: ModelEndpoint = {}, keepKeysMs?: number): Promise<TestBroker> =>
  testBroker(
    model,
    {
      keys: { keychain: keychainKeys(fake, 50), passphrase: null },
      ...(keepKeysMs === undefined ? {} : { keepKeysMs }),
    },
    folder,
  );

const settings = async (response: Response) => (await response.json()) as ModelSettings;
const put = (broker: TestBroker, body: unknown) => broker.control("PUT", "model", body);
const tested = async (broker: TestBroker) => (await (await broker.control("POST", "model/test")).json()) as ModelTest;
const healthOf = async (broker: TestBroker) =>
  (
    (await (await broker.control("GET", "status")).json()) as {
      model: { source: string; state: string; summary: string };
    }
  ).model;
const file = (): string => readFileSync(join(folder, "vault", "credentials.json"), "utf8");

describe("entering a key", () => {
  test("it is used at once, survives a restart, and leaves the broker in no other way", async () => {
    const { url, seen } = await endpoint();
    const broker = await start();
    expect((await broker.model("/v1/messages", ask)).headers.get("longhaul-endpoint")).toBe("demo");
    const answer = await put(broker, { base_url: `${url}/`, api_key: KEY });
    const shown = await answer.text();
    expect(JSON.parse(shown)).toMatchObject({
      source: "vault",
      base_url: url,
      host: new URL(url).host,
      credential: "api_key",
      vault: { base_url: url, credential: "api_key" },
    });
    const response = await broker.model("/v1/messages", ask);
    expect([response.status, response.headers.get("longhaul-endpoint")]).toEqual([200, "vault"]);
    // The endpoint sent the key back: it is masked like one of the environment.
    const body = await response.text();
    expect(body).toContain("*".repeat(KEY.length));
    const next = await start();
    expect((await next.model("/v1/messages", ask)).status).toBe(200);
    expect(seen.map(({ key }) => key)).toEqual([KEY, KEY]);
    const everything = [
      shown,
      body,
      file(),
      ...broker.logs,
      ...next.logs,
      await (await next.control("GET", "model")).text(),
    ];
    everything.push(await (await next.control("GET", "credentials")).text());
    for (const text of everything) expect(text).not.toContain(KEY);
    for (const text of everything) expect(text).not.toContain(KEY.slice(-4));
  });

  test("the environment counts more; the vault's is kept for when it says nothing", async () => {
    const { url, seen } = await endpoint("sk-environment");
    const broker = await start({ base_url: url, api_key: "sk-environment" });
    const entered = await settings(await put(broker, { base_url: "http://127.0.0.1:9", api_key: KEY }));
    expect(entered).toMatchObject({ source: "environment", base_url: url, vault: { base_url: "http://127.0.0.1:9" } });
    expect((await broker.model("/v1/messages", ask)).status).toBe(200);
    expect(seen.map(({ key }) => key)).toEqual(["sk-environment"]);
    expect(await healthOf(broker)).toMatchObject({ source: "environment", state: "ok" });
    expect(await settings(await (await start()).control("GET", "model"))).toMatchObject({ source: "vault" });
  });

  test("another one takes its place: no connection of the former is used again, none of its keys goes to the new one", async () => {
    const [first, second] = [await endpoint(KEY), await endpoint("tok-second")];
    const broker = await start();
    await put(broker, { base_url: first.url, api_key: KEY });
    await (await broker.model("/v1/messages", ask)).text();
    await put(broker, { base_url: second.url, auth_token: "tok-second" });
    await (await broker.model("/v1/messages", ask)).text();
    expect(second.seen.map(({ key }) => key)).toEqual(["tok-second"]);
    await put(broker, { base_url: first.url, api_key: KEY });
    await (await broker.model("/v1/messages", ask)).text();
    expect(new Set(first.seen.map(({ port }) => port)).size).toBe(2);
    expect((JSON.parse(file()) as { records: unknown[] }).records).toHaveLength(1);
  });

  test("an answer that streams while it is changed comes to its end", async () => {
    let finish: (() => void) | undefined;
    const { url } = await endpoint(KEY, (_request, response) => {
      response.write("begun ");
      finish = () => response.end("ended");
    });
    const broker = await start();
    await put(broker, { base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", ask);
    await put(broker, { base_url: url, api_key: "sk-another" });
    finish?.();
    expect(await response.text()).toBe("begun ended");
  });

  test("removed, sessions are back at the demo, and nothing of it is left in the file", async () => {
    const { url, seen } = await endpoint();
    const broker = await start();
    await put(broker, { base_url: url, api_key: KEY });
    expect(await settings(await broker.control("DELETE", "model"))).toMatchObject({ source: "demo", vault: null });
    const response = await broker.model("/v1/messages", ask);
    expect([response.headers.get("longhaul-endpoint"), seen.length]).toEqual(["demo", 0]);
    expect(JSON.parse(file())).toMatchObject({ records: [], model: null });
    expect(await healthOf(broker)).toMatchObject({ source: "demo", state: "degraded" });
  });

  test("an address alone, for an endpoint that wants no key, needs no keychain", async () => {
    fake.mode = "missing";
    const { url, seen } = await endpoint(null);
    const broker = await start();
    expect(await settings(await put(broker, { base_url: url }))).toMatchObject({ source: "vault", credential: null });
    expect((await (await start()).model("/v1/messages", ask)).status).toBe(200);
    expect(seen.map(({ key }) => key)).toEqual([undefined]);
    const refused = await errorOf(await put(broker, { base_url: url, api_key: KEY }));
    expect(refused).toMatchObject({ status: 400, code: "keychain_missing" });
    expect(refused.message).toContain("LONGHAUL_VAULT_PASSPHRASE");
    // What was there before is still in use.
    expect((await broker.model("/v1/messages", ask)).status).toBe(200);
  });

  test.each([
    ["nothing", {}, "needs"],
    ["both kinds", { api_key: KEY, auth_token: KEY }, "not both"],
    ["a key with a line break", { api_key: `${KEY}\n` }, "copy the key again"],
    ["an address that is none", { base_url: "somewhere", api_key: KEY }, "not a URL"],
    ["an address with a password", { base_url: "https://a:b@host", api_key: KEY }, "user name or password"],
    ["an address with a query", { base_url: "https://host/?key=1", api_key: KEY }, "query"],
    ["another scheme", { base_url: "file:///etc/passwd", api_key: KEY }, "only https"],
    ["an unknown field", { api_key: KEY, host: "x" }, "Unrecognized"],
  ])("%s is refused, and no text repeats the key", async (_, body, text) => {
    const broker = await start();
    const error = await errorOf(await put(broker, body));
    expect([error.status, error.message]).toEqual([400, expect.stringContaining(text)]);
    expect(JSON.stringify([error, broker.logs])).not.toContain(KEY);
    expect(await healthOf(broker)).toMatchObject({ source: "demo" });
  });

  test("a session's token opens none of these routes", async () => {
    const broker = await start();
    for (const [method, path] of [
      ["GET", "model"],
      ["PUT", "model"],
      ["DELETE", "model"],
      ["POST", "model/test"],
      ["GET", "vault"],
      ["POST", "vault/rotate"],
    ] as const) {
      const response = await broker.control(
        method,
        path,
        method === "PUT" ? { api_key: KEY } : undefined,
        broker.token,
      );
      expect(response.status, path).toBe(401);
    }
  });
});

describe("a key that is out of reach", () => {
  test.each(["locked", "silent", "missing"] as const)(
    "%s: nothing is sent without it, the refusal says to come back, and it goes on when it is there",
    async (mode) => {
      const { url, seen } = await endpoint();
      await put(await start(), { base_url: url, api_key: KEY });
      fake.mode = mode;
      const broker = await start();
      const response = await broker.model("/v1/messages", ask);
      if (mode !== "missing") expect([response.status, response.headers.get("retry-after")]).toEqual([503, "15"]);
      const error = await errorOf(response);
      expect(error.code).toBe(mode === "missing" ? "keychain_missing" : "keychain_locked");
      expect(await healthOf(broker)).toMatchObject({ source: "vault", state: "missing" });
      expect(await settings(await broker.control("GET", "model"))).toMatchObject({
        source: "vault",
        host: new URL(url).host,
        credential: "api_key",
        check: { state: "missing", advice: expect.stringContaining("go on by themselves") },
      });
      expect(await tested(broker)).toMatchObject({ outcome: "locked", status: null });
      expect(seen).toEqual([]);
      fake.mode = "open";
      fake.unlock();
      expect((await broker.model("/v1/messages", ask)).status).toBe(200);
      expect(await healthOf(broker)).toMatchObject({ source: "vault", state: "ok" });
    },
  );

  test("many sessions that wait ask the keychain once", async () => {
    const { url, seen } = await endpoint();
    await put(await start(), { base_url: url, api_key: KEY });
    fake.mode = "silent";
    fake.asked = 0;
    const broker = await start();
    const answers = await Promise.all(Array.from({ length: 20 }, () => broker.model("/v1/messages", ask)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    expect([fake.asked, seen.length]).toEqual([1, 0]);
  });

  test("locked while it is in use: a while later it is refused, until it is unlocked", async () => {
    const { url, seen } = await endpoint();
    const broker = await start({}, 20);
    await put(broker, { base_url: url, api_key: KEY });
    expect((await broker.model("/v1/messages", ask)).status).toBe(200);
    fake.mode = "locked";
    await expect.poll(async () => (await broker.model("/v1/messages", ask)).status).toBe(503);
    const before = seen.length;
    for (let n = 0; n < 5; n++) await broker.model("/v1/messages", ask);
    expect(seen).toHaveLength(before);
    fake.mode = "open";
    expect((await broker.model("/v1/messages", ask)).status).toBe(200);
    expect(seen.every(({ key }) => key === KEY)).toBe(true);
  });

  test("the demo is asked for by name: it needs no key", async () => {
    const { url } = await endpoint();
    await put(await start(), { base_url: url, api_key: KEY });
    fake.mode = "locked";
    const response = await (await start()).model("/v1/messages", { ...ask, model: "longhaul-demo" });
    expect([response.status, response.headers.get("longhaul-endpoint")]).toEqual([200, "demo"]);
  });

  test("an address that was changed in the file gets nothing", async () => {
    const [good, evil] = [await endpoint(), await endpoint(null)];
    await put(await start(), { base_url: good.url, api_key: KEY });
    writeFileSync(join(folder, "vault", "credentials.json"), file().replaceAll(good.url, evil.url));
    const error = await errorOf(await (await start()).model("/v1/messages", ask));
    expect(error).toMatchObject({ code: "value_missing" });
    expect([good.seen, evil.seen]).toEqual([[], []]);
  });

  test("a file that cannot be read is no reason to play the demo", async () => {
    await put(await start(), { base_url: "http://127.0.0.1:9", api_key: KEY });
    writeFileSync(join(folder, "vault", "credentials.json"), "{");
    const broker = await start();
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({ code: "store_unreadable" });
    expect(await healthOf(broker)).toMatchObject({ source: "vault", state: "missing" });
  });

  test("the passphrase that sealed it is needed", async () => {
    const { url, seen } = await endpoint();
    const keys = { keychain: keychainKeys(fake), passphrase: cheapPassphrase("the right one") };
    await put(await testBroker({}, { keys }, folder), { base_url: url, api_key: KEY });
    const wrong = { keychain: keychainKeys(fake), passphrase: cheapPassphrase("another one") };
    for (const [given, code] of [
      [wrong, "passphrase_wrong"],
      [{ ...wrong, passphrase: null }, "passphrase_needed"],
    ] as const) {
      const broker = await testBroker({}, { keys: given }, folder);
      expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({ code });
    }
    expect(seen).toEqual([]);
  });
});

describe("the test", () => {
  const notFound = (_request: IncomingMessage, response: ServerResponse): void =>
    void response.writeHead(404, { "content-type": "application/json" }).end('{"error":{"message":"no such model"}}');

  test.each<[string, string, number | null, Parameters<typeof endpoint>[1], string]>([
    ["accepted", KEY, 200, undefined, "took the key"],
    ["refused", "sk-other-canary", 401, undefined, "refused the key"],
    ["unclear", KEY, 404, notFound, "no list of models"],
    ["unclear", KEY, 200, (_request, response) => void response.end("<html>"), "not JSON"],
    ["unclear", KEY, 302, (_request, response) => void response.writeHead(302, { location: "/" }).end(), "redirect"],
    ["unclear", KEY, 500, (_request, response) => void response.writeHead(500).end(), "status 500"],
    ["unreachable", KEY, null, (request) => void request.socket.destroy(), "broke before it answered"],
  ])("%s (%s, %s)", async (outcome, key, status, answer, text) => {
    const { url } = await endpoint(KEY, answer);
    const broker = await start();
    await put(broker, { base_url: url, api_key: key });
    const result = await tested(broker);
    expect(result).toMatchObject({ outcome, status, summary: expect.stringContaining(text) });
    // The endpoint repeats a refused key in its message.
    expect(JSON.stringify([result, broker.logs])).not.toContain(key);
  });

  test("nothing there, nothing entered, and no credential at all", async () => {
    const broker = await start();
    expect(await tested(broker)).toMatchObject({ outcome: "demo" });
    await put(broker, { base_url: "http://127.0.0.1:9" });
    expect(await tested(broker)).toMatchObject({ outcome: "unreachable" });
    const { url, seen } = await endpoint(null);
    await put(broker, { base_url: `${url}/gate` });
    expect(await tested(broker)).toMatchObject({
      outcome: "accepted",
      summary: expect.stringContaining("no credential"),
    });
    expect(seen.map(({ path }) => path)).toEqual(["/gate/v1/models?limit=1"]);
  });

  test("a refusal shows in health until another key is entered", async () => {
    const { url } = await endpoint();
    const broker = await start();
    await put(broker, { base_url: url, api_key: "sk-other-canary" });
    await tested(broker);
    expect(await healthOf(broker)).toMatchObject({ state: "missing", summary: expect.stringContaining("refused") });
    await put(broker, { base_url: url, api_key: KEY });
    expect(await healthOf(broker)).toMatchObject({ state: "ok", summary: expect.stringContaining("from the vault") });
  });
});
