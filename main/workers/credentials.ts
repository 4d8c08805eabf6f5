/** Environment keys and item tokens: made here, kept as SHA-256 hashes only. */
import { createHash, randomBytes } from "node:crypto";
import { newId } from "../contract/ids.ts";
import { RecordTable, type RecordValue } from "../session/records/record_table.ts";
import type { Records } from "../session/records/records.ts";
import { iso } from "./item.ts";
import { type Caller, type EnvironmentKey, TooManyKeys, type WorkerCredentials } from "./port.ts";

const KEY_PREFIX = "sk-ant-oat01-";
const TOKEN_PREFIX = "sk-ant-req-";
/** No credential of ours is longer; anything else is not worth hashing. */
const MAX_LENGTH = 128;
const MAX_KEYS = 1_000;

/** What is kept of an item token. */
interface TokenRecord extends RecordValue {
  /** Its hash. */
  id: string;
  environment_id: string;
  session_id: string;
  work_id: string;
}

interface KeyRecord extends EnvironmentKey {
  hash: string;
}

export function bearerHash(bearer: string): string {
  return createHash("sha256").update(bearer).digest("hex");
}

/** 256 bits. */
export function newItemToken(): string {
  return TOKEN_PREFIX + randomBytes(32).toString("base64url");
}

/** Item tokens by the session they are for. */
export function tokenTable(records: Records): RecordTable<TokenRecord> {
  return new RecordTable<TokenRecord>(records, { kind: "work_token", scope: (token) => token.session_id });
}

/** The hash is the key, found without knowing the environment; lists filter by environment. */
function keyTable(records: Records): RecordTable<KeyRecord> {
  return new RecordTable<KeyRecord>(records, {
    kind: "environment_key",
    key: (key) => key.hash,
    state: (key) => key.environment_id,
  });
}

export class RecordCredentials implements WorkerCredentials {
  readonly #keys: RecordTable<KeyRecord>;
  readonly #tokens: RecordTable<TokenRecord>;
  readonly #now: () => number;

  constructor(records: Records, now: () => number) {
    this.#keys = keyTable(records);
    this.#tokens = tokenTable(records);
    this.#now = now;
  }

  async identify(bearer: string): Promise<Exclude<Caller, { kind: "api_key" }> | null> {
    if (bearer.length > MAX_LENGTH) return null;
    if (bearer.startsWith(KEY_PREFIX)) {
      const key = (await this.#keys.findByKey("", bearerHash(bearer)))?.value;
      if (key === undefined) return null;
      return { kind: "environment_key", environment_id: key.environment_id, key_id: key.id };
    }
    if (!bearer.startsWith(TOKEN_PREFIX)) return null;
    const token = (await this.#tokens.get(bearerHash(bearer)))?.value;
    if (token === undefined) return null;
    const { environment_id, session_id, work_id, id } = token;
    return { kind: "item_token", environment_id, session_id, work_id, hash: id };
  }

  async createKey(environmentId: string, name: string | null): Promise<{ key: EnvironmentKey; value: string }> {
    const known = await this.#keys.list({ states: [environmentId], limit: MAX_KEYS });
    if (known.length >= MAX_KEYS) throw new TooManyKeys(MAX_KEYS);
    const value = KEY_PREFIX + randomBytes(32).toString("base64url");
    const key: EnvironmentKey = {
      id: newId("environment_key"),
      environment_id: environmentId,
      name,
      hint: value.slice(-4),
      created_at: iso(this.#now()),
    };
    await this.#keys.insert({ ...key, hash: bearerHash(value) });
    return { key, value };
  }

  async listKeys(environmentId: string): Promise<EnvironmentKey[]> {
    const keys = await this.#keys.list({ states: [environmentId], limit: MAX_KEYS });
    return keys.map(({ hash: _, ...key }) => key);
  }

  async forget(environmentId: string): Promise<void> {
    const keys = await this.#keys.list({ states: [environmentId], limit: MAX_KEYS });
    await this.#keys.records.write(keys.map(({ id }) => this.#keys.deletion(id)));
  }

  async revokeKey(environmentId: string, keyId: string): Promise<boolean> {
    const key = await this.#keys.get(keyId);
    if (key === null || key.value.environment_id !== environmentId) return false;
    await this.#keys.delete(keyId);
    return true;
  }
}
