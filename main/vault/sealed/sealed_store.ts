/** Sealed values by id, in one file. Values leave only by {@link SealedStore.open}, for use inside this process. */
import type { HealthCheck } from "../../contract/local_api.ts";
import type { SecretRef } from "../../contract/vaults/broker_api.ts";
import { Refusal } from "../refusal.ts";
import { newKeyId } from "./key_check.ts";
import type { KeySource } from "./key_source.ts";
import type { MasterKeys } from "./master_keys.ts";
import { contextOf, reseal } from "./rotation.ts";
import { openText, sealText } from "./seal.ts";
import type { ModelSetting, SealedContent, SealedFile, SealedRecord } from "./sealed_file.ts";
import type { SealedWatcher } from "./watcher.ts";

/** A value and what it is bound to. */
export interface SealedValue extends SecretRef {
  issuer: string;
}

export interface Rotated {
  /** Values that are sealed with the new key now. */
  resealed: number;
  /** Values that could not be opened because their key or text is lost; kept as they are. */
  left: number;
  sealed_with: KeySource["name"];
  /** Old keys that the keychain did not let go yet. */
  keys_to_remove: number;
}

export interface StoreReport {
  /** What seals new values. */
  sealing: KeySource["name"];
  values: number;
  keys: { source: KeySource["name"]; values: number }[];
  keys_to_remove: number;
}

/** Where the credential of the model endpoint is sealed: ids that no vault, credential or session can have. */
export const MODEL_VAULT = "longhaul";

const modelRef = ({ base_url, credential }: ModelSetting): SealedValue => ({
  vault_id: MODEL_VAULT,
  credential_id: `model_${credential}`,
  secret_id: "model",
  issuer: base_url,
});
/** `vault_id` of values that the broker keeps for itself. They are not listed, because no record of the engine names them. */
export const BROKERS_OWN = "broker";

export class SealedStore {
  readonly #file: SealedFile;
  readonly #keys: MasterKeys;
  readonly #watcher: SealedWatcher | null;
  /** How many keys had been read when the watcher was told of everything. */
  #keysTold = 0;
  /** Changes run one after the other: each reads the file, changes it and writes it. */
  #queue: Promise<unknown> = Promise.resolve();
  #rotating: Promise<Rotated> | null = null;
  #tidied = false;

  constructor(file: SealedFile, keys: MasterKeys, watcher: SealedWatcher | null = null) {
    this.#file = file;
    this.#keys = keys;
    this.#watcher = watcher;
  }

