/** Removes known secret values from bytes and texts, at unchanged length so that framing stays valid. */
import { Transform, type TransformCallback } from "node:stream";

const MASK = "*";

/** Forms in which a secret may be echoed: as it is, inside JSON, inside a URL, and as base64 (Basic auth, debug dumps). */
function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  return [secret, json, json.replaceAll("/", "\\/"), encodeURIComponent(secret), ...base64FormsOf(secret)];
}

/** Shorter pieces of base64 would be found by chance. */
const PIECE_CHARS = 8;

/** As base64 of the secret alone, and as what every base64 text shares that has it after 0, 1 or 2 bytes more than threes. */
function base64FormsOf(secret: string): string[] {
  const alone = Buffer.from(secret).toString("base64").replace(/=+$/, "");
  const within = [0, 1, 2].map((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)]);
    return bytes.toString("base64").slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6));
  });
  return [alone, ...within.filter((piece) => piece.length >= PIECE_CHARS)];
}

/** A learned value shorter than this would be found by chance in every line, and masking it would hide everything else. */
const LEARNED_FROM = 4;

export class Redactor {
  readonly #forms = new Set<string>();
  #needles: Buffer[] = [];
  readonly #onLearn: (secrets: readonly string[]) => void;

  /**
   * @param secrets values to remove; empty ones are ignored
   * @param onLearn told of every value that is learned later
   */
  constructor(secrets: readonly string[], onLearn: (secrets: readonly string[]) => void = () => undefined) {
    this.#onLearn = onLearn;
    this.#add(secrets.filter((secret) => secret !== ""));
  }

  /** Removes these from now on, too; values of less than {@link LEARNED_FROM} characters are left out. */
  learn(secrets: readonly string[]): void {
    this.#onLearn(secrets);
    this.#add(secrets.filter((secret) => secret.length >= LEARNED_FROM));
  }

  #add(secrets: readonly string[]): void {
    const known = this.#forms.size;
    for (const form of secrets.flatMap(formsOf)) this.#forms.add(form);
    if (this.#forms.size === known) return;
    // Longest first: a short form inside a longer one must not leave the rest of the longer one behind.
    this.#needles = [...this.#forms].sort((a, b) => b.length - a.length).map((form) => Buffer.from(form));
  }

  get active(): boolean {
    return this.#needles.length > 0;
  }

  text(text: string): string {
    if (!this.active) return text;
    return this.bytes(Buffer.from(text)).toString();
  }

  /** Masks every occurrence; the same buffer comes back when there is none. */
  bytes(input: Buffer): Buffer {
    let output = input;
    for (const needle of this.#needles) {
      for (let at = output.indexOf(needle); at !== -1; at = output.indexOf(needle, at + needle.length)) {
        if (output === input) output = Buffer.from(input);
        output.fill(MASK, at, at + needle.length);
      }
    }
    return output;
  }

  /** Length of the longest end of `input` with which a secret could begin: it must wait for what follows. */
  pending(input: Buffer): number {
    let longest = 0;
    for (const needle of this.#needles) {
      for (let length = Math.min(needle.length - 1, input.length); length > longest; length--) {
        const start = input.length - length;
        if (input[start] === needle[0] && input.subarray(start).equals(needle.subarray(0, length))) longest = length;
      }
    }
    return longest;
  }

  /**
   * A stream that masks secrets also across chunk borders. What cannot be the start of a secret passes at once.
   * @param maxBytes the stream fails beyond this, so that an endless body cannot fill anyone's memory
   */
  stream(maxBytes: number): Transform {
    let held: Buffer = Buffer.alloc(0);
    let total = 0;
    return new Transform({
      transform: (chunk: Buffer, _encoding, done: TransformCallback) => {
        total += chunk.length;
        if (total > maxBytes) return done(new Error(`The response is larger than ${maxBytes} bytes.`));
        const joined = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
        const masked = this.bytes(joined);
        const keep = this.pending(masked);
        held = masked.subarray(masked.length - keep);
        done(null, masked.subarray(0, masked.length - keep));
      },
      flush: (done: TransformCallback) => done(null, held),
    });
  }
}
