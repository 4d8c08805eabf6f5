/** Names to addresses, once per connection: the address that was checked is the one that is connected to. */
import { lookup } from "node:dns/promises";
import { EgressRefusal } from "./refusal.ts";

/** All addresses of a host name. Rejects when there are none. */
export type Resolve = (host: string) => Promise<string[]>;

/** The system's resolver, as every other program of this machine uses it. */
export const systemResolve: Resolve = async (host) => (await lookup(host, { all: true })).map(({ address }) => address);

/** A lookup that waits or runs, and the connections of one session that want its answer. */
interface Lookup {
  sessionId: string;
  host: string;
  wanted: Set<(answer: string[] | EgressRefusal) => void>;
}

export class Resolver {
  readonly #resolve: Resolve;
  readonly #parallel: number;
  readonly #running = new Set<Lookup>();
  /** In the order in which they came. */
  readonly #waiting = new Set<Lookup>();

  /**
   * @param parallel lookups at a time, of different sessions. The system's resolver blocks one of four threads per lookup,
   * and the model route needs threads too: a sandbox that asks for names which never resolve must not stop the model.
   */
  constructor(resolve: Resolve, parallel = 2) {
    this.#resolve = resolve;
    this.#parallel = parallel;
  }

  /**
   * Connections of a session that ask for the same name at the same time share one lookup. One whose signal is aborted
   * does not wait any longer, and what nobody waits for is not looked up: a sandbox can ask faster than names resolve.
   * Rejects with {@link EgressRefusal}.
   */
  addresses(sessionId: string, host: string, signal: AbortSignal): Promise<string[]> {
    return new Promise((resolve, reject) => {
      const found = this.#find(sessionId, host) ?? { sessionId, host, wanted: new Set() };
      const settle = (answer: string[] | EgressRefusal) => {
        signal.removeEventListener("abort", leave);
        if (answer instanceof EgressRefusal) reject(answer);
        else resolve(answer);
      };
      const leave = () => {
        found.wanted.delete(settle);
        if (found.wanted.size === 0) this.#waiting.delete(found);
        settle(new EgressRefusal("unresolved", `The name ${host} was not resolved in time.`));
      };
      if (signal.aborted) return leave();
      signal.addEventListener("abort", leave, { once: true });
      found.wanted.add(settle);
      if (!this.#running.has(found)) this.#waiting.add(found);
      this.#next();
    });
  }

  #find(sessionId: string, host: string): Lookup | undefined {
    for (const known of [...this.#running, ...this.#waiting]) {
      if (known.host === host && known.sessionId === sessionId) return known;
    }
    return undefined;
  }

  /** Starts what may run: one of each session, so that slow names of one do not hold up the others. */
  #next(): void {
    for (const next of this.#waiting) {
      if (this.#running.size >= this.#parallel) return;
      if ([...this.#running].some(({ sessionId }) => sessionId === next.sessionId)) continue;
      this.#waiting.delete(next);
      this.#running.add(next);
      void this.#run(next);
    }
  }

  async #run(running: Lookup): Promise<void> {
    const answer = await this.#resolve(running.host).catch(
      () => new EgressRefusal("unresolved", `The name ${running.host} could not be resolved.`),
    );
    this.#running.delete(running);
    // To the end of the queue: other sessions come first.
    for (const other of [...this.#waiting].filter(({ sessionId }) => sessionId === running.sessionId)) {
      this.#waiting.delete(other);
      this.#waiting.add(other);
    }
    for (const settle of [...running.wanted]) settle(answer);
    this.#next();
  }
}
