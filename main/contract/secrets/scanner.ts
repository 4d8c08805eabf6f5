/** Finds known secret values in texts by their prints: one pass over the text, however many values there are. */
import {
  countedUnits,
  countsWhole,
  isBackslash,
  isSkipped,
  type Print,
  type PrintKey,
  SHIFT,
  WINDOW,
  wordOf,
} from "./prints.ts";

/** From unit `start` up to, not including, unit `end`. */
export interface Found {
  start: number;
  end: number;
}

export interface Scan {
  /** Values in the text; sorted, disjoint. */
  found: Found[];
  /** Where a value may have begun that the text ends in: its first 8 units were seen. The text's length when none. */
  begun: number;
  /** Everything before this is decided: not even the first units of a value can have begun there. At most `begun`. */
  decided: number;
}

interface Candidate {
  start: number;
  print: Print;
}

const MASK = "*";
const UNITS = 0x10000;
/** Marks the half of the tables that holds after a backslash. */
const AFTER_BACKSLASH = UNITS;
const MIN_BITS = 14;
const MAX_BITS = 24;

export class SecretScanner {
  readonly #key: PrintKey;
  readonly #known = new Set<string>();
  readonly #byFirst = new Map<number, Print[]>();
  /** One byte per upper bits of a hash, 1 where a beginning has them: nearly every place of a text is dismissed here. */
  #filter = new Uint8Array(0);
  #shift = 32;

  /** By unit, and by unit after a backslash: what does not count shifts nothing and adds nothing. */
  readonly #words = new Int32Array(2 * UNITS);
  readonly #shifts = new Uint8Array(2 * UNITS);

  constructor(key: PrintKey) {
    this.#key = key;
    for (let index = 0; index < 2 * UNITS; index++) {
      const unit = index & (UNITS - 1);
      if (isSkipped(unit, index >= AFTER_BACKSLASH)) continue;
      this.#words[index] = wordOf(unit, key.windows);
      this.#shifts[index] = SHIFT;
    }
  }

  /** False while nothing is known: then every text is handed back as it is. */
  get active(): boolean {
    return this.#known.size > 0;
  }

