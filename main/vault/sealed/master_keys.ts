/** Finds the key that a value was sealed with, and the one that new values are sealed with. */
import type { HealthCheck } from "../../contract/local_api.ts";
import { Refusal } from "../refusal.ts";
import type { KeySource } from "./key_source.ts";
import type { KeyEntry, SealedContent } from "./sealed_file.ts";

export interface SealingKey {
  entry: KeyEntry;
  key: Buffer;
}

export class MasterKeys {
  /** Seals what is new: the passphrase when there is one, because a person asked for it, else the keychain. */
  readonly #sealing: KeySource;
  readonly #sources: readonly KeySource[];
  /** Keys that were read once stay here, so that a keychain is asked once per start. */
  readonly #known = new Map<string, Buffer>();
  #made: Promise<SealingKey> | null = null;

  /** @param passphrase null when no passphrase was given */
  constructor(keychain: KeySource, passphrase: KeySource | null) {
    this.#sealing = passphrase ?? keychain;
    this.#sources = passphrase === null ? [keychain] : [passphrase, keychain];
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

  /** Made once: callers at the same time, and one after a failed write, get the same. */
  async #newKey(): Promise<SealingKey> {
    this.#made ??= this.#sealing.create().catch((error: unknown) => {
      this.#made = null;
      throw error;
    });
    const made = await this.#made;
    this.#known.set(made.entry.id, made.key);
    return made;
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
    const source = this.#sources.find(({ name }) => name === entry.source);
    if (source === undefined) {
      throw new Refusal(
        400,
        "invalid_request_error",
        "This credential was sealed with a passphrase. Nothing was changed. Set LONGHAUL_VAULT_PASSPHRASE to it and start Longhaul again.",
        "passphrase_needed",
      );
    }
    const key = await source.read(entry);
    if (key !== null) this.#known.set(entry.id, key);
    return key;
  }
}
