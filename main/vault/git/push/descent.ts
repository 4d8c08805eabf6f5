/** Whether one commit descends from another, as far as the commits that were seen tell. */
import type { Commit } from "./pack_commits.ts";

export class Descent {
  readonly #ancestor: string;
  /** Parents by id, of commits that were seen. */
  readonly #seen = new Map<string, readonly string[]>();
  /** Ids to which a chain of parents leads from the tip. */
  readonly #reached = new Set<string>();

  constructor(tip: string, ancestor: string) {
    this.#ancestor = ancestor;
    this.#reach(tip);
  }

  get proven(): boolean {
    return this.#reached.has(this.#ancestor);
  }

  /** Where the chains end among what was seen: these commits are somewhere else. */
  get ends(): string[] {
    return [...this.#reached].filter((id) => !this.#seen.has(id));
  }

  add({ id, parents }: Commit): void {
    this.#seen.set(id, parents);
    if (this.#reached.has(id)) for (const parent of parents) this.#reach(parent);
  }

  #reach(from: string): void {
    const waiting = [from];
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      if (this.#reached.has(id)) continue;
      this.#reached.add(id);
      waiting.push(...(this.#seen.get(id) ?? []));
    }
  }
}
