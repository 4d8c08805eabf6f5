/** Lines of progress for one call: a server that floods is thinned out, its last word still comes. */
import { oneLine } from "./content/text.ts";

const MIN_MS = 100;
const MAX_LINES = 2_000;
const MAX_CHARS = 500;

export class ProgressLines {
  readonly #emit: (line: string) => void;
  #last = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #held: string | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(emit: (line: string) => void) {
    this.#emit = emit;
  }

  say(text: string): void {
    const line = oneLine(text, MAX_CHARS);
    if (line === "" || this.#lines >= MAX_LINES) return;
    const wait = this.#last + MIN_MS - performance.now();
    if (wait <= 0) return this.#now(line);
    this.#held = line;
    this.#timer ??= setTimeout(() => this.flush(), wait);
  }

  /** Says what was held back; the call is over. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#now(held);
  }

  #now(line: string): void {
    this.#last = performance.now();
    this.#lines += 1;
    this.#emit(line);
  }
}

/** A progress notification in words, such as `3/10 Copying`. */
export function progressText(progress: {
  progress: number;
  total?: number | undefined;
  message?: string | undefined;
}): string {
  const share = progress.total === undefined ? `${progress.progress}` : `${progress.progress}/${progress.total}`;
  return progress.message === undefined ? share : `${share} ${progress.message}`;
}

/** A log message of the server in words. */
export function logText(params: { level: string; logger?: string | undefined; data: unknown }): string {
  const said = typeof params.data === "string" ? params.data : JSON.stringify(params.data);
  return params.logger === undefined ? `[${params.level}] ${said}` : `[${params.level}] ${params.logger}: ${said}`;
}
