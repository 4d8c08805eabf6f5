/** Git's deltas (gitformat-pack). */

/** The object that a delta makes of its base; null when the delta is broken or makes more than `maxBytes`. */
export function applyDelta(base: Buffer, delta: Buffer, maxBytes: number): Buffer | null {
  const reader = new DeltaReader(delta);
  const from = reader.size();
  const to = reader.size();
  if (from !== base.length || to > maxBytes) return null;
  const parts: Buffer[] = [];
  let made = 0;
  while (!reader.over) {
    const part = reader.part(base);
    if (part === null) return null;
    made += part.length;
    if (made > to) return null;
    parts.push(part);
  }
  return made === to ? Buffer.concat(parts) : null;
}

class DeltaReader {
  readonly #delta: Buffer;
  #at = 0;

  constructor(delta: Buffer) {
    this.#delta = delta;
  }

  get over(): boolean {
    return this.#at >= this.#delta.length;
  }

  /** Seven bits a byte, lowest first; not a number when it does not end. */
  size(): number {
    let value = 0;
    for (let shift = 0; shift <= 42; shift += 7) {
      const part = this.#byte();
      value += (part & 0x7f) * 2 ** shift;
      if ((part & 0x80) === 0) return this.#at > this.#delta.length ? Number.NaN : value;
    }
    return Number.NaN;
  }

  /** A piece of the base, or bytes of the delta's own; null when it is broken. */
  part(base: Buffer): Buffer | null {
    const code = this.#byte();
    if (code & 0x80) {
      const offset = this.#number(code, 4);
      const length = this.#number(code >> 4, 3) || 0x10000;
      return offset + length > base.length ? null : base.subarray(offset, offset + length);
    }
    const begin = this.#at;
    this.#at += code;
    return code === 0 || this.#at > this.#delta.length ? null : this.#delta.subarray(begin, this.#at);
  }

  /** The bytes whose bit is set in `mask`. */
  #number(mask: number, bytes: number): number {
    let value = 0;
    for (let bit = 0; bit < bytes; bit += 1) if (mask & (1 << bit)) value += this.#byte() * 2 ** (8 * bit);
    return value;
  }

  #byte(): number {
    const value = this.#delta[this.#at] ?? 0;
    this.#at += 1;
    return value;
  }
}
