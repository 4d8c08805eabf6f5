import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Refusal, type RefusalCode } from "../refusal.ts";
import { type Keys, openSealedStore } from "./open_store.ts";
import { SCRYPT_COST } from "./passphrase.ts";
import { openText, sealText } from "./seal.ts";
import type { SealedValue } from "./sealed_store.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "./testing/keys.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-sealed-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const CANARY = "canary-7d1f-value";
const file = (): string => join(folder, "vault", "credentials.json");
const content = (): string => readFileSync(file(), "utf8");
const ref = (name: string, more: Partial<SealedValue> = {}): SealedValue => ({
  vault_id: "vlt_1",
  credential_id: `vcrd_${name}`,
  secret_id: name,
  issuer: "https://mcp.example",
  ...more,
});
const store = (keys: Partial<Keys> = { passphrase: cheapPassphrase() }) =>
  openSealedStore(folder, { keychain: keychainKeys(fakeKeychain()), passphrase: null, ...keys });

async function refusal(call: Promise<unknown>): Promise<[RefusalCode | undefined, string]> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Refusal) return [error.code, error.message];
    throw error;
  }
  throw new Error("not refused");
}

describe("sealing", () => {
  test("a value comes back to a new process, and the file holds nothing of it and is the owner's alone", async () => {
    await store().put(ref("a"), null, () => CANARY);
    expect(await store().open(ref("a"))).toBe(CANARY);
    for (const form of [CANARY, Buffer.from(CANARY).toString("base64"), Buffer.from(CANARY).toString("hex")]) {
      expect(content()).not.toContain(form);
    }
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "vault")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(folder, "vault"))).toEqual(["credentials.json"]);
  });

  test("the same text is sealed differently each time, and every bit counts", () => {
    const key = Buffer.alloc(32, 7);
    const [one, two] = [sealText(key, "c", CANARY), sealText(key, "c", CANARY)];
    expect(one.nonce).not.toBe(two.nonce);
    expect(one.sealed).not.toBe(two.sealed);
    expect(openText(key, "c", one)).toBe(CANARY);
    expect(openText(key, "d", one)).toBeNull();
    expect(openText(Buffer.alloc(32, 8), "c", one)).toBeNull();
    const bytes = Buffer.from(one.sealed, "base64");
    for (let at = 0; at < bytes.length; at++) {
      const bent = Buffer.from(bytes);
      bent[at] = (bent[at] ?? 0) ^ 1;
      expect(openText(key, "c", { ...one, sealed: bent.toString("base64") })).toBeNull();
    }
    for (const sealed of ["", "AAAA", one.sealed.slice(0, 20)])
      expect(openText(key, "c", { ...one, sealed })).toBeNull();
    expect(openText(key, "c", { ...one, nonce: "" })).toBeNull();
  });

  test.each<[string, Partial<SealedValue>]>([
    ["another server", { issuer: "https://evil.example" }],
    ["another vault", { vault_id: "vlt_2" }],
    ["another credential", { credential_id: "vcrd_b" }],
  ])("a value does not open for %s", async (_, more) => {
    const sealed = store();
    await sealed.put(ref("a"), null, () => CANARY);
    expect((await refusal(sealed.open(ref("a", more))))[0]).toBe("value_missing");
  });

  test("a value that was moved to another record does not open", async () => {
    const sealed = store();
    await sealed.put(ref("a"), null, () => "value a");
    await sealed.put(ref("b"), null, () => "value b");
    const moved = JSON.parse(content()) as { records: { nonce: string; sealed: string }[] };
    const [a, b] = moved.records;
    moved.records = [{ ...a!, nonce: b!.nonce, sealed: b!.sealed }, b!];
    writeFileSync(file(), JSON.stringify(moved));
    expect((await refusal(sealed.open(ref("a"))))[0]).toBe("value_missing");
    expect(await sealed.open(ref("b"))).toBe("value b");
  });

  test("a changed value continues the former one, which stays until it is purged", async () => {
    const sealed = store();
    await sealed.put(ref("a"), null, () => "one");
    await sealed.put(ref("a", { secret_id: "a2" }), "a", (before) => `${before} two`);
    expect(await sealed.open(ref("a"))).toBe("one");
    expect(await sealed.open(ref("a", { secret_id: "a2" }))).toBe("one two");
    await sealed.purge(["a", "unknown"]);
    expect((await refusal(sealed.open(ref("a"))))[0]).toBe("value_missing");
    expect((await sealed.list()).map(({ secret_id }) => secret_id)).toEqual(["a2"]);
  });

  test("changes at the same time all arrive", async () => {
    const sealed = store();
    const names = Array.from({ length: 12 }, (_, index) => `n${index}`);
    await Promise.all(names.map((name) => sealed.put(ref(name), null, () => `value ${name}`)));
    await Promise.all([sealed.purge(["n0"]), sealed.purge(["n1"]), sealed.rewrite(ref("n2"), (text) => `${text}!`)]);
    expect((await sealed.list()).map(({ secret_id }) => secret_id).toSorted()).toEqual(names.slice(2).toSorted());
    expect(await sealed.open(ref("n2"))).toBe("value n2!");
    expect((JSON.parse(content()) as { keys: unknown[] }).keys).toHaveLength(1);
  });
});

