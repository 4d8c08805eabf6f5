/** Finds the key that a value was sealed with, and the one that new values are sealed with. */
import type { HealthCheck } from "../../contract/local_api.ts";
import { Refusal } from "../refusal.ts";
import type { KeySource } from "./key_source.ts";
import type { KeyEntry, SealedContent } from "./sealed_file.ts";

export interface SealingKey {
  entry: KeyEntry;
  key: Buffer;
}

/**
 * How long a key from the keychain stays in memory. For the whole life of this process would mean that a keychain which
 * its owner locks goes on being open here; not at all would ask the keychain for every request of every session.
 */
const KEEP_MS = 60_000;

export class MasterKeys {
  /** Seals what is new: the passphrase when there is one, because a person asked for it, else the keychain. */
  #sealing: KeySource;
  #passphrase: KeySource | null;
  readonly #keychain: KeySource;
  readonly #keepMs: number;
  /** A passphrase's key stays: making it again takes half a second, and the passphrase is in memory anyway. */
  readonly #known = new Map<string, Buffer>();
  #made: Promise<KeyEntry> | null = null;

  /** @param passphrase null when no passphrase was given */
  constructor(keychain: KeySource, passphrase: KeySource | null, keepMs: number = KEEP_MS) {
    this.#keychain = keychain;
    this.#passphrase = passphrase;
    this.#sealing = passphrase ?? keychain;
    this.#keepMs = keepMs;
  }

  /** The source with which new values are sealed. */
  get sealing(): KeySource {
    return this.#sealing;
  }

  get keychain(): KeySource {
    return this.#keychain;
  }

  /** How many keys were read or made so far. */
  get count(): number {
    return this.#known.size;
  }

  /** The key of an entry if it was read already; asks nobody. */
  known(entry: KeyEntry): Buffer | null {
    return this.#known.get(entry.id) ?? null;
  }

  /** Rejects with Refusal when the key cannot be had, in words that say why and what to do. */
  async read(entry: KeyEntry): Promise<Buffer> {
    const key = await this.#read(entry);
    if (key !== null) return key;
    throw new Refusal(
      400,
      "invalid_request_error",
      "The key with which this credential was sealed is no longer in the keychain, so its value cannot be read. Put the key back (from a backup of the keychain), or update the credential with all of its values, or archive it and create a new one.",
      "key_missing",
    );
  }

  /**
   * The key for new values: the newest of its source that can be had. One is made when there is none, or when the
   * keychain has certainly lost it: what was sealed with the lost one is kept in case it comes back.
   */
  async forSealing({ keys, records }: SealedContent): Promise<SealingKey> {
    for (const entry of keys.toReversed()) {
      if (entry.source !== this.#sealing.name) continue;
      // Nothing depends on a key that seals nothing: a new passphrase is no contradiction then.
      if (entry.source === "passphrase" && !records.some(({ key_id }) => key_id === entry.id)) continue;
      const key = await this.#read(entry);
      if (key !== null) return { entry, key };
    }
    return this.#newKey();
  }

  /** From now on new values are sealed with keys of `source`; every value that could be opened is sealed with `made`. */
  adopt(source: KeySource, made: SealingKey): void {
    this.#sealing = source;
    if (source.name === "passphrase") this.#passphrase = source;
    // Keys that are removed from the keychain must not seal anything more.
    this.#known.clear();
    this.#made = null;
    this.#keep(made.entry, made.key);
  }

  /** Made once: callers at the same time, and one after a failed write, get the same. */
  async #newKey(): Promise<SealingKey> {
    this.#made ??= this.#sealing.create().then(
      ({ entry, key }) => {
        this.#keep(entry, key);
        return entry;
      },
      (error: unknown) => {
        this.#made = null;
        throw error;
      },
    );
    const entry = await this.#made;
    const key = await this.#read(entry);
    if (key !== null) return { entry, key };
    // The keychain lost it before anything was sealed with it.
    this.#made = null;
    return this.#newKey();
  }

  /** Whether new values can be sealed, and stored ones opened, as far as that is known without asking a person. */
  async status({ keys, records }: SealedContent): Promise<HealthCheck> {
    const used = keys.filter(({ id, source }) => source === "passphrase" && records.some((row) => row.key_id === id));
    try {
      // A passphrase is checked by itself; a keychain could ask its owner.
      for (const entry of used) await this.#read(entry);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const [summary = "", ...advice] = error.message.split(/(?<=\.) /);
      return { state: "missing", summary, advice: advice.join(" ") };
    }
    return this.#sealing.status();
  }

  async #read(entry: KeyEntry): Promise<Buffer | null> {
    const known = this.#known.get(entry.id);
    if (known !== undefined) return known;
    const source = entry.source === "keychain" ? this.#keychain : this.#passphrase;
    if (source === null) {
      throw new Refusal(
        400,
        "invalid_request_error",
        "This credential was sealed with a passphrase. Nothing was changed. Set LONGHAUL_VAULT_PASSPHRASE to it and start Longhaul again.",
        "passphrase_needed",
      );
    }
    const key = await source.read(entry);
    if (key !== null) this.#keep(entry, key);
    return key;
  }

  #keep(entry: KeyEntry, key: Buffer): void {
    this.#known.set(entry.id, key);
    if (entry.source !== "keychain") return;
    setTimeout(() => this.#known.delete(entry.id), this.#keepMs).unref();
  }
}
