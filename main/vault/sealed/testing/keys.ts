/** Sources of master keys for tests: a keychain in memory that can be away, locked or silent, and a cheap passphrase. */
import { type Keychain, KeychainKeys } from "../keychain.ts";
import { PassphraseKeys } from "../passphrase.ts";

export interface FakeKeychain {
  keychain: Keychain;
  items: Map<string, Uint8Array>;
  /** `silent`: shows its owner a prompt that nobody answers. */
  mode: "open" | "locked" | "missing" | "silent";
  /** Questions that were asked. */
  asked: number;
  /** Answers every question that waits. */
  unlock: () => void;
}

/** What the real module says, word for word. */
const WORDS = {
  locked: "Couldn't access platform storage: Secret Service: unlock prompt was dismissed",
  missing: "Platform failure: DBus error: The name org.freedesktop.secrets was not provided by any .service files",
};

export function fakeKeychain(): FakeKeychain {
  const waiting: (() => void)[] = [];
  const fake: FakeKeychain = {
    items: new Map(),
    mode: "open",
    asked: 0,
    keychain: async (account) => ({
      getSecret: () => answer(() => fake.items.get(account) ?? null, fake.items.has(account)),
      deleteCredential: () => answer(() => fake.items.delete(account), fake.items.has(account)),
      setSecret: (secret) => answer(() => void fake.items.set(account, Uint8Array.from(secret)), true),
    }),
    unlock: () => {
      fake.mode = "open";
      for (const go of waiting.splice(0)) go();
    },
  };
  /** A locked keychain still says that an item is not there. */
  async function answer<T>(give: () => T, needsLock: boolean): Promise<T> {
    fake.asked += 1;
    if (fake.mode === "missing") throw new Error(WORDS.missing);
    if (fake.mode === "locked" && needsLock) throw new Error(WORDS.locked);
    if (fake.mode === "silent" && needsLock) await new Promise<void>((resolve) => waiting.push(resolve));
    return give();
  }
  return fake;
}

export const keychainKeys = (fake: Pick<FakeKeychain, "keychain">, answerMs = 200): KeychainKeys =>
  new KeychainKeys(fake.keychain, answerMs, 0);

export const cheapPassphrase = (passphrase = "correct horse"): PassphraseKeys =>
  new PassphraseKeys(passphrase, { n: 16, r: 1, p: 1 });
