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

/** What a unit adds to the hash. */
export function wordOf(unit: number, key: WindowKey): number {
  return (key[unit & 255] as number) ^ Math.imul(unit >>> 8, 0x9e3779b1);
}

/** Hash of the first {@link WINDOW} units of `text` from `at` on. */
export function windowHash(text: string, at: number, key: WindowKey): number {
  let hash = 0;
  for (let index = at; index < at + WINDOW; index++) {
    hash = ((hash << SHIFT) + wordOf(text.charCodeAt(index), key)) | 0;
  }
  return hash;
}

const BACKSLASH = 92;
const LINE_BREAKS = [10, 13];
/** `\n` and `\r`: line breaks that were escaped. */
const ESCAPED_LINE_BREAKS = [110, 114];

/**
 * True for what never counts when texts are compared: line breaks, and the backslashes of every escaping.
 * @param escaped true after a backslash
 */
export function isSkipped(unit: number, escaped: boolean): boolean {
  if (unit === BACKSLASH || LINE_BREAKS.includes(unit)) return true;
  return escaped && ESCAPED_LINE_BREAKS.includes(unit);
}

/** True when every unit of the text counts. */
export function countsWhole(text: string): boolean {
  return !text.includes("\\") && !text.includes("\n") && !text.includes("\r");
}

export function isBackslash(unit: number): boolean {
  return unit === BACKSLASH;
}

/**
 * What counts of a text: base64 that was wrapped, a key with other line ends, and JSON in JSON in JSON compare as the
 * value itself does.
 */
export function countedUnits(text: string): string {
  if (countsWhole(text)) return text;
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