describe("passphrase", () => {
  test("another one is refused in words, and nothing is lost", async () => {
    await store().put(ref("a"), null, () => CANARY);
    const before = content();
    const wrong = store({ passphrase: cheapPassphrase("something else") });
    for (const call of [() => wrong.open(ref("a")), () => wrong.put(ref("b"), null, () => "b")]) {
      expect(await refusal(call())).toEqual(["passphrase_wrong", expect.stringContaining("LONGHAUL_VAULT_PASSPHRASE")]);
    }
    expect(await wrong.status()).toMatchObject({ state: "missing", advice: expect.stringContaining("right one") });
    expect(content()).toBe(before);
    expect(await store().open(ref("a"))).toBe(CANARY);
    // Removing needs no key; with nothing left there is nothing that another passphrase could contradict.
    await wrong.purge(["a"]);
    await wrong.put(ref("b"), null, () => "b");
    expect(await wrong.open(ref("b"))).toBe("b");
    expect((JSON.parse(content()) as { keys: unknown[] }).keys).toHaveLength(1);
  });

  test("values of the passphrase and of the keychain live side by side", async () => {
    const fake = fakeKeychain();
    const both = () => store({ keychain: keychainKeys(fake), passphrase: cheapPassphrase() });
    const keychainOnly = store({ keychain: keychainKeys(fake) });
    await keychainOnly.put(ref("k"), null, () => "by keychain");
    await both().put(ref("p"), null, () => "by passphrase");
    expect([await both().open(ref("k")), await both().open(ref("p"))]).toEqual(["by keychain", "by passphrase"]);
    expect(await refusal(keychainOnly.open(ref("p")))).toEqual([
      "passphrase_needed",
      expect.stringContaining("Set LONGHAUL_VAULT_PASSPHRASE"),
    ]);
    await keychainOnly.put(ref("k2"), null, () => "still works");
    expect(await keychainOnly.open(ref("k2"))).toBe("still works");
    expect(await keychainOnly.status()).toMatchObject({
      state: "missing",
      summary: expect.stringContaining("passphrase"),
    });
  });

  test("the cost of the real derivation is what it should be", () => {
    expect(SCRYPT_COST.n * SCRYPT_COST.r * 128).toBe(128 * 1024 * 1024);
  });
});

