/** Port: where a master key is kept. Adapters: `keychain.ts`, `passphrase.ts`. */
import type { HealthCheck } from "../../contract/local_api.ts";
import type { KeyEntry } from "./sealed_file.ts";

export interface KeySource {
  readonly name: KeyEntry["source"];
  /**
   * A new key and its entry, kept where the source keeps keys. Rejects with Refusal in words that say what to do.
   * @param id a name for it, by which it can be removed also when this process dies meanwhile; without one, callers at the
   *   same time get the same key
   */
  create(id?: string): Promise<{ entry: KeyEntry; key: Buffer }>;
  /**
   * The key of an entry. Null when it is certainly not there any more; a source that cannot be asked, or that gives
   * another key, rejects with Refusal.
   */
  read(entry: KeyEntry): Promise<Buffer | null>;
  /** Removes a key for good; one that is not there is no error. Rejects with Refusal when the source cannot be asked. */
  remove(id: string): Promise<void>;
  /** What can be said without asking anybody for anything. */
  status(): Promise<HealthCheck>;
}
