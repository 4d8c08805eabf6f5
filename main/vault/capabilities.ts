/** Capability tokens: what lets one session use the broker's routes. They live in memory and die with this process. */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

/** Compares two secrets in a time that tells nothing about where they differ. */
export function sameSecret(given: string, expected: string): boolean {
  return timingSafeEqual(digest(given), digest(expected));
}

export class Capabilities {
  readonly #tokens = new Map<string, string>();
  /** Session by digest of its token: the lookup's time depends on the digest, which reveals nothing of the token. */
  readonly #sessions = new Map<string, string>();

  /** The session's token, 256 bits in hex; the same one until it is revoked. */
  grant(sessionId: string): string {
    const known = this.#tokens.get(sessionId);
    if (known !== undefined) return known;
    const token = randomBytes(32).toString("hex");
    this.#tokens.set(sessionId, token);
    this.#sessions.set(digest(token).toString("hex"), sessionId);
    return token;
  }

  /** Ends the session's token. Idempotent. */
  revoke(sessionId: string): void {
    const token = this.#tokens.get(sessionId);
    if (token === undefined) return;
    this.#tokens.delete(sessionId);
    this.#sessions.delete(digest(token).toString("hex"));
  }

  /** The session that holds this token; null for an unknown, revoked or missing one. */
  sessionOf(token: string | null): string | null {
    if (token === null) return null;
    return this.#sessions.get(digest(token).toString("hex")) ?? null;
  }
}
