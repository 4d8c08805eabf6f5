/** Those who wait for something to happen, each with a bound of its own. */
export class Waiters {
  readonly #waiting = new Set<() => void>();

  /** Something happened: everybody looks again. */
  wake(): void {
    for (const look of [...this.#waiting]) look();
  }

  /**
   * True as soon as `reached` is; false after `ms`, or when `signal` aborts.
   * @param reached looked at now and whenever {@link wake} is called
   */
  until(reached: () => boolean, ms: number, signal: AbortSignal | null): Promise<boolean> {
    if (reached()) return Promise.resolve(true);
    if (ms <= 0 || signal?.aborted === true) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        signal?.removeEventListener("abort", leave);
        resolve(reached());
      };
      const look = (): void => {
        if (reached()) leave();
      };
      const timer = setTimeout(leave, ms);
      this.#waiting.add(look);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}
