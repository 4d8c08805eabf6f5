/** Masks known values in a text that comes in pieces, across their borders. */
import { masked, type SecretScanner } from "./scanner.ts";

export class StreamMask {
  readonly #scanner: SecretScanner;
  /** What is not decided yet, as it came. */
  #held = "";
  /** Units of it that were handed out because nothing more came. */
  #shown = 0;

  constructor(scanner: SecretScanner) {
    this.#scanner = scanner;
  }

  /** What can be handed out now: all but the last 7 units, and all but what may be the beginning of a value. */
  push(piece: string): string {
    if (!this.#scanner.active && this.#held === "") return piece;
    const text = this.#held + piece;
    const { found, decided } = this.#scanner.scan(text);
    let to = decided;
    // A value that reaches into what is held back is looked at again as a whole.
    for (const { start, end } of found) if (end > to) to = Math.min(to, start);
    if (isHighSurrogate(text, to - 1)) to -= 1;
    const out = masked(text, found).slice(this.#shown, Math.max(this.#shown, to));
    this.#held = copied(text.slice(to));
    this.#shown = Math.max(0, this.#shown - to);
    return out;
  }

  /**
   * What was held back only because more could have come at once: all but a value whose first 8 units are there. A value
   * that comes in drops can so show its first 7 units.
   */
  pause(): string {
    const { found, begun } = this.#scanner.scan(this.#held);
    const out = masked(this.#held, found).slice(this.#shown, Math.max(this.#shown, begun));
    this.#shown += out.length;
    return out;
  }

  /** The rest; the beginning of a value, which the text was cut off in, is masked. */
  end(): string {
    const { found, begun } = this.#scanner.scan(this.#held);
    const cutOff = [{ start: begun, end: this.#held.length }];
    const out = masked(masked(this.#held, found), cutOff).slice(this.#shown);
    this.#held = "";
    this.#shown = 0;
    return out;
  }
}

/** A slice of a long text keeps all of that text in memory, with values that were masked when it was handed on. */
function copied(slice: string): string {
  return slice === "" ? "" : (JSON.parse(JSON.stringify(slice)) as string);
}

function isHighSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  return unit >= 0xd800 && unit < 0xdc00;
}
