/** What the queue keeps in memory: pollers that wait for work, and which workers were there lately. */

/** A worker that polled within this time counts as polling. */
const PRESENT_MS = 30_000;
/** Names beyond this are not counted: a worker that makes up a name for every poll must not fill the memory. */
const MAX_NAMES = 10_000;

/** One bell per environment, heard by all who wait there. */
export class Bells {
  readonly #listeners = new Map<string, Set<() => void>>();

  ring(environmentId: string): void {
    for (const listener of [...(this.#listeners.get(environmentId) ?? [])]) listener();
  }

  /** Hears from now on; `rung` resolves at the first ring, when `signal` aborts, or after `ms`. Call `stop` when done. */
  listen(environmentId: string, signal: AbortSignal): { rung: (ms: number) => Promise<void>; stop: () => void } {
    const listeners = this.#listeners.get(environmentId) ?? new Set();
    this.#listeners.set(environmentId, listeners);
    let heard = signal.aborted;
    let wake = (): void => undefined;
    const hear = (): void => {
      heard = true;
      wake();
    };
    listeners.add(hear);
    signal.addEventListener("abort", hear, { once: true });
    const stop = (): void => {
      listeners.delete(hear);
      signal.removeEventListener("abort", hear);
      if (listeners.size === 0 && this.#listeners.get(environmentId) === listeners)
        this.#listeners.delete(environmentId);
      wake();
    };
    const rung = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        if (heard) return resolve();
        const timer = setTimeout(() => wake(), ms);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    return { rung, stop };
  }
}

export class Presence {
  readonly #seen = new Map<string, Map<string, number>>();

  seen(environmentId: string, worker: string, now: number): void {
    const workers = this.#seen.get(environmentId) ?? new Map<string, number>();
    this.#seen.set(environmentId, workers);
    // Taken out first, so that the map stays in order of the last poll.
    workers.delete(worker);
    if (workers.size < MAX_NAMES) workers.set(worker, now);
    this.#forget(environmentId, workers, now);
  }

  count(environmentId: string, now: number): number {
    const workers = this.#seen.get(environmentId);
    if (workers === undefined) return 0;
    this.#forget(environmentId, workers, now);
    return workers.size;
  }

  #forget(environmentId: string, workers: Map<string, number>, now: number): void {
    for (const [worker, at] of workers) {
      if (at + PRESENT_MS >= now) break;
      workers.delete(worker);
    }
    if (workers.size === 0) this.#seen.delete(environmentId);
  }
}
