/** One-time codes with which a browser window gets the API token: the token itself never stands in a URL. */
import { randomBytes } from "node:crypto";

const VALID_MS = 10 * 60_000;
const MAX_CODES = 32;

export class SignInCodes {
  readonly #codes = new Map<string, number>();
  readonly #now: () => number;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** A new code, valid once and for ten minutes. Of many unused ones the oldest is forgotten. */
  issue(): string {
    const code = randomBytes(24).toString("base64url");
    this.#codes.set(code, this.#now() + VALID_MS);
    const oldest = this.#codes.keys().next();
    if (this.#codes.size > MAX_CODES && !oldest.done) this.#codes.delete(oldest.value);
    return code;
  }

  /** True once for a valid code. */
  redeem(code: string): boolean {
    const expires = this.#codes.get(code);
    this.#codes.delete(code);
    return expires !== undefined && expires > this.#now();
  }
}
