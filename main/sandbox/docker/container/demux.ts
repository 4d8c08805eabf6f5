/**
 * Takes apart the stream in which an engine sends standard output and standard error: frames of one byte kind, three
 * bytes nothing, four bytes length (big endian) and the payload (Engine API, "Attach to a container").
 */
export class Demux {
  readonly #onStdout: (bytes: Buffer) => void;
  readonly #onStderr: (bytes: Buffer) => void;
  readonly #header = Buffer.alloc(8);
  #headerBytes = 0;
  #left = 0;

  constructor(onStdout: (bytes: Buffer) => void, onStderr: (bytes: Buffer) => void) {
    this.#onStdout = onStdout;
    this.#onStderr = onStderr;
  }

  /** Takes the next bytes, however they are cut; the payloads are views of them, not copies. */
  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === 0) {
        const taken = Math.min(8 - this.#headerBytes, bytes.length - at);
        bytes.copy(this.#header, this.#headerBytes, at, at + taken);
        at += taken;
        this.#headerBytes += taken;
        if (this.#headerBytes < 8) return;
        this.#left = this.#header.readUInt32BE(4);
        this.#headerBytes = 0;
        continue;
      }
      const payload = bytes.subarray(at, at + this.#left);
      at += payload.length;
      this.#left -= payload.length;
      if (this.#header[0] === 2) this.#onStderr(payload);
      else this.#onStdout(payload);
    }
  }
}

/** Keeps the last bytes of what it is given. */
export class Tail {
  readonly #limit: number;
  #bytes = Buffer.alloc(0);

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(bytes: Buffer): void {
    const all = Buffer.concat([this.#bytes, bytes]);
    this.#bytes = all.subarray(Math.max(0, all.length - this.#limit));
  }

  text(): string {
    return this.#bytes.toString("utf8");
  }
}
