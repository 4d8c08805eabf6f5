/** Sealed values by id, in one file. Values leave only by {@link SealedStore.open}, for use inside this process. */
import type { HealthCheck } from "../../contract/local_api.ts";
import type { SecretRef } from "../../contract/vaults/broker_api.ts";
import { Refusal } from "../refusal.ts";
import type { MasterKeys } from "./master_keys.ts";
import { openText, sealText } from "./seal.ts";
import type { SealedContent, SealedFile, SealedRecord } from "./sealed_file.ts";

/** A value and what it is bound to. */
export interface SealedValue extends SecretRef {
  issuer: string;
}

/** `vault_id` of values that the broker keeps for itself. They are not listed, because no record of the engine names them. */
export const BROKERS_OWN = "broker";

export class SealedStore {
  readonly #file: SealedFile;
  readonly #keys: MasterKeys;
  /** Changes run one after the other: each reads the file, changes it and writes it. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(file: SealedFile, keys: MasterKeys) {
    this.#file = file;
    this.#keys = keys;
  }

  /**
   * Seals a value; durable when it resolves. Rejects with Refusal, and then nothing was changed.
   * @param textOf makes the value from the one with the id `from` (null when that is null)
   */
  async put(ref: SealedValue, from: string | null, textOf: (before: string | null) => string): Promise<void> {
    // A keychain may take its time: that must not hold up the changes behind this one.
    await this.#keys.forSealing(await this.#file.read());
    return this.#change(async (content) => {
      const before = from === null ? null : await this.#open(content, { ...ref, secret_id: from });
      await this.#seal(content, ref, textOf(before));
      return true;
    });
  }

  /** The value. Rejects with Refusal: 404 `value_missing` when there is none, else what keeps it from being opened. */
  async open(ref: SealedValue): Promise<string> {
    return this.#open(await this.#file.read(), ref);
  }

  /** Changes every value of a credential in one write; null from `change` leaves a value as it is. */
  rewrite({ credential_id, issuer }: SealedValue, change: (text: string) => string | null): Promise<void> {
    return this.#change(async (content) => {
      let changed = false;
      for (const record of content.records.filter(
        (row) => row.credential_id === credential_id && row.issuer === issuer,
      )) {
        const text = change(await this.#open(content, record));
        if (text === null) continue;
        await this.#seal(content, record, text);
        changed = true;
      }
      return changed;
    });
  }

  /** Removes values; unknown ids are no error. Needs no key. */
  purge(secretIds: readonly string[]): Promise<void> {
    const gone = new Set(secretIds);
    return this.#change(async (content) => {
      const before = content.records.length;
      content.records = content.records.filter(({ secret_id }) => !gone.has(secret_id));
      return content.records.length < before;
    });
  }

  /** Ids of everything that is sealed for the engine: what no record of it names any more, it purges. */
  async list(): Promise<SecretRef[]> {
    const { records } = await this.#file.read();
    const listed = records.filter(({ vault_id }) => vault_id !== BROKERS_OWN);
    return listed.map(({ vault_id, credential_id, secret_id }) => ({ vault_id, credential_id, secret_id }));
  }

  /** What can be said of it for health; never rejects. */
  async status(): Promise<HealthCheck> {
    try {
      return await this.#keys.status(await this.#file.read());
    } catch (error) {
      const summary = error instanceof Refusal ? error.message : "The sealed credentials cannot be looked at.";
      return { state: "missing", summary, advice: "Everything else works; the broker's log may say more." };
    }
  }

  async #open(content: SealedContent, ref: SealedValue): Promise<string> {
    const record = content.records.find(({ secret_id }) => secret_id === ref.secret_id);
    if (record === undefined) throw valueMissing("the broker has none");
    const entry = content.keys.find(({ id }) => id === record.key_id);
    if (entry === undefined) throw valueMissing("the key it was sealed with is not in the file");
    const text = openText(await this.#keys.read(entry), contextOf(ref, entry.id), record);
    if (text === null) throw valueMissing("it was changed, or belongs to another credential");
    return text;
  }

  async #seal(content: SealedContent, ref: SealedValue, text: string): Promise<void> {
    const { vault_id, credential_id, secret_id, issuer } = ref;
    const { entry, key } = await this.#keys.forSealing(content);
    const record: SealedRecord = {
      vault_id,
      credential_id,
      secret_id,
      issuer,
      key_id: entry.id,
      ...sealText(key, contextOf(ref, entry.id), text),
    };
    content.records = [...content.records.filter((row) => row.secret_id !== secret_id), record];
    const used = new Set(content.records.map(({ key_id }) => key_id));
    const others = content.keys.filter(({ id }) => id !== entry.id && used.has(id));
    content.keys = [...others, entry];
  }

  /** `change` tells whether there is anything to write. */
  #change(change: (content: SealedContent) => Promise<boolean>): Promise<void> {
    const mine = this.#queue.then(async () => {
      const content = await this.#file.read();
      if (await change(content)) await this.#file.write(content);
    });
    this.#queue = mine.catch(() => undefined);
    return mine;
  }
}

/** What a value is bound to: it cannot be opened in another place, and not for another server or name. */
function contextOf({ vault_id, credential_id, secret_id, issuer }: SealedValue, keyId: string): string {
  return JSON.stringify(["longhaul.credential", 1, vault_id, credential_id, secret_id, issuer, keyId]);
}

function valueMissing(why: string): Refusal {
  const message = `The value of this credential is not there (${why}). Archive the credential and create a new one.`;
  return new Refusal(404, "not_found_error", message, "value_missing");
}
