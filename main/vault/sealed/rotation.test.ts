/** A new key for everything that is sealed: nothing is lost wherever it is cut off, and no old key stays behind. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Refusal } from "../refusal.ts";
import { openSealedStore } from "./open_store.ts";
import type { SealedStore, SealedValue } from "./sealed_store.ts";
import { folderKeychain, itemsOf } from "./testing/folder_keychain.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "./testing/keys.ts";

const PROGRAM = fileURLToPath(new URL("./testing/dying_rotation.ts", import.meta.url));
const MODEL = { base_url: "https://model.example", credential: "api_key" } as const;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-rotation-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ref = (name: string): SealedValue => ({
  vault_id: "vlt_1",
  credential_id: `vcrd_${name}`,
  secret_id: name,
  issuer: "https://mcp.example",
});
interface Content {
  keys: { id: string; source: string }[];
  records: { key_id: string; nonce: string; sealed: string }[];
  leftover_keys: string[];
}
const contentOf = (dir: string): Content =>
  JSON.parse(readFileSync(join(dir, "vault", "credentials.json"), "utf8")) as Content;

async function filled(store: SealedStore): Promise<void> {
  for (const name of ["a", "b", "c"]) await store.put(ref(name), null, () => `value ${name}`);
  await store.setModel(MODEL, "model key");
}

async function values(store: SealedStore): Promise<string[]> {
  const opened = await Promise.all(["a", "b", "c"].map((name) => store.open(ref(name))));
  return [...opened, await store.openModel(MODEL)];
}

const ALL = ["value a", "value b", "value c", "model key"];

describe("killed on the way", () => {
  /** One data directory and keychain per run, so that each begins the same. */
  function scene(name: string): { data: string; chain: string } {
    const [data, chain] = [join(folder, name), join(folder, `${name}-chain`)];
    for (const path of [data, chain]) mkdirSync(path);
    return { data, chain };
  }

  const open = (data: string, chain: string, passphrase: string | null): SealedStore =>
    openSealedStore(data, {
      keychain: keychainKeys({ keychain: folderKeychain(chain) }),
      passphrase: passphrase === null ? null : cheapPassphrase(passphrase),
    });

  async function rotateIn(
    data: string,
    chain: string,
    to: string,
    from: string | null,
    dieAt: number,
  ): Promise<number> {
    const env = { ...process.env, ...(from === null ? {} : { OLD_PASSPHRASE: from }) };
    try {
      const args = ["--no-warnings", PROGRAM, data, chain, to, String(dieAt)];
      const { stdout } = await promisify(execFile)(process.execPath, args, { env });
      return (JSON.parse(stdout) as { steps: number }).steps;
    } catch (error) {
      if ((error as { signal?: string }).signal !== "SIGKILL") throw error;
      return 0;
    }
  }

  test.each([
    ["keychain to keychain", null, "keychain", null],
    ["keychain to passphrase", null, "the new passphrase", "the new passphrase"],
    ["passphrase to keychain", "the old passphrase", "keychain", null],
    ["passphrase to passphrase", "the old passphrase", "the new passphrase", "the new passphrase"],
  ])(
    "%s: at every step everything opens, and the next rotation leaves no key behind",
    { timeout: 120_000 },
    async (_, from, to, after) => {
      const whole = scene("whole");
      await filled(open(whole.data, whole.chain, from));
      const steps = await rotateIn(whole.data, whole.chain, to, from, 0);
      expect(steps).toBeGreaterThan(1);
      expect(await values(open(whole.data, whole.chain, after))).toEqual(ALL);
      for (let at = 1; at <= steps; at++) {
        const { data, chain } = scene(`at-${at}`);
        await filled(open(data, chain, from));
        const old = contentOf(data).keys[0]?.id;
        expect(await rotateIn(data, chain, to, from, at), `step ${at}`).toBe(0);
        const content = contentOf(data);
        // Either all of the old state or all of the new one.
        expect(new Set(content.records.map(({ key_id }) => key_id)).size, `step ${at}`).toBe(1);
        const isOld = content.records[0]?.key_id === old;
        const next = open(data, chain, isOld ? from : after);
        expect(await values(next), `step ${at}`).toEqual(ALL);
        // A key whose making was cut off, or whose removal was, is gone with the next rotation.
        await next.rotate(keychainKeys({ keychain: folderKeychain(chain) }));
        expect(await values(open(data, chain, null)), `step ${at}`).toEqual(ALL);
        expect(itemsOf(chain), `step ${at}`).toEqual([`vault key ${contentOf(data).keys[0]?.id}`]);
        expect(contentOf(data)).toMatchObject({ leftover_keys: [] });
      }
    },
  );
});

