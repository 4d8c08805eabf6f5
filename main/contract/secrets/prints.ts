/**
 * Prints of secret values: what lets the engine recognise a value without ever holding it. The broker makes them, keyed
 * with this launch's secret; without that key they say nothing, and none of them can be turned back into a value.
 */

/** One form of one value: its length in units, the keyed hashes of its first and last 8 units, and its keyed digest. */
export type Print = [length: number, first: number, last: number, mac: string];

export interface PrintList {
  /** `<broker's start>.<count>`: how far the list goes. */
  version: string;
  prints: Print[];
}

/** Every answer of the broker says with this header how far its prints go. */
export const PRINTS_HEADER = "longhaul-prints";

/** Shorter values would be found by chance, and are not scrubbed. In UTF-16 units, as all lengths here. */
export const WINDOW = 8;

/** What prints are made and compared with. Both sides derive it from the launch secret. */
export interface PrintKey {
  windows: WindowKey;
  /** Keyed digest of a text, 128 bits in hexadecimal. */
  mac: (text: string) => string;
}

/** Of the rolling hash: 256 random words of 32 bits. */
export type WindowKey = Int32Array;

/** Each unit pushes the ones before it up by so many bits, so that the unit before the last {@link WINDOW} has left the hash. */
export const SHIFT = 32 / WINDOW;

/** Hash of the first {@link WINDOW} units of `text` from `at` on. */
export function windowHash(text: string, at: number, key: WindowKey): number {
  let hash = 0;
  for (let index = at; index < at + WINDOW; index++) {
    hash = ((hash << SHIFT) + (key[text.charCodeAt(index) & 255] as number)) | 0;
  }
  return hash;
}

const BACKSLASH = 92;
const LINE_BREAKS = [10, 13];
/** `\n` and `\r`: line breaks that were escaped. */
const ESCAPED_LINE_BREAKS = [110, 114];

/**
 * True for what never counts when texts are compared: line breaks, and the backslashes of every escaping. Units are looked
 * at by their lower 8 bits, so that a table can tell; some signs of other scripts do not count for that.
 * @param escaped true after a backslash
 */
export function isSkipped(unit: number, escaped: boolean): boolean {
  const low = unit & 255;
  if (low === BACKSLASH || LINE_BREAKS.includes(low)) return true;
  return escaped && ESCAPED_LINE_BREAKS.includes(low);
}

export function isBackslash(unit: number): boolean {
  return (unit & 255) === BACKSLASH;
}

/**
 * What counts of a text: base64 that was wrapped, a key with other line ends, and JSON in JSON in JSON compare as the
 * value itself does.
 */
export function countedUnits(text: string): string {
  let counted = "";
  let kept = 0;
  let escaped = false;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (isSkipped(unit, escaped)) {
      counted += text.slice(kept, at);
      kept = at + 1;
    }
    escaped = isBackslash(unit);
  }
  return kept === 0 ? text : counted + text.slice(kept);
}
