/** Lets only so many container starts go on at a time: an engine on few cores slows down, then times out, under more. */
export class StartQueue {
  readonly #places: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(places: number) {
    this.#places = places;
  }

  /** Runs `work` when it is its turn; how long it waited is not part of any time limit. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#places) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await work();
    } finally {
      // The place is handed on, so that nobody who comes now gets in before who waited.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
