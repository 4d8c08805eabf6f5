/** Output of a running command on its way to watchers. */

/** Bytes that were passed on of a call, over all the channels on which it was attended. */
export interface OutputProgress {
  bytes: number;
}

export class LiveOutput {
  readonly #progress: OutputProgress;
  readonly #onOutput: (chunk: string) => void;
  /** Holds back the start of a character whose end is still to come. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(progress: OutputProgress, onOutput: (chunk: string) => void) {
    this.#progress = progress;
    this.#onOutput = onOutput;
  }

  get bytes(): number {
    return this.#progress.bytes;
  }

  add(chunk: Uint8Array): void {
    this.#progress.bytes += chunk.length;
    const text = this.#decoder.decode(chunk, { stream: true });
    if (text !== "") this.#onOutput(text);
  }

  /** The end of the whole output: what of it watchers have not seen. */
  finish(end: Uint8Array, total: number): void {
    const missing = total - this.bytes;
    if (missing > end.length) this.#onOutput("\n[…]\n");
    if (missing > 0) this.add(end.subarray(Math.max(0, end.length - missing)));
  }
}
