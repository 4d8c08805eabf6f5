/** Master keys in the keychain of the operating system: Keychain, Credential Manager, or the Secret Service of Linux. */
import { randomBytes } from "node:crypto";
import type { HealthCheck } from "../../contract/local_api.ts";
import { Refusal } from "../refusal.ts";
import { isKey, keyCheck, newKeyId } from "./key_check.ts";
import type { KeySource } from "./key_source.ts";
import { KEY_BYTES } from "./seal.ts";
import type { KeyEntry } from "./sealed_file.ts";

/** One item of a keychain. */
export interface KeychainItem {
  getSecret(): Promise<ArrayLike<number> | null>;
  setSecret(secret: Uint8Array): Promise<void>;
  /** False, or a rejection that says so, where there is none. */
  deleteCredential(): Promise<boolean>;
}

/** The item of an account under this program's name. May reject, for example where the native module is missing. */
export type Keychain = (account: string) => Promise<KeychainItem>;

const SERVICE = "Longhaul";
/** A locked keychain asks its owner, who may be away: so long an answer is waited for. */
const ANSWER_MS = 8_000;
const STATUS_MS = 2_000;
/** A refusal this young is given again without asking: twenty sessions that wait must not show their owner twenty prompts. */
const REFUSED_MS = 3_000;

/**
 * The real one. On Linux the store is named: without that the module falls back to the kernel's key ring, which forgets
 * everything at the next boot.
 */
export const systemKeychain: Keychain = async (account) => {
  const { AsyncEntry } = await import("@napi-rs/keyring");
  return new AsyncEntry(SERVICE, account, { linux: { store: "secret-service" } });
};

const WITHOUT =
  "Or set LONGHAUL_VAULT_PASSPHRASE to a passphrase of at least 8 characters and start Longhaul again: credentials are " +
  "then sealed with it. Until then no credential can be stored; everything else works.";

/** A keychain that cannot be used now. */
class KeychainTrouble extends Refusal {
  readonly health: HealthCheck;

  constructor(code: "keychain_locked" | "keychain_missing", summary: string, advice: string) {
    const passing = code === "keychain_locked";
    super(passing ? 503 : 400, passing ? "api_error" : "invalid_request_error", `${summary} ${advice}`, code);
    this.health = { state: code === "keychain_locked" ? "degraded" : "missing", summary, advice };
  }
}

export class KeychainKeys implements KeySource {
  readonly name = "keychain";
  readonly #keychain: Keychain;
  readonly #answerMs: number;
  readonly #refusedMs: number;
  /**
   * Questions that the keychain has not answered yet. They are not asked a second time: each takes a thread, and a
   * locked keychain shows a prompt for each.
   */
  readonly #asked = new Map<string, Promise<Buffer | null>>();
  #making: Promise<{ id: string; key: Buffer }> | null = null;
  /** Why the last use failed; null after one that did not. */
  #trouble: KeychainTrouble | null = null;
  /** When it was dismissed or found locked, in ms of the monotonic clock. */
  #refusedAt = Number.NEGATIVE_INFINITY;

  constructor(keychain: Keychain = systemKeychain, answerMs: number = ANSWER_MS, refusedMs: number = REFUSED_MS) {
    this.#keychain = keychain;
    this.#answerMs = answerMs;
    this.#refusedMs = refusedMs;
  }

  async create(wanted?: string): Promise<{ entry: KeyEntry; key: Buffer }> {
    const { id, key } = await this.#watched(wanted === undefined ? this.#first() : this.#make(wanted));
    // Read back before anything depends on it.
    const kept = await this.#read(id);
    if (kept === null || !kept.equals(key)) throw missing("it did not keep a key that was put into it");
    return { entry: { id, source: "keychain", check: keyCheck(id, key) }, key };
  }

  async read(entry: KeyEntry): Promise<Buffer | null> {
    const key = await this.#read(entry.id);
    return key !== null && isKey(entry, key) ? key : null;
  }

