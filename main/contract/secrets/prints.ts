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
  /** 64 random bits. */
  windows: WindowKey;
  /** Keyed digest of a text, 128 bits in hexadecimal. */
  mac: (text: string) => string;
}

/** Of the rolling hash: a polynomial modulo 2^32 over 8 units. */
export interface WindowKey {
  /** Odd. */
  factor: number;
  /** Added to every unit, so that zeros count. */
  offset: number;
}

/** Hash of the first {@link WINDOW} units of `text` from `at` on, as the scanner rolls it. */
export function windowHash(text: string, at: number, { factor, offset }: WindowKey): number {
  let hash = 0;
  for (let index = at; index < at + WINDOW; index++) {
    hash = (Math.imul(hash, factor) + text.charCodeAt(index) + offset) | 0;
  }
  return hash >>> 0;
}

const BACKSLASH = 92;
const NEW_LINE = 10;
const RETURN = 13;

/** True for what never counts when texts are compared: line breaks, and the backslashes of every escaping. */
export function isSkipped(unit: number, escaped: boolean): boolean {
  if (unit === BACKSLASH || unit === NEW_LINE || unit === RETURN) return true;
  // `\n` and `\r`: line breaks that were escaped.
  return escaped && (unit === 110 || unit === 114);
}

/** Whether the unit after `unit` is one that a backslash stands before. */
export function afterBackslash(unit: number, before: boolean): boolean {
  return unit === BACKSLASH || (before && (unit === NEW_LINE || unit === RETURN));
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
    escaped = afterBackslash(unit, escaped);
  }
  return kept === 0 ? text : counted + text.slice(kept);
}
