/** Prints of every secret value that this broker has seen: what the engine gets in place of the values. */
import { randomBytes } from "node:crypto";
import {
  countedUnits,
  type Print,
  type PrintKey,
  type PrintList,
  WINDOW,
  windowHash,
} from "../../contract/secrets/prints.ts";
import { Refusal } from "../refusal.ts";
import { Waiters } from "../waiters.ts";
import { formsOf } from "./forms.ts";
import { printKey } from "./keys.ts";

/** How long a value waits for the engine to know its print before it is used. The engine asks at once, unless it hangs. */
const SHARED_MS = 10_000;

export class Prints {
  readonly #key: PrintKey;
  /** Of this start: a restarted broker has another list. */
  readonly #start = randomBytes(8).toString("hex");
  readonly #prints: Print[] = [];
  /** Digests of values and of forms that are in the list. */
  readonly #known = new Set<string>();
  /** How many of the list the engine has; null while no engine has asked for any. */
  #taken: number | null = null;
  readonly #waiters = new Waiters();

  /** @param secrets values that are known from the start */
  constructor(launchSecret: string, secrets: readonly string[]) {
    this.#key = printKey(launchSecret);
    this.learn(secrets);
  }

  get version(): string {
    return `${this.#start}.${this.#prints.length}`;
  }

  /** Values of less than {@link WINDOW} units are left out: they would be found by chance. */
  learn(values: readonly string[]): void {
    const before = this.#prints.length;
    for (const value of values) {
      if (value.length < WINDOW || !this.#isNew(`value ${value}`)) continue;
      for (const form of formsOf(value)) this.#add(countedUnits(form));
    }
    if (this.#prints.length > before) this.#waiters.wake();
  }

  #add(counted: string): void {
    if (counted.length < WINDOW || !this.#isNew(counted)) return;
    const { windows, mac } = this.#key;
    const last = windowHash(counted, counted.length - WINDOW, windows);
    this.#prints.push([counted.length, windowHash(counted, 0, windows), last, mac(counted)]);
  }

  #isNew(text: string): boolean {
    const digest = this.#key.mac(text);
    if (this.#known.has(digest)) return false;
    this.#known.add(digest);
    return true;
  }

  all(): readonly Print[] {
    return this.#prints;
  }

  /**
   * What there is beyond `known`, a version that the engine has put into effect; all of it when that is none of this
   * broker's. Waits for something to say, at most `waitMs` or until `signal` aborts; then the list is empty.
   */
  async list(known: string, waitMs: number, signal: AbortSignal): Promise<PrintList> {
    const [start, count = ""] = known.split(".");
    const from = start === this.#start ? Math.min(Number(count) || 0, this.#prints.length) : 0;
    this.#taken = from;
    this.#waiters.wake();
    await this.#waiters.until(() => this.#prints.length > from, waitMs, signal);
    return { version: this.version, prints: this.#prints.slice(from) };
  }

  /**
   * Resolves when the engine recognises every value that was learned up to now: only then may one be sent anywhere, so
   * that no echo of it can reach the engine before. At once while no engine has ever asked. Rejects with Refusal.
   */
  async shared(): Promise<void> {
    const needed = this.#prints.length;
    const has = (): boolean => this.#taken === null || this.#taken >= needed;
    if (await this.#waiters.until(has, SHARED_MS, null)) return;
    const text = "The engine did not take note of a new credential, so the credential was not used. Try again.";
    throw new Refusal(503, "overloaded_error", text);
  }
}
