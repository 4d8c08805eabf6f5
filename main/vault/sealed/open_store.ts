/** The sealed credentials of a data directory, with the keys of this machine. */
import { join } from "node:path";
import type { KeySource } from "./key_source.ts";
import { KeychainKeys } from "./keychain.ts";
import { MasterKeys } from "./master_keys.ts";
import { PassphraseKeys } from "./passphrase.ts";
import { SealedFile } from "./sealed_file.ts";
import { SealedStore } from "./sealed_store.ts";
import type { SealedWatcher } from "./watcher.ts";

export interface Keys {
  keychain: KeySource;
  /** Null when the person gave none. */
  passphrase: KeySource | null;
  /** Keys of another passphrase, when the person changes to one; for tests. */
  fromPassphrase?: (passphrase: string) => KeySource;
}

/** The keychain of this system, and the passphrase that seals in place of it when there is one. */
export function systemKeys(passphrase: string | null): Keys {
  return {
    keychain: new KeychainKeys(),
    passphrase: passphrase === null ? null : new PassphraseKeys(passphrase),
  };
}

export interface StoreOptions {
  /** Told of every value that can be read. */
  watcher?: SealedWatcher;
  /** Milliseconds that a key from the keychain stays in memory. */
  keepMs?: number;
}

/** Touches neither disk nor keychain before it is used. */
export function openSealedStore(
  dataDir: string,
  { keychain, passphrase }: Keys,
  { watcher, keepMs }: StoreOptions = {},
): SealedStore {
  const file = new SealedFile(join(dataDir, "vault", "credentials.json"));
  return new SealedStore(file, new MasterKeys(keychain, passphrase, keepMs), watcher);
}