  /**
   * Seals a value; durable when it resolves. Rejects with Refusal, and then nothing was changed.
   * @param textOf makes the value from the one with the id `from` (null when that is null)
   */
  async put(ref: SealedValue, from: string | null, textOf: (before: string | null) => string): Promise<void> {
    // A keychain may take its time: that must not hold up the changes behind this one.
    await this.#keys.forSealing(await this.#file.read());
    await this.#change(async (content) => {
      const before = from === null ? null : await this.#open(content, { ...ref, secret_id: from });
      await this.#seal(content, ref, textOf(before));
      return true;
    });
  }

  /** Rejects with Refusal when no value could be sealed now: what is about to cost a person effort asks first. */
  async ready(): Promise<void> {
    await this.#keys.forSealing(await this.#file.read());
  }

  /** The value. Rejects with Refusal: 404 `value_missing` when there is none, else what keeps it from being opened. */
  async open(ref: SealedValue): Promise<string> {
    const content = await this.#file.read();
    const text = await this.#open(content, ref);
    // The keychain answers now. Of a process that was killed while it rotated.
    if (content.leftover_keys.length > 0 && !this.#tidied) void this.#tidy().catch(() => undefined);
    if (this.#watcher === null) return text;
    this.#watcher.readable([text]);
    this.#tell(content);
    await this.#watcher.beforeUse();
    return text;
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

  /** The model endpoint that a person entered; null when there is none. Needs no key. */
  async model(): Promise<ModelSetting | null> {
    return (await this.#file.read()).model;
  }

  /** Its credential. Rejects with Refusal like {@link open}. */
  openModel(setting: ModelSetting): Promise<string> {
    return this.open(modelRef(setting));
  }

  /**
   * Takes the place of the former endpoint and its credential in one write; null removes both.
   * @param text the credential; null for an endpoint that wants none, and then no key is needed
   */
  async setModel(setting: ModelSetting | null, text: string | null): Promise<void> {
    if (text !== null) await this.#keys.forSealing(await this.#file.read());
    await this.#change(async (content) => {
      content.records = content.records.filter(({ vault_id }) => vault_id !== MODEL_VAULT);
      content.model = setting;
      if (setting !== null && text !== null) await this.#seal(content, modelRef(setting), text);
      return true;
    });
  }

  /**
   * Seals everything with a new key of `to` in one write, then removes the old keys from the keychain. Killed anywhere it
   * leaves either all of the old state or all of the new one, and at most a key in the keychain that seals nothing, which
   * the next use removes. Rejects with Refusal; then nothing was changed.
   */
  rotate(to: KeySource): Promise<Rotated> {
    if (this.#rotating !== null) {
      const text = "The key is being rotated already. Wait for that to end.";
      return Promise.reject(new Refusal(409, "conflict_error", text));
    }
    this.#rotating = this.#rotate(to).finally(() => {
      this.#rotating = null;
    });
    return this.#rotating;
  }

  async #rotate(to: KeySource): Promise<Rotated> {
    const id = newKeyId();
    // Written down first: nobody could find a key in the keychain whose name is known to a dead process only.
    if (to.name === "keychain") {
      await this.#change(async (content) => {
        content.leftover_keys.push(id);
        return true;
      });
    }
    // A keychain may take its time: that must not hold up the changes.
    const made = await to.create(id);
    let done = { resealed: 0, left: 0 };
    await this.#change(async (content) => {
      const next = await reseal(content, made, (record) => this.#open(content, record));
      Object.assign(content, next.content);
      done = { resealed: next.resealed, left: next.left };
      return true;
    });
    this.#keys.adopt(to, made);
    // Old keys that stay for now are tried again at the next use.
    await this.#removeLeftovers().catch(() => undefined);
    const { leftover_keys } = await this.#file.read();
    return { ...done, sealed_with: to.name, keys_to_remove: leftover_keys.length };
  }

  async #tidy(): Promise<void> {
    // A key that is being made is in the list too.
    if (this.#rotating !== null) return;
    this.#tidied = true;
    await this.#removeLeftovers();
  }

  async #removeLeftovers(): Promise<void> {
    const { leftover_keys, keys } = await this.#file.read();
    const gone: string[] = [];
    let failure: unknown = null;
    for (const id of leftover_keys) {
      try {
        if (!keys.some((entry) => entry.id === id)) await this.#keys.keychain.remove(id);
        gone.push(id);
      } catch (error) {
        failure = error;
      }
    }
    if (gone.length > 0) {
      await this.#change(async (content) => {
        content.leftover_keys = content.leftover_keys.filter((id) => !gone.includes(id));
        return true;
      });
    }
    if (failure !== null) throw failure;
  }

  /** How things stand, without asking a keychain for anything. Rejects with Refusal when the file cannot be read. */
  async report(): Promise<StoreReport> {
    const { keys, records, leftover_keys } = await this.#file.read();
    return {
      sealing: this.#keys.sealing.name,
      values: records.length,
      keys: keys.map(({ id, source }) => ({ source, values: records.filter(({ key_id }) => key_id === id).length })),
      keys_to_remove: leftover_keys.length,
    };
  }

  /** Ids of everything that is sealed for vaults and sessions. */
  async list(): Promise<SecretRef[]> {
    const { records } = await this.#file.read();
    const theirs = records.filter(({ vault_id }) => vault_id !== MODEL_VAULT && vault_id !== BROKERS_OWN);
    return theirs.map(({ vault_id, credential_id, secret_id }) => ({ vault_id, credential_id, secret_id }));
  }

  /** What can be said of it for health; never rejects. */
  async status(): Promise<HealthCheck> {
    try {
      const content = await this.#file.read();
      const status = await this.#keys.status(content);
      this.#tell(content);
      return status;
    } catch (error) {
      const summary = error instanceof Refusal ? error.message : "The sealed credentials cannot be looked at.";
      return { state: "missing", summary, advice: "Everything else works; the broker's log may say more." };
    }
  }

  /**
   * A key that was read for one value, whatever for, opens others: the watcher learns them all, and no keychain is asked.
   * Those of a locked keychain come when it is first opened; until then nothing can be done with them.
   */
  #tell({ keys, records }: SealedContent): void {
    if (this.#watcher === null || this.#keysTold === this.#keys.count) return;
    this.#keysTold = this.#keys.count;
    const texts = records.map((record) => {
      const entry = keys.find(({ id }) => id === record.key_id);
      const key = entry === undefined ? null : this.#keys.known(entry);
      return entry === undefined || key === null ? null : openText(key, contextOf(record, entry.id), record);
    });
    this.#watcher.readable(texts.filter((text) => text !== null));
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
      this.#tell(content);
    });
    this.#queue = mine.catch(() => undefined);
    return mine;
  }
}

function valueMissing(why: string): Refusal {
  const message = `The value of this credential is not there (${why}). Archive the credential and create a new one.`;
  return new Refusal(404, "not_found_error", message, "value_missing");
}
