/** Hands a ledger's commits to those who follow its sessions: one subscription, however many streams there are. */
import type { StoredEvent } from "../../contract/events.ts";
import type { Ledger } from "../../session/ledger.ts";

/** Told of what one transaction appended to the session, in order. Must not throw. */
type Follower = (events: readonly StoredEvent[]) => void;

const feeds = new WeakMap<Pick<Ledger, "subscribe">, SessionFeed>();

/** The one feed of this ledger. */
export function feedOf(ledger: Pick<Ledger, "subscribe">): SessionFeed {
  const feed = feeds.get(ledger) ?? new SessionFeed(ledger);
  feeds.set(ledger, feed);
  return feed;
}

class SessionFeed {
  readonly #ledger: Pick<Ledger, "subscribe">;
  readonly #followers = new Map<string, Set<Follower>>();
  #unsubscribe: (() => void) | null = null;

  constructor(ledger: Pick<Ledger, "subscribe">) {
    this.#ledger = ledger;
  }

  /** Calls `follower` with everything that is committed to the session from now on. Returns what ends that. */
  follow(sessionId: string, follower: Follower): () => void {
    // A wrapper of its own: each unsubscriber ends its own subscription and no other.
    const own: Follower = (events) => follower(events);
    const followers = this.#followers.get(sessionId) ?? new Set();
    this.#followers.set(sessionId, followers.add(own));
    this.#unsubscribe ??= this.#ledger.subscribe((events) => this.#committed(events));
    return () => {
      followers.delete(own);
      if (followers.size === 0 && this.#followers.get(sessionId) === followers) this.#followers.delete(sessionId);
      if (this.#followers.size > 0) return;
      this.#unsubscribe?.();
      this.#unsubscribe = null;
    };
  }

  #committed(events: readonly StoredEvent[]): void {
    const bySession = new Map<string, StoredEvent[]>();
    for (const stored of events) {
      if (!this.#followers.has(stored.session_id)) continue;
      const known = bySession.get(stored.session_id);
      if (known === undefined) bySession.set(stored.session_id, [stored]);
      else known.push(stored);
    }
    for (const [sessionId, own] of bySession) {
      for (const follower of this.#followers.get(sessionId) ?? []) follower(own);
    }
  }
}
