/** Master keys derived from a passphrase that a person gives at start (LONGHAUL_VAULT_PASSPHRASE). */
import { randomBytes, type ScryptOptions, scrypt } from "node:crypto";
import { promisify } from "node:util";
import type { HealthCheck } from "../../contract/local_api.ts";
import { Refusal } from "../refusal.ts";
import { isKey, keyCheck, newKeyId } from "./key_check.ts";
import type { KeySource } from "./key_source.ts";
import { KEY_BYTES } from "./seal.ts";
import type { KeyEntry } from "./sealed_file.ts";

export interface ScryptCost {
  n: number;
  r: number;
  p: number;
}

/** 128 MiB and about half a second: what OWASP asks of scrypt. */
export const SCRYPT_COST: ScryptCost = { n: 131_072, r: 8, p: 1 };

const derive = promisify<string, Buffer, number, ScryptOptions, Buffer>(scrypt);

export class PassphraseKeys implements KeySource {
  readonly name = "passphrase";
  readonly #passphrase: string;
  readonly #cost: ScryptCost;
  /** Entries that this passphrase does not fit: finding that out takes half a second. */
  readonly #misfits = new Set<string>();

  constructor(passphrase: string, cost: ScryptCost = SCRYPT_COST) {
    // Keyboards differ in how they compose the same letter.
    this.#passphrase = passphrase.normalize("NFKC");
    this.#cost = cost;
  }

  async create(id: string = newKeyId()): Promise<{ entry: KeyEntry; key: Buffer }> {
    const salt = randomBytes(16).toString("base64");
    const key = await this.#derive(salt, this.#cost);
    const kdf = { name: "scrypt" as const, salt, ...this.#cost };
    return { entry: { id, source: "passphrase", kdf, check: keyCheck(id, key) }, key };
  }

  async read(entry: KeyEntry): Promise<Buffer | null> {
    if (entry.source !== "passphrase") return null;
    const key = this.#misfits.has(entry.id) ? null : await this.#derive(entry.kdf.salt, entry.kdf);
    if (key !== null && isKey(entry, key)) return key;
    this.#misfits.add(entry.id);
    throw new Refusal(
      400,
      "invalid_request_error",
      "LONGHAUL_VAULT_PASSPHRASE is not the passphrase with which the stored credentials were sealed. Nothing was changed. Start Longhaul again with the right one.",
      "passphrase_wrong",
    );
  }

  /** Nothing is kept of it anywhere. */
  remove(): Promise<void> {
    return Promise.resolve();
  }

  async status(): Promise<HealthCheck> {
    const summary = "Credentials are sealed with the passphrase from LONGHAUL_VAULT_PASSPHRASE.";
    return { state: "ok", summary, advice: null };
  }

  #derive(salt: string, { n, r, p }: ScryptCost): Promise<Buffer> {
    const options = { N: n, r, p, maxmem: 256 * n * r };
    return derive(this.#passphrase, Buffer.from(salt, "base64"), KEY_BYTES, options);
  }
}
