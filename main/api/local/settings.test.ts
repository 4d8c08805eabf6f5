/** The model endpoint and the key of sealed values over the local API, with a real broker behind it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ModelSettings, Rotation, VaultStatus } from "../../contract/vaults/settings.ts";
import { brokerSettings } from "../../engine/broker/broker_settings.ts";
import { BrokerClient } from "../../harness/broker_client.ts";
import { cheapPassphrase, type FakeKeychain, fakeKeychain, keychainKeys } from "../../vault/sealed/testing/keys.ts";
import { LAUNCH_SECRET, stopBrokers, type TestBroker, testBroker } from "../../vault/testing/broker_client.ts";
import { type Rig, startRig } from "../testing/rig.ts";

const KEY = "sk-canary-api-88";

let rig: Rig;
let broker: TestBroker;
let fake: FakeKeychain;
let folder: string;
let passphrases: (string | null)[];
let woken: number;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-settings-"));
  fake = fakeKeychain();
  passphrases = [];
  woken = 0;
  const keys = { keychain: keychainKeys(fake, 50), passphrase: null, fromPassphrase: cheapPassphrase };
  broker = await testBroker({}, { keys, onPassphrase: (passphrase) => passphrases.push(passphrase) }, folder);
  const client = new BrokerClient(() => ({ url: broker.url, launch_secret: LAUNCH_SECRET }));
  const goOn = async (): Promise<void> => {
    woken += 1;
  };
  rig = await startRig({ settings: brokerSettings(client, goOn) });
});
afterEach(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
  await stopBrokers();
  rmSync(folder, { recursive: true, force: true });
});

async function call<T>(method: string, path: string, body?: unknown, status = 200): Promise<T> {
  const answer = await rig.request(`/longhaul/v1/${path}`, { method, body });
  const text = await answer.text();
  expect([answer.status, text]).toEqual([status, expect.not.stringContaining("canary")]);
  expect(text).not.toContain(KEY.slice(-4));
  if (status === 200) expect(answer.headers.get("cache-control")).toBe("no-store");
  return JSON.parse(text) as T;
}

interface Refused {
  error: { type: string; message: string; details?: { error_code: string } };
}

test("put, shown without the key, removed; sessions that wait are woken when there is a new one", async () => {
  expect(await call<ModelSettings>("GET", "settings/model")).toMatchObject({ source: "demo", vault: null });
  const body = { base_url: "http://127.0.0.1:9/gate/", auth_token: KEY };
  const put = await call<ModelSettings>("PUT", "settings/model", body);
  expect(put).toMatchObject({ source: "vault", base_url: "http://127.0.0.1:9/gate", credential: "auth_token" });
  expect(woken).toBe(1);
  expect(await call("POST", "settings/model/test")).toMatchObject({ outcome: "unreachable", status: null });
  expect(await call<ModelSettings>("DELETE", "settings/model")).toMatchObject({ source: "demo", vault: null });
  expect(woken).toBe(1);
});

test.each([
  [{ api_key: `${KEY} ` }, "visible ASCII"],
  [{ api_key: KEY, auth_token: KEY }, "not both"],
  [{ api_key: KEY, key: KEY }, "Unknown field `key`"],
  [{ base_url: `http://x/?k=${KEY}`, api_key: KEY }, "query"],
  [{ api_key: [KEY] }, "must be a string"],
  [{ api_key: KEY.repeat(4000) }, "32768"],
  [{ base_url: KEY }, "not a URL"],
  [{}, "needs"],
])("a body that cannot be meant is refused in words that repeat nothing (%#)", async (body, words) => {
  const { error } = await call<Refused>("PUT", "settings/model", body, 400);
  expect(error.message).toContain(words);
  expect(broker.logs.join()).not.toContain("canary");
});

test("a keychain that is locked or missing refuses a key in words, and everything stays as it was", async () => {
  for (const mode of ["locked", "missing"] as const) {
    fake.mode = mode;
    const { error } = await call<Refused>("PUT", "settings/model", { api_key: KEY }, 400);
    expect(error).toMatchObject({ type: "invalid_request_error", details: { error_code: `keychain_${mode}` } });
    expect(await call<ModelSettings>("GET", "settings/model")).toMatchObject({ source: "demo" });
  }
});

test("rotation: to another key, to a passphrase, and back; the next broker is told what it needs", async () => {
  // Something that listens there, so that health has nothing to complain about.
  await call("PUT", "settings/model", { base_url: rig.url, api_key: KEY });
  expect(await call<VaultStatus>("GET", "vault")).toMatchObject({
    sealed_with: "keychain",
    values: 1,
    keys_to_remove: 0,
  });
  expect(await call<Rotation>("POST", "vault/rotate", {})).toEqual({
    resealed: 1,
    left: 0,
    sealed_with: "keychain",
    keys_to_remove: 0,
  });
  const passphrase = "canary horse battery";
  await call("POST", "vault/rotate", { to: "passphrase", passphrase });
  expect(fake.items.size).toBe(0);
  expect(await call<VaultStatus>("GET", "vault")).toMatchObject({
    sealed_with: "passphrase",
    keys: [{ source: "passphrase", values: 1 }],
  });
  await call("POST", "vault/rotate", { to: "keychain" });
  expect(passphrases).toEqual([null, passphrase, null]);
  expect(await call<ModelSettings>("GET", "settings/model")).toMatchObject({ source: "vault", check: { state: "ok" } });
  expect(broker.logs.join()).not.toContain("canary");
});

test.each([
  [{ to: "passphrase" }, "needs the new `passphrase`"],
  [{ to: "passphrase", passphrase: "canary" }, "at least 8"],
  [{ passphrase: "canary horse battery" }, "with `to: passphrase` only"],
  [{ to: "cloud" }, "keychain"],
])("a rotation that cannot be meant is refused (%#)", async (body, words) => {
  const { error } = await call<Refused>("POST", "vault/rotate", body, 400);
  expect(error.message).toContain(words);
});

test("without a broker every call says so", async () => {
  await broker.close();
  for (const [method, path, body] of [
    ["GET", "settings/model"],
    ["PUT", "settings/model", { api_key: KEY }],
    ["DELETE", "settings/model"],
    ["POST", "settings/model/test"],
    ["GET", "vault"],
    ["POST", "vault/rotate", {}],
  ] as const) {
    const { error } = await call<Refused>(method, path, body, 529);
    expect(error.details?.error_code).toBe("broker_away");
  }
});
