import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { SecretScanner } from "../../contract/secrets/scanner.ts";
import { type Keys, openSealedStore } from "../sealed/open_store.ts";
import type { SealedStore, SealedValue } from "../sealed/sealed_store.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "../sealed/testing/keys.ts";
import { printKey } from "./keys.ts";
import { printsOfSealed } from "./of_sealed.ts";
import { Prints } from "./prints.ts";

const LAUNCH = "cd".repeat(32);
const never = new AbortController().signal;

function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "longhaul-prints-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A start of the broker on a data directory. */
function opened(dir: string, keys: Keys): { store: SealedStore; prints: Prints; hides: (text: string) => boolean } {
  const prints = new Prints(LAUNCH, []);
  const store = openSealedStore(dir, keys, { watcher: printsOfSealed(prints) });
  const hides = (text: string): boolean => {
    const scanner = new SecretScanner(printKey(LAUNCH));
    scanner.add(prints.all());
    return scanner.mask(text) !== text;
  };
  return { store, prints, hides };
}

const refOf = (digit: string): SealedValue => ({
  vault_id: "vlt_1",
  credential_id: `vcrd_${digit}`,
  secret_id: digit.repeat(32),
  issuer: "https://mcp.example.com/",
});
const auth = {
  type: "mcp_oauth",
  mcp_server_url: "https://mcp.example.com/",
  refresh: { client_id: "public-client-id" },
};
const grant = (token: string): string =>
  JSON.stringify({ auth, secrets: { access_token: token, refresh_token: `${token}-r` } });

test("one opened value brings all that its key opens; what is shown of them is no secret", async () => {
  const dir = freshDir();
  const keychain = keychainKeys(fakeKeychain());
  const before = opened(dir, { keychain, passphrase: null });
  await before.store.put(refOf("1"), null, () => grant("first-token-0123"));
  await before.store.put(refOf("2"), null, () => grant("second-token-0123"));
  await before.store.put(refOf("3"), null, () =>
    JSON.stringify({ client_id: "public-client-id", client_secret: "third-secret-0123" }),
  );
  await before.store.put(refOf("4"), null, () => "a bare text of its own");

  const after = opened(dir, { keychain, passphrase: null });
  await after.store.list();
  // Nobody has asked the keychain yet, and this must not be what asks it.
  expect(after.prints.all()).toEqual([]);
  await after.store.open(refOf("1"));
  for (const value of [
    "first-token-0123",
    "first-token-0123-r",
    "second-token-0123",
    "third-secret-0123",
    "a bare text of its own",
  ]) {
    expect(after.hides(value), value).toBe(true);
  }
  for (const shown of ["https://mcp.example.com/", "public-client-id", "mcp_oauth"])
    expect(after.hides(shown)).toBe(false);
});

test("values of a passphrase are known as soon as the store is looked at, without a use", async () => {
  const dir = freshDir();
  const keys = (): Keys => ({ keychain: keychainKeys(fakeKeychain()), passphrase: cheapPassphrase() });
  await opened(dir, keys()).store.put(refOf("1"), null, () => grant("first-token-0123"));
  const after = opened(dir, keys());
  await after.store.status();
  expect(after.hides("first-token-0123")).toBe(true);
});

test("a value is not handed out before the engine has its print", async () => {
  const dir = freshDir();
  const keys = { keychain: keychainKeys(fakeKeychain()), passphrase: null };
  await opened(dir, keys).store.put(refOf("1"), null, () => grant("first-token-0123"));
  const { store, prints } = opened(dir, keys);
  const first = await prints.list("", 0, never);
  const order: string[] = [];
  const opening = store.open(refOf("1")).then(() => order.push("handed out"));
  const { version } = await prints.list(first.version, 60_000, never);
  order.push("told");
  await prints.list(version, 0, never);
  await opening;
  expect(order).toEqual(["told", "handed out"]);
});

test("a value that cannot be opened keeps no other from being learned", async () => {
  const dir = freshDir();
  const keychain = keychainKeys(fakeKeychain());
  const before = opened(dir, { keychain, passphrase: cheapPassphrase() });
  await before.store.put(refOf("1"), null, () => grant("first-token-0123"));
  const other = opened(dir, { keychain, passphrase: null });
  await other.store.put(refOf("2"), null, () => grant("second-token-0123"));
  const after = opened(dir, { keychain, passphrase: null });
  await after.store.open(refOf("2"));
  expect(after.hides("second-token-0123")).toBe(true);
  expect(after.hides("first-token-0123")).toBe(false);
});
