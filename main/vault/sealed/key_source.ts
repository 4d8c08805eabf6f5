/** Port: where a master key is kept. Adapters: `keychain.ts`, `passphrase.ts`. */
import type { HealthCheck } from "../../contract/local_api.ts";
import type { KeyEntry } from "./sealed_file.ts";

export interface KeySource {
  readonly name: KeyEntry["source"];
  /** A new key and its entry, kept where the source keeps keys. Rejects with Refusal in words that say what to do. */
  create(): Promise<{ entry: KeyEntry; key: Buffer }>;
  /**
   * The key of an entry. Null when it is certainly not there any more; a source that cannot be asked, or that gives
   * another key, rejects with Refusal.
   */
  read(entry: KeyEntry): Promise<Buffer | null>;
  /** What can be said without asking anybody for anything. */
  status(): Promise<HealthCheck>;
}
