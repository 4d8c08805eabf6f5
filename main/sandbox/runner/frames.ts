/**
 * What comes out of a channel, cut into frames: a line, and after some lines a payload. All of it is untrusted: whoever
 * controls the container can write anything, so every length has a limit, and what is beyond it ends the channel.
 */

export interface Frame {
  /** Words of the line, without the one that announces the payload. */
  line: string;
  payload: Buffer | null;
}

/** The channel said something that no relay says. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}

/** Longest line; the pipe inside the container passes 4096 bytes whole. */
const MAX_LINE = 8192;
const MAX_RAW = 64 * 1024;
/** Bytes of base64; the longest answer is 400,000 bytes before it is encoded. */
const MAX_ENCODED = 1024 * 1024;

const NEWLINE = 0x0a;
const EMPTY = Buffer.alloc(0);

export class FrameReader {
  #rest: Buffer = EMPTY;
  /** The line whose payload is being read. */
  #line: string | null = null;
  /** Bytes of a raw payload; -1 while base64 is read. */
  #raw = 0;
  #encoded: string[] = [];
  #encodedLength = 0;

  /** The frames that are complete with these bytes. Throws {@link ProtocolError}. */
  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const frame = this.#next();
      if (frame === null) return frames;
      frames.push(frame);
    }
  }

  #next(): Frame | null {
    if (this.#line === null) {
      const line = this.#takeLine();
      if (line === null) return null;
      const announced = / (?:\+(\d{1,6})|=)$/.exec(line);
      if (announced === null) return { line, payload: null };
      this.#line = line.slice(0, announced.index);
      this.#raw = announced[1] === undefined ? -1 : Number(announced[1]);
      if (this.#raw > MAX_RAW) throw new ProtocolError(`announced ${this.#raw} bytes`);
    }
    const payload = this.#raw < 0 ? this.#takeEncoded() : this.#takeRaw(this.#raw);
    if (payload === null) return null;
    const frame = { line: this.#line, payload };
    this.#line = null;
    return frame;
  }

  #takeLine(): string | null {
    const end = this.#rest.indexOf(NEWLINE);
    if (end > MAX_LINE || (end < 0 && this.#rest.length > MAX_LINE)) throw new ProtocolError("sent an endless line");
    if (end < 0) return null;
    const line = this.#rest.toString("utf8", 0, end);
    this.#rest = this.#rest.subarray(end + 1);
    return line;
  }

  #takeRaw(length: number): Buffer | null {
    if (this.#rest.length < length) return null;
    // A copy: a result must not keep the whole chunk that it came with.
    const payload = Buffer.from(this.#rest.subarray(0, length));
    this.#rest = this.#rest.subarray(length);
    return payload;
  }

  #takeEncoded(): Buffer | null {
    for (;;) {
      const line = this.#takeLine();
      if (line === null) return null;
      if (line === ".") break;
      this.#encodedLength += line.length;
      if (this.#encodedLength > MAX_ENCODED) throw new ProtocolError("sent an endless answer");
      this.#encoded.push(line);
    }
    const payload = Buffer.from(this.#encoded.join(""), "base64");
    this.#encoded = [];
    this.#encodedLength = 0;
    return payload;
  }
}

/** Text for the rest of a request's line. */
export function escapeText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

/** A path as one word of a request's line. */
export function escapePath(path: string): string {
  return escapeText(path).replaceAll(" ", "\\0040").replaceAll("\t", "\\0011").replaceAll("\r", "\\0015");
}

/** A path from the end of an answer's line. */
export function unescapePath(text: string): string {
  return text.replaceAll(/\\([\\n])/g, (_, kind: string) => (kind === "n" ? "\n" : "\\"));
}