describe("keychain", () => {
  test("32 random bytes per data directory, read once", async () => {
    const fake = fakeKeychain();
    const sealed = store({ keychain: keychainKeys(fake) });
    await sealed.put(ref("a"), null, () => "one");
    const asked = fake.asked;
    await sealed.put(ref("b"), null, () => "two");
    expect(await sealed.open(ref("a"))).toBe("one");
    expect(fake.asked).toBe(asked);
    expect([...fake.items.values()].map((key) => key.length)).toEqual([32]);
    expect(await sealed.status()).toMatchObject({ state: "ok" });
  });

  test("a missing one is refused with what to install, and writes nothing", async () => {
    const fake = fakeKeychain();
    fake.mode = "missing";
    const sealed = store({ keychain: keychainKeys(fake) });
    const [code, text] = await refusal(sealed.put(ref("a"), null, () => CANARY));
    expect(code).toBe("keychain_missing");
    expect(text).toMatch(/org\.freedesktop\.secrets.*LONGHAUL_VAULT_PASSPHRASE/);
    expect(existsSync(file())).toBe(false);
    expect(await sealed.status()).toMatchObject({
      state: "missing",
      advice: expect.stringContaining("LONGHAUL_VAULT"),
    });
    fake.mode = "open";
    await sealed.put(ref("a"), null, () => CANARY);
    expect(await sealed.status()).toMatchObject({ state: "ok" });
  });

  test("a locked one is refused with words, also by health, and works after it is unlocked", async () => {
    const fake = fakeKeychain();
    await store({ keychain: keychainKeys(fake) }).put(ref("a"), null, () => CANARY);
    fake.mode = "locked";
    const sealed = store({ keychain: keychainKeys(fake) });
    // Nobody has used it yet: looking at it must not show a prompt, so nothing is known.
    expect(await sealed.status()).toMatchObject({ state: "ok" });
    expect(await refusal(sealed.open(ref("a")))).toEqual(["keychain_locked", expect.stringContaining("Unlock it")]);
    expect(await sealed.status()).toMatchObject({ state: "degraded", summary: expect.stringContaining("locked") });
    fake.mode = "open";
    expect(await sealed.open(ref("a"))).toBe(CANARY);
    expect(await sealed.status()).toMatchObject({ state: "ok" });
  });

  test("one that does not answer is given up after the limit and not asked a second time", async () => {
    const fake = fakeKeychain();
    await store({ keychain: keychainKeys(fake) }).put(ref("a"), null, () => CANARY);
    fake.mode = "silent";
    fake.asked = 0;
    const sealed = store({ keychain: keychainKeys(fake, 30) });
    const calls = [sealed.open(ref("a")), sealed.open(ref("a")), sealed.put(ref("b"), null, () => "b")];
    for (const [code] of await Promise.all(calls.map(refusal))) expect(code).toBe("keychain_locked");
    expect((await refusal(sealed.open(ref("a"))))[0]).toBe("keychain_locked");
    expect(fake.asked).toBe(1);
    fake.unlock();
    expect(await sealed.open(ref("a"))).toBe(CANARY);
  });

  test("a first key that waits for a prompt is made once", async () => {
    const fake = fakeKeychain();
    fake.mode = "silent";
    const sealed = store({ keychain: keychainKeys(fake, 30) });
    for (const name of ["a", "b"]) {
      expect((await refusal(sealed.put(ref(name), null, () => CANARY)))[0]).toBe("keychain_locked");
    }
    expect(fake.asked).toBe(1);
    fake.unlock();
    await sealed.put(ref("a"), null, () => CANARY);
    expect(await store({ keychain: keychainKeys(fake) }).open(ref("a"))).toBe(CANARY);
  });

  test("a key that is gone does not stop new credentials, and its values open again when it is back", async () => {
    const fake = fakeKeychain();
    await store({ keychain: keychainKeys(fake) }).put(ref("a"), null, () => CANARY);
    const kept = new Map(fake.items);
    fake.items.clear();
    const sealed = store({ keychain: keychainKeys(fake) });
    expect((await refusal(sealed.open(ref("a"))))[0]).toBe("key_missing");
    expect((await refusal(sealed.put(ref("a", { secret_id: "a2" }), "a", () => "x")))[0]).toBe("key_missing");
    await sealed.put(ref("b"), null, () => "new");
    expect(await sealed.open(ref("b"))).toBe("new");
    for (const [account, key] of kept) fake.items.set(account, key);
    const restored = store({ keychain: keychainKeys(fake) });
    expect([await restored.open(ref("a")), await restored.open(ref("b"))]).toEqual([CANARY, "new"]);
  });

  test("other bytes in its place are not taken for the key", async () => {
    const fake = fakeKeychain();
    await store({ keychain: keychainKeys(fake) }).put(ref("a"), null, () => CANARY);
    for (const account of fake.items.keys()) fake.items.set(account, new Uint8Array(32));
    expect((await refusal(store({ keychain: keychainKeys(fake) }).open(ref("a"))))[0]).toBe("key_missing");
  });
});

