/** The real keychain of this system: on Linux a Secret Service, which the test run starts on a bus of its own. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AsyncEntry } from "@napi-rs/keyring";
import { expect, onTestFinished, test } from "vitest";
import { KeychainKeys } from "./keychain.ts";
import { openSealedStore } from "./open_store.ts";
import { lockKeyring, unlockKeyring } from "./testing/secret_service.ts";

const ref = { vault_id: "vlt_1", credential_id: "vcrd_1", secret_id: "s1", issuer: "https://mcp.example" };
const CANARY = "canary-3b9c-value";

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "longhaul-keychain-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const open = (path: string) => openSealedStore(path, { keychain: new KeychainKeys(), passphrase: null });

/** Account of the key in the file, as the keychain knows it. */
function account(path: string): string {
  const { keys } = JSON.parse(readFileSync(join(path, "vault", "credentials.json"), "utf8")) as {
    keys: { id: string }[];
  };
  return `vault key ${keys[0]?.id}`;
}

test("a key is made in the keychain, and a new process opens with it what was sealed", async () => {
  const path = folder();
  const sealed = open(path);
  expect(await sealed.status()).toMatchObject({ state: "ok" });
  await sealed.put(ref, null, () => CANARY);
  expect(await open(path).open(ref)).toBe(CANARY);
  const entry = new AsyncEntry("Longhaul", account(path), { linux: { store: "secret-service" } });
  expect((await entry.getSecret())?.length).toBe(32);
  await entry.deleteCredential();
  await expect(open(path).open(ref)).rejects.toMatchObject({ code: "key_missing" });
});

test("each data directory has a key of its own", async () => {
  const [one, two] = [folder(), folder()];
  await open(one).put(ref, null, () => "one");
  await open(two).put(ref, null, () => "two");
  expect(account(one)).not.toBe(account(two));
  expect([await open(one).open(ref), await open(two).open(ref)]).toEqual(["one", "two"]);
});

test.runIf(process.platform === "linux")("without a Secret Service nothing is kept elsewhere", async () => {
  // The native module would fall back to the kernel's key ring, which forgets everything at the next boot. In a process
  // of its own: a bus that was found once is remembered.
  const module = new URL("./open_store.ts", import.meta.url).href;
  const program = `
    const { openSealedStore, systemKeys } = await import(${JSON.stringify(module)});
    const store = openSealedStore(${JSON.stringify(folder())}, systemKeys(null));
    const refused = await store.put(${JSON.stringify(ref)}, null, () => "x").then(() => null, (error) => error);
    console.log(JSON.stringify({ code: refused?.code, message: refused?.message, status: await store.status() }));`;
  const env = { ...process.env, DBUS_SESSION_BUS_ADDRESS: "unix:path=/nonexistent" };
  const printed = execFileSync(process.execPath, ["--input-type=module", "-e", program], { env, encoding: "utf8" });
  expect(JSON.parse(printed)).toMatchObject({
    code: "keychain_missing",
    message: expect.stringContaining("gnome-keyring"),
    status: { state: "missing" },
  });
});

test.runIf(process.platform === "linux")(
  "a keyring that is locked is refused with words, and opens again",
  { timeout: 40_000 },
  async () => {
    const path = folder();
    await open(path).put(ref, null, () => CANARY);
    lockKeyring();
    onTestFinished(unlockKeyring);
    const sealed = open(path);
    const locked = { code: "keychain_locked", status: 503, message: expect.stringContaining("Unlock it") };
    await expect(sealed.open(ref)).rejects.toMatchObject(locked);
    await expect(sealed.put({ ...ref, secret_id: "s2" }, null, () => "x")).rejects.toMatchObject(locked);
    await expect(sealed.rotate(new KeychainKeys())).rejects.toMatchObject(locked);
    expect(await sealed.status()).toMatchObject({ state: "degraded", summary: expect.stringContaining("locked") });
    await unlockKeyring();
    // A refusal is remembered for three seconds, so that many who wait show one prompt.
    await expect.poll(() => sealed.open(ref).catch(() => null), { timeout: 10_000 }).toBe(CANARY);
    expect(await sealed.status()).toMatchObject({ state: "ok" });
  },
);

test("a new key takes the place of the old one, which is gone from the keychain", async () => {
  const path = folder();
  const keychain = new KeychainKeys();
  const sealed = openSealedStore(path, { keychain, passphrase: null });
  await sealed.put(ref, null, () => CANARY);
  const old = account(path);
  expect(await sealed.rotate(keychain)).toMatchObject({ resealed: 1, left: 0, keys_to_remove: 0 });
  expect(account(path)).not.toBe(old);
  expect(await open(path).open(ref)).toBe(CANARY);
  const kept = await new AsyncEntry("Longhaul", old, { linux: { store: "secret-service" } }).getSecret();
  expect(kept ?? null).toBeNull();
  // There is nothing left to remove, and that is no error.
  await keychain.remove(old.replace("vault key ", ""));
});