describe("rotating", () => {
  const keys = (fake = fakeKeychain()) => ({ keychain: keychainKeys(fake, 50), passphrase: null });
  const refusal = async (call: Promise<unknown>): Promise<string | undefined> => {
    try {
      await call;
    } catch (error) {
      if (error instanceof Refusal) return error.code ?? error.type;
      throw error;
    }
    throw new Error("not refused");
  };

  test("every value has another key and another text, the old key is gone, and what comes next uses the new one", async () => {
    const fake = fakeKeychain();
    const given = keys(fake);
    const store = openSealedStore(folder, given);
    await filled(store);
    const before = contentOf(folder);
    expect(await store.rotate(given.keychain)).toEqual({
      resealed: 4,
      left: 0,
      sealed_with: "keychain",
      keys_to_remove: 0,
    });
    const after = contentOf(folder);
    expect(after.keys).toHaveLength(1);
    for (const [n, record] of after.records.entries()) {
      expect(record.key_id).not.toBe(before.records[n]?.key_id);
      expect([record.nonce, record.sealed]).not.toEqual([before.records[n]?.nonce, before.records[n]?.sealed]);
    }
    expect([...fake.items.keys()]).toEqual([`vault key ${after.keys[0]?.id}`]);
    await store.put(ref("d"), null, () => "value d");
    expect(contentOf(folder).keys).toEqual(after.keys);
    expect(await values(openSealedStore(folder, keys(fake)))).toEqual(ALL);
  });

  test("values that are sealed and opened meanwhile are neither lost nor under the old key", async () => {
    const fake = fakeKeychain();
    const given = keys(fake);
    const store = openSealedStore(folder, given);
    await filled(store);
    const names = Array.from({ length: 20 }, (_, n) => `n${n}`);
    const [rotated] = await Promise.all([
      store.rotate(given.keychain),
      ...names.map((name) => store.put(ref(name), null, () => `value ${name}`)),
      ...names.map(() => values(store)),
    ]);
    expect(rotated.left).toBe(0);
    const content = contentOf(folder);
    expect(new Set(content.records.map(({ key_id }) => key_id))).toEqual(new Set([content.keys[0]?.id]));
    const fresh = openSealedStore(folder, keys(fake));
    expect(await Promise.all(names.map((name) => fresh.open(ref(name))))).toEqual(names.map((name) => `value ${name}`));
    expect(fake.items.size).toBe(1);
  });

  test("a second one at the same time is refused", async () => {
    const given = keys();
    const store = openSealedStore(folder, given);
    await filled(store);
    const [first, second] = await Promise.allSettled([store.rotate(given.keychain), store.rotate(given.keychain)]);
    expect([first.status, second.status]).toEqual(["fulfilled", "rejected"]);
    expect(await values(store)).toEqual(ALL);
  });

  test.each(["locked", "silent", "missing"] as const)("a keychain that is %s changes nothing", async (mode) => {
    const fake = fakeKeychain();
    await filled(openSealedStore(folder, keys(fake)));
    const before = contentOf(folder);
    const given = keys(fake);
    const store = openSealedStore(folder, given);
    fake.mode = mode;
    const code = mode === "missing" ? "keychain_missing" : "keychain_locked";
    expect(await refusal(store.rotate(given.keychain))).toBe(code);
    // To a passphrase the old values must be opened first.
    expect(await refusal(store.rotate(cheapPassphrase("a passphrase")))).toBe(code);
    expect(contentOf(folder)).toMatchObject({ keys: before.keys, records: before.records });
    fake.mode = "open";
    fake.unlock();
    expect(await values(store)).toEqual(ALL);
    await store.rotate(given.keychain);
    expect(await values(openSealedStore(folder, keys(fake)))).toEqual(ALL);
    expect(fake.items.size).toBe(1);
  });

  test("a value whose key is lost stays as it is and opens when the key is back; the others are resealed", async () => {
    const fake = fakeKeychain();
    await openSealedStore(folder, keys(fake)).put(ref("a"), null, () => "value a");
    const lost = new Map(fake.items);
    fake.items.clear();
    const given = keys(fake);
    const store = openSealedStore(folder, given);
    await store.put(ref("b"), null, () => "value b");
    expect(await store.rotate(given.keychain)).toMatchObject({ resealed: 1, left: 1 });
    for (const [account, key] of lost) fake.items.set(account, key);
    const fresh = openSealedStore(folder, keys(fake));
    expect([await fresh.open(ref("a")), await fresh.open(ref("b"))]).toEqual(["value a", "value b"]);
    expect(fake.items.size).toBe(2);
  });

  test("an old key that the keychain does not let go is removed at the next use of another process", async () => {
    const fake = fakeKeychain();
    await filled(openSealedStore(folder, keys(fake)));
    const given = keys({
      ...fake,
      keychain: async (account) => ({
        ...(await fake.keychain(account)),
        deleteCredential: async () => Promise.reject(new Error("the bus went away")),
      }),
    });
    expect(await openSealedStore(folder, given).rotate(given.keychain)).toMatchObject({ keys_to_remove: 1 });
    expect(fake.items.size).toBe(2);
    expect(await values(openSealedStore(folder, keys(fake)))).toEqual(ALL);
    await expect.poll(() => fake.items.size).toBe(1);
    await expect.poll(() => contentOf(folder).leftover_keys).toEqual([]);
  });

  test("there and back again, with nothing sealed and with something", async () => {
    const given = keys();
    const store = openSealedStore(folder, given);
    expect(await store.rotate(cheapPassphrase("one two three"))).toMatchObject({
      resealed: 0,
      sealed_with: "passphrase",
    });
    await filled(store);
    expect(contentOf(folder).keys.map(({ source }) => source)).toEqual(["passphrase"]);
    await store.rotate(given.keychain);
    expect(contentOf(folder).keys.map(({ source }) => source)).toEqual(["keychain"]);
    expect(await values(store)).toEqual(ALL);
    expect(await store.report()).toMatchObject({ sealing: "keychain", values: 4, keys_to_remove: 0 });
  });
});