  /** Known ones are no error. They are never forgotten: a value that was replaced may still be echoed. */
  add(prints: readonly Print[]): void {
    for (const print of prints) {
      const [length, first, , mac] = print;
      if (length < WINDOW || this.#known.has(mac)) continue;
      this.#known.add(mac);
      const others = this.#byFirst.get(first);
      if (others === undefined) this.#byFirst.set(first, [print]);
      else others.push(print);
    }
    this.#setFilter();
  }

  #setFilter(): void {
    const bits = Math.min(MAX_BITS, Math.max(MIN_BITS, Math.ceil(Math.log2(32 * this.#byFirst.size))));
    if (this.#shift !== 32 - bits) {
      this.#shift = 32 - bits;
      this.#filter = new Uint8Array(2 ** bits);
    }
    for (const first of this.#byFirst.keys()) this.#filter[first >>> this.#shift] = 1;
  }

  /** The text with every unit of a known value as `*`, line breaks excepted; the same text when there is none. */
  mask(text: string): string {
    return masked(text, this.scan(text).found);
  }

  scan(text: string): Scan {
    const found: Found[] = [];
    if (!this.active) return { found, begun: text.length, decided: text.length };
    const window: Window = { at: 0, hash: 0, count: 0, escaped: 0 };
    const open = new OpenCandidates();
    const whole = countsWhole(text);
    while (window.at < text.length) {
      const before = window.count;
      if (whole) this.#rollWhole(text, window, open.next);
      else this.#roll(text, window, open.next);
      if (window.count === before || window.count < WINDOW) continue;
      if (this.#filter[window.hash >>> this.#shift] === 1) this.#begin(text, window, open);
      if (open.next === window.count) this.#finish(text, window, open, found);
    }
    const begun = Math.min(open.earliest(), text.length);
    return { found: merged(found), begun, decided: Math.min(begun, startOf(text, text.length, WINDOW - 1)) };
  }

  /**
   * Goes on until the window may hold a beginning, `due` units have counted, or the text ends. This loop and the next are
   * what a scan costs: no branch that depends on the unit, and local variables alone.
   */
  #roll(text: string, window: Window, due: number): void {
    const [words, shifts, filter, filterShift] = [this.#words, this.#shifts, this.#filter, this.#shift] as const;
    let { at, hash, escaped } = window;
    let shifted = window.count * SHIFT;
    const dueShifted = due * SHIFT;
    while (at < text.length) {
      const unit = text.charCodeAt(at);
      const index = unit | escaped;
      at++;
      escaped = isBackslash(unit) ? AFTER_BACKSLASH : 0;
      const shift = shifts[index] as number;
      shifted += shift;
      hash = ((hash << shift) + (words[index] as number)) | 0;
      if (filter[hash >>> filterShift] === 1 || shifted === dueShifted) break;
    }
    window.at = at;
    window.hash = hash;
    window.count = shifted / SHIFT;
    window.escaped = escaped;
  }

  /** {@link #roll} for texts of which every unit counts; a third of its time. */
  #rollWhole(text: string, window: Window, due: number): void {
    const [words, filter, filterShift] = [this.#words, this.#filter, this.#shift] as const;
    const end = due < 0 ? text.length : Math.min(text.length, due);
    let { at, hash } = window;
    while (at < end) {
      hash = ((hash << SHIFT) + (words[text.charCodeAt(at)] as number)) | 0;
      at++;
      if (filter[hash >>> filterShift] === 1) break;
    }
    window.at = at;
    window.hash = hash;
    window.count = at;
  }

  #begin(text: string, { at, hash, count }: Window, open: OpenCandidates): void {
    const prints = this.#byFirst.get(hash);
    if (prints === undefined) return;
    const start = startOf(text, at, WINDOW);
    for (const print of prints) open.add(count - WINDOW + print[0], { start, print });
  }

  #finish(text: string, { at, hash }: Window, open: OpenCandidates, found: Found[]): void {
    for (const { start, print } of open.takeNext()) {
      const [, , last, mac] = print;
      // The last units first: a text of nothing but beginnings costs no digest.
      if (last !== hash || this.#key.mac(countedUnits(text.slice(start, at))) !== mac) continue;
      found.push({ start, end: at });
    }
  }
}

/** The last {@link WINDOW} units that counted. */
interface Window {
  /** Place after the last one. */
  at: number;
  hash: number;
  /** Units that counted so far. */
  count: number;
  /** {@link AFTER_BACKSLASH} or 0. */
  escaped: number;
}

/** Place of the first of the last `wanted` units that count before `end`; 0 when there are fewer. */
function startOf(text: string, end: number, wanted: number): number {
  let counted = 0;
  for (let at = end - 1; at >= 0; at--) {
    const escaped = at > 0 && isBackslash(text.charCodeAt(at - 1));
    if (!isSkipped(text.charCodeAt(at), escaped)) counted++;
    if (counted === wanted) return at;
  }
  return 0;
}

/** Values whose beginning was seen, by where they would end. Those of one length queue up; a few lengths share a queue. */
class OpenCandidates {
  readonly #queue: { due: number; candidate: Candidate }[] = [];
  #head = 0;
  /** Count of units at which the next one would end; -1 when there is none. */
  next = -1;

  add(due: number, candidate: Candidate): void {
    let at = this.#queue.length;
    while (at > this.#head && (this.#queue[at - 1]?.due ?? 0) > due) at--;
    this.#queue.splice(at, 0, { due, candidate });
    this.next = this.#queue[this.#head]?.due ?? -1;
  }

  takeNext(): Candidate[] {
    const taken: Candidate[] = [];
    for (let first = this.#queue[this.#head]; first?.due === this.next; first = this.#queue[this.#head]) {
      taken.push(first.candidate);
      this.#head++;
    }
    this.next = this.#queue[this.#head]?.due ?? -1;
    return taken;
  }

  earliest(): number {
    let start = Number.POSITIVE_INFINITY;
    for (let at = this.#head; at < this.#queue.length; at++) {
      start = Math.min(start, this.#queue[at]?.candidate.start ?? start);
    }
    return start;
  }
}

function merged(found: Found[]): Found[] {
  if (found.length < 2) return found;
  const sorted = found.toSorted((a, b) => a.start - b.start);
  const joined: Found[] = [];
  for (const one of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && one.start < last.end) last.end = Math.max(last.end, one.end);
    else joined.push({ ...one });
  }
  return joined;
}

/** Line breaks stay: whoever reads the text line by line reads the same lines. */
export function masked(text: string, found: readonly Found[]): string {
  if (found.length === 0) return text;
  let out = "";
  let from = 0;
  for (const { start, end } of found) {
    out += text.slice(from, start) + text.slice(start, end).replace(/[^\r\n]/g, MASK);
    from = end;
  }
  return out + text.slice(from);
}
