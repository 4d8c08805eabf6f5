/** The real keychain of this system: on Linux a Secret Service, which the test run starts on a bus of its own. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AsyncEntry } from "@napi-rs/keyring";
import { expect, onTestFinished, test } from "vitest";
import { KeychainKeys } from "./keychain.ts";
import { openSealedStore } from "./open_store.ts";

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

// The last one: nobody is there to type the password that would unlock it again.
test.runIf(process.platform === "linux")("a keyring that is locked is refused with words, and soon", async () => {
  const path = folder();
  await open(path).put(ref, null, () => CANARY);
  lockKeyring();
  const started = Date.now();
  const sealed = open(path);
  await expect(sealed.open(ref)).rejects.toMatchObject({
    code: "keychain_locked",
    message: expect.stringContaining("Unlock it"),
  });
  await expect(sealed.put({ ...ref, secret_id: "s2" }, null, () => "x")).rejects.toMatchObject({
    code: "keychain_locked",
  });
  expect(Date.now() - started).toBeLessThan(15_000);
  expect(await sealed.status()).toMatchObject({ state: "degraded", summary: expect.stringContaining("locked") });
});

function lockKeyring(): void {
  const service = ["--session", "--print-reply", "--dest=org.freedesktop.secrets", "/org/freedesktop/secrets"];
  const collection = "array:objpath:/org/freedesktop/secrets/collection/login";
  execFileSync("dbus-send", [...service, "org.freedesktop.Secret.Service.Lock", collection], { stdio: "pipe" });
}