  async remove(id: string): Promise<void> {
    await this.#watched(this.#delete(id));
  }

  /** Looks for an item that is not there, so that no keychain has a reason to ask its owner anything. */
  async status(): Promise<HealthCheck> {
    try {
      const item = await this.#keychain(accountOf("status"));
      await within(item.getSecret(), STATUS_MS);
    } catch (error) {
      return troubleOf(error).health;
    }
    // It answers, and still the last use failed: that is what the next one will meet.
    if (this.#trouble !== null) return this.#trouble.health;
    return { state: "ok", summary: `Credentials are sealed with a key in ${keychainName()}.`, advice: null };
  }

  async #delete(id: string): Promise<void> {
    try {
      const item = await this.#keychain(accountOf(id));
      await item.deleteCredential();
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  }

  /** A first key that waits for a prompt is made once. */
  #first(): Promise<{ id: string; key: Buffer }> {
    this.#making ??= this.#make(newKeyId()).finally(() => {
      this.#making = null;
    });
    return this.#making;
  }

  async #make(id: string): Promise<{ id: string; key: Buffer }> {
    const key = randomBytes(KEY_BYTES);
    const item = await this.#keychain(accountOf(id));
    await item.setSecret(key);
    return { id, key };
  }

  async #read(id: string): Promise<Buffer | null> {
    if (this.#trouble !== null && performance.now() - this.#refusedAt < this.#refusedMs) throw this.#trouble;
    const asked = this.#asked.get(id) ?? this.#ask(id).finally(() => this.#asked.delete(id));
    this.#asked.set(id, asked);
    return this.#watched(asked);
  }

  async #ask(id: string): Promise<Buffer | null> {
    const item = await this.#keychain(accountOf(id));
    const secret = await item.getSecret();
    return secret === null ? null : Buffer.from(Array.from(secret));
  }

  async #watched<T>(answer: Promise<T>): Promise<T> {
    try {
      const given = await within(answer, this.#answerMs);
      this.#trouble = null;
      return given;
    } catch (error) {
      this.#trouble = troubleOf(error);
      if (this.#trouble.code === "keychain_locked") this.#refusedAt = performance.now();
      throw this.#trouble;
    }
  }
}

const accountOf = (id: string): string => `vault key ${id}`;

function within<T>(answer: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(locked(`it did not answer within ${Math.ceil(ms / 1000)} s`)), ms);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

function troubleOf(error: unknown): KeychainTrouble {
  if (error instanceof KeychainTrouble) return error;
  const reason = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
  if (/prompt was dismissed|locked|user canceled|interaction is not allowed/i.test(reason)) return locked(reason);
  return missing(/no result found/i.test(reason) ? "it has no default keyring to put a key into" : reason);
}

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && /no matching entry|no entry found|not found/i.test(error.message);

function locked(reason: string): KeychainTrouble {
  const name = keychainName();
  return new KeychainTrouble(
    "keychain_locked",
    `${capital(name)} is locked (${reason}).`,
    "Nothing was stored or changed. Unlock it, then try again.",
  );
}

function missing(reason: string): KeychainTrouble {
  const name = keychainName();
  return new KeychainTrouble(
    "keychain_missing",
    `${capital(name)} cannot keep the key for credentials (${reason}).`,
    `${HOW_TO_GET} ${WITHOUT}`,
  );
}

function keychainName(): string {
  if (process.platform === "darwin") return "the macOS Keychain";
  return process.platform === "win32" ? "the Windows Credential Manager" : "the Secret Service of this desktop";
}

const HOW_TO_GET =
  process.platform === "darwin" || process.platform === "win32"
    ? "Sign in to a desktop session as the user who runs Longhaul."
    : "Install one and start it in your session, for example gnome-keyring with libsecret (Debian: apt-get install gnome-keyring) or KeePassXC, and create a default keyring.";

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