describe("the file", () => {
  test.each([
    ["torn", () => content().slice(0, content().length / 2)],
    ["empty", () => ""],
    ["another shape", () => JSON.stringify({ format: 1, keys: {}, records: [] })],
    ["a newer format", () => JSON.stringify({ format: 2, everything: "else" })],
    ["a cost that would take all memory", () => content().replace(/"n": \d+/, '"n": 1073741824')],
  ])("one that is %s is refused and left as it is", async (_, damage) => {
    await store().put(ref("a"), null, () => CANARY);
    const damaged = damage();
    writeFileSync(file(), damaged);
    const sealed = store();
    const calls = [
      () => sealed.open(ref("a")),
      () => sealed.put(ref("b"), null, () => "b"),
      () => sealed.purge(["a"]),
      () => sealed.list(),
    ];
    for (const call of calls) {
      expect(await refusal(call())).toEqual(["store_unreadable", expect.stringContaining(file())]);
    }
    expect(await sealed.status()).toMatchObject({ state: "missing" });
    expect(content()).toBe(damaged);
  });

  test("a half-written successor of a process that was killed is ignored and replaced", async () => {
    await store().put(ref("a"), null, () => CANARY);
    writeFileSync(`${file()}.new`, content().slice(0, 50));
    const sealed = store();
    expect(await sealed.open(ref("a"))).toBe(CANARY);
    await sealed.put(ref("b"), null, () => "b");
    expect(existsSync(`${file()}.new`)).toBe(false);
    expect(await store().open(ref("b"))).toBe("b");
  });

  test("one that cannot be written keeps its old content, and the change is refused", async () => {
    const sealed = store();
    await sealed.put(ref("a"), null, () => CANARY);
    const before = content();
    mkdirSync(join(`${file()}.new`, "in the way"), { recursive: true });
    expect((await refusal(sealed.put(ref("b"), null, () => "b")))[0]).toBe("store_unwritable");
    expect((await refusal(sealed.purge(["a"])))[0]).toBe("store_unwritable");
    expect(content()).toBe(before);
    rmSync(`${file()}.new`, { recursive: true });
    await sealed.put(ref("b"), null, () => "b");
    expect(await sealed.open(ref("a"))).toBe(CANARY);
  });

  test("a full disk keeps the old content, and works again with space", async (context) => {
    const disk = join(folder, "vault");
    mkdirSync(disk);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "longhaul-test", disk], { stdio: "pipe" });
    } catch {
      context.skip("a small disk can be mounted as root on Linux only");
    }
    try {
      const sealed = store();
      await sealed.put(ref("a"), null, () => CANARY);
      writeFileSync(join(disk, "ballast"), Buffer.alloc(200_000));
      const [code, text] = await refusal(sealed.put(ref("b"), null, () => "x".repeat(100_000)));
      expect([code, text]).toEqual(["store_unwritable", expect.stringContaining("ENOSPC")]);
      expect(await store().open(ref("a"))).toBe(CANARY);
      rmSync(join(disk, "ballast"));
      await sealed.put(ref("b"), null, () => "x".repeat(50_000));
      expect(await store().open(ref("a"))).toBe(CANARY);
    } finally {
      execFileSync("umount", ["--lazy", disk]);
    }
  });
});
