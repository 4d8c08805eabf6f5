/** When tokens were had and when they are replaced. In memory: after a restart the sealed expiry is all that is known. */
import { createHash } from "node:crypto";

/** How long before its expiry a token is replaced: a request may be under way for a while, and clocks differ. */
const AHEAD_MS = 30_000;
/** A token that a server refuses so soon after it was given is not refused for its age. */
const NEW_MS = 10_000;
/** How long a refresh token that was refused is not tried again, unless a person asks for it. */
const REFUSED_MS = 300_000;

interface Had {
  digest: string;
  at: number;
  /** Milliseconds; null when the server did not say. */
  lifetime: number | null;
}

export class TokenTimes {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly #had = new Map<string, Had>();
  readonly #refused = new Map<string, { digest: string; at: number }>();

  constructor(now: () => number) {
    this.now = now;
  }

  /** @param expiresAt ISO 8601, null when unknown */
  got(credentialId: string, token: string, expiresAt: string | null): void {
    const at = this.now();
    const lifetime = expiresAt === null ? null : Date.parse(expiresAt) - at;
    this.#had.set(credentialId, { digest: digestOf(token), at, lifetime });
    this.#refused.delete(credentialId);
  }

  /** True when the token should be replaced before it is used; false for one whose expiry nobody knows. */
  isDue(credentialId: string, token: string, expiresAt: string | null | undefined): boolean {
    if (expiresAt == null) return false;
    const lifetime = this.#of(credentialId, token)?.lifetime ?? null;
    // A token that lives for seconds would otherwise be due as soon as it is there.
    const ahead = lifetime === null ? AHEAD_MS : Math.min(AHEAD_MS, lifetime / 5);
    return this.now() >= Date.parse(expiresAt) - ahead;
  }

  isAlive(expiresAt: string | null | undefined): boolean {
    return expiresAt != null && this.now() < Date.parse(expiresAt);
  }

  /** True for a token that was given here a moment ago. */
  isNew(credentialId: string, token: string): boolean {
    const had = this.#of(credentialId, token);
    if (had === null) return false;
    return this.now() - had.at < Math.min(NEW_MS, (had.lifetime ?? Number.POSITIVE_INFINITY) / 2);
  }

  refused(credentialId: string, refreshToken: string): void {
    this.#refused.set(credentialId, { digest: digestOf(refreshToken), at: this.now() });
  }

  wasRefused(credentialId: string, refreshToken: string): boolean {
    const refused = this.#refused.get(credentialId);
    return refused?.digest === digestOf(refreshToken) && this.now() - refused.at < REFUSED_MS;
  }

  #of(credentialId: string, token: string): Had | null {
    const had = this.#had.get(credentialId);
    return had !== undefined && had.digest === digestOf(token) ? had : null;
  }
}

/** What is compared later need not stay readable in this process. */
const digestOf = (token: string): string => createHash("sha256").update(token).digest("base64");
