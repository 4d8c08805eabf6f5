/** A new master key for everything that is sealed: what the file holds afterwards. */
import { Refusal } from "../refusal.ts";
import type { SealingKey } from "./master_keys.ts";
import { sealText } from "./seal.ts";
import type { SealedContent, SealedRecord } from "./sealed_file.ts";

/** What keeps a value from ever being opened again by itself; everything else passes or needs a person first. */
const LOST = new Set(["key_missing", "value_missing"]);

export interface Resealed {
  content: SealedContent;
  /** Values that are sealed with the new key. */
  resealed: number;
  /** Values whose key or text is lost: kept as they are, in case the key comes back. */
  left: number;
}

/**
 * Seals every value with `made`. Rejects with the Refusal of the first one that cannot be opened now but may be later: a
 * half-done rotation would leave two keys to keep.
 * @param open the value of a record
 */
export async function reseal(
  before: SealedContent,
  made: SealingKey,
  open: (record: SealedRecord) => Promise<string>,
): Promise<Resealed> {
  const records: SealedRecord[] = [];
  let left = 0;
  for (const record of before.records) {
    const text = await textOf(record, open);
    if (text === null) {
      left += 1;
      records.push(record);
      continue;
    }
    const sealed = sealText(made.key, contextOf(record, made.entry.id), text);
    records.push({ ...record, key_id: made.entry.id, ...sealed });
  }
  const used = new Set(records.map(({ key_id }) => key_id));
  const kept = before.keys.filter(({ id }) => used.has(id));
  const leaves = before.keys.filter(({ id, source }) => source === "keychain" && !used.has(id)).map(({ id }) => id);
  const leftover = new Set([...before.leftover_keys, ...leaves]);
  leftover.delete(made.entry.id);
  const content = { ...before, records, keys: [...kept, made.entry], leftover_keys: [...leftover] };
  return { content, resealed: records.length - left, left };
}

async function textOf(record: SealedRecord, open: (record: SealedRecord) => Promise<string>): Promise<string | null> {
  try {
    return await open(record);
  } catch (error) {
    if (error instanceof Refusal && LOST.has(error.code ?? "")) return null;
    throw error;
  }
}

/** What a value is bound to: it cannot be opened in another place, and not for another server or name. */
export function contextOf(
  record: Pick<SealedRecord, "vault_id" | "credential_id" | "secret_id" | "issuer">,
  keyId: string,
): string {
  const { vault_id, credential_id, secret_id, issuer } = record;
  return JSON.stringify(["longhaul.credential", 1, vault_id, credential_id, secret_id, issuer, keyId]);
}
