/** Bytes of a stream, taken piece by piece; what nobody takes is not read, so that the sender waits. */
export class ByteSource {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);
  #over = false;

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  /** The next `count` bytes, fewer at the end, null when there are none. Rejects when the stream breaks off. */
  async take(count: number): Promise<Buffer | null> {
    const parts: Buffer[] = [];
    let missing = count;
    while (missing > 0) {
      if (this.#held.length === 0 && !(await this.#fill())) break;
      const part = this.#held.subarray(0, missing);
      this.#held = this.#held.subarray(part.length);
      missing -= part.length;
      parts.push(part);
    }
    return parts.length === 0 ? null : Buffer.concat(parts);
  }

  /** Whatever comes next, at least a byte; null at the end. */
  async chunk(): Promise<Buffer | null> {
    if (this.#held.length === 0 && !(await this.#fill())) return null;
    const chunk = this.#held;
    this.#held = Buffer.alloc(0);
    return chunk;
  }

  /** Everything that is left, as it comes. */
  async *rest(): AsyncGenerator<Buffer> {
    for (let chunk = await this.chunk(); chunk !== null; chunk = await this.chunk()) yield chunk;
  }

  async #fill(): Promise<boolean> {
    while (this.#held.length === 0 && !this.#over) {
      const next = await this.#chunks.next();
      if (next.done === true) this.#over = true;
      else this.#held = next.value;
    }
    return this.#held.length > 0;
  }
}
