/** Commands one after the other, as the one shell runs them: what still waits here has not been sent. */
export class ShellQueue {
  #last: Promise<unknown> = Promise.resolve();
  readonly #inside = new Set<string>();

  /**
   * Runs `work` when it is its turn; work of an id that is under way joins at once. Null when the signal aborted first.
   */
  async run<T>(id: string, signal: AbortSignal, work: () => Promise<T>): Promise<T | null> {
    if (this.#inside.has(id)) return work();
    this.#inside.add(id);
    const before = this.#last;
    let leave: () => void = () => undefined;
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    // Whoever comes after waits for those before, too, where this one leaves early.
    this.#last = before.then(() => left);
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      await Promise.race([before, aborted]);
      return signal.aborted ? null : await work();
    } finally {
      this.#inside.delete(id);
      leave();
    }
  }
}
