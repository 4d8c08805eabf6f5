/**
 * Keeps the records and the broker's sealed values together without a transaction across both: a value is sealed under a
 * fresh id first, then the record that names it is written, then the value it took the place of is removed. A crash in
 * between leaves a value that no record names, never a record without its value; {@link CredentialValues.sweep} removes
 * such values.
 */
import { randomBytes } from "node:crypto";
import { type CredentialHalves, isWhole } from "../../../../contract/vaults/auth.ts";
import type { CredentialVault } from "../../../../contract/vaults/broker_api.ts";
import type { Records } from "../../../../session/records/records.ts";
import { allCredentials, type CredentialRecord, everyRecord, repositoryTokens } from "../records.ts";
import { signInTable } from "../sign_in_records.ts";

/** Milliseconds until removing is tried again after the broker could not do it; doubled each time. */
const AGAIN_MS = 5_000;
const AT_MOST_MS = 300_000;
/** More than can wait at a time. */
const MOST_SIGN_INS = 1_000;

export class CredentialValues {
  readonly #records: Records;
  readonly #vault: CredentialVault;
  /** Values whose record is being written: a sweep at that moment must not take them for nobody's. */
  readonly #underWay = new Set<string>();
  #sweeping: Promise<void> | null = null;
  #again: NodeJS.Timeout | null = null;
  #wait = AGAIN_MS;

  constructor(records: Records, vault: CredentialVault) {
    this.#records = records;
    this.#vault = vault;
  }

  /**
   * Seals a value and hands its id to `write`, which stores the record. Rejects as either of them does; a value whose
   * record was not stored is removed then.
   * @param before the record that the new one takes the place of; its secrets are kept where there are no new ones
   */
  async sealed<T>(
    credential: { id: string; vault_id: string },
    before: Pick<CredentialRecord, "secret_id"> | null,
    halves: CredentialHalves,
    write: (secretId: string) => Promise<T>,
  ): Promise<T> {
    const secret_id = randomBytes(16).toString("hex");
    const { id: credential_id, vault_id } = credential;
    // A whole new value needs no former one: it also mends a credential whose value cannot be opened any more.
    const from = isWhole(halves) ? null : (before?.secret_id ?? null);
    this.#underWay.add(secret_id);
    let result: T;
    try {
      await this.#vault.seal({ vault_id, credential_id, secret_id, from, ...halves });
      result = await write(secret_id);
    } catch (error) {
      // A broker that did not answer may have sealed it all the same.
      await this.remove([secret_id]);
      throw error;
    } finally {
      this.#underWay.delete(secret_id);
    }
    if (before?.secret_id != null) await this.remove([before.secret_id]);
    return result;
  }

  /** Removes values that no record names any more. When the broker is away it is done as soon as it is back. */
  async remove(secretIds: readonly string[]): Promise<void> {
    if (secretIds.length === 0) return;
    try {
      await this.#vault.purge(secretIds);
    } catch {
      this.#later();
    }
  }

  /** Removes a value after a last use of it, during which no sweep does. Rejects as `use` does; the value is gone all the same. */
  async retire<T>(secretId: string, use: () => Promise<T>): Promise<T> {
    this.#underWay.add(secretId);
    try {
      return await use();
    } finally {
      this.#underWay.delete(secretId);
      await this.remove([secretId]);
    }
  }

  /** Removes what a crash left: every sealed value that no active credential names. Never rejects. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = null;
    });
    return this.#sweeping;
  }

  async #sweep(): Promise<void> {
    try {
      // In this order: a value in the list was either under way afterwards, or its record is found after that.
      const sealed = await this.#vault.sealed();
      this.#wait = AGAIN_MS;
      if (sealed.length === 0) return;
      const kept = new Set(this.#underWay);
      // Before the credentials: one that ends meanwhile has written its credential by then.
      for (const { secret_id } of await signInTable(this.#records).list({
        states: ["waiting"],
        limit: MOST_SIGN_INS,
      })) {
        kept.add(secret_id);
      }
      for (const { secret_id } of await allCredentials(this.#records, { include_archived: false })) {
        if (secret_id !== null) kept.add(secret_id);
      }
      for (const { secret_id } of await everyRecord(repositoryTokens(this.#records), {})) kept.add(secret_id);
      const left = sealed.map(({ secret_id }) => secret_id).filter((id) => !kept.has(id));
      if (left.length > 0) await this.#vault.purge(left);
    } catch {
      this.#later();
    }
  }

  #later(): void {
    if (this.#again !== null) return;
    this.#again = setTimeout(() => {
      this.#again = null;
      void this.sweep();
    }, this.#wait);
    this.#wait = Math.min(this.#wait * 2, AT_MOST_MS);
    // The next engine sweeps at its start.
    this.#again.unref();
  }
}
