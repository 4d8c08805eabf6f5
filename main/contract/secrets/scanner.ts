/** Finds known secret values in texts by their prints: one pass over the text, however many values there are. */
import {
  afterBackslash,
  countedUnits,
  isSkipped,
  type Print,
  type PrintKey,
  WINDOW,
  type WindowKey,
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
const MIN_BITS = 14;
const MAX_BITS = 24;

export class SecretScanner {
  readonly #key: PrintKey;
  readonly #known = new Set<string>();
  readonly #byFirst = new Map<number, Print[]>();
  /** One bit per hash of a beginning, by its upper bits: nearly every place of a text is dismissed here. */
  #filter = new Uint8Array(0);
  #shift = 32;
  readonly #window: Window;

  constructor(key: PrintKey) {
    this.#key = key;
    this.#window = new Window(key.windows);
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
    const wished = Math.ceil(Math.log2(64 * Math.max(1, this.#byFirst.size)));
    const bits = Math.min(MAX_BITS, Math.max(MIN_BITS, wished));
    if (this.#shift !== 32 - bits) {
      this.#shift = 32 - bits;
      this.#filter = new Uint8Array(2 ** (bits - 3));
    }
    for (const first of this.#byFirst.keys()) {
      const bit = first >>> this.#shift;
      this.#filter[bit >>> 3] = (this.#filter[bit >>> 3] ?? 0) | (1 << (bit & 7));
    }
  }

  /** The text with every unit of a known value as `*`, line breaks excepted; the same text when there is none. */
  mask(text: string): string {
    return masked(text, this.scan(text).found);
  }

  scan(text: string): Scan {
    const found: Found[] = [];
    if (!this.active) return { found, begun: text.length, decided: text.length };
    const window = this.#window;
    const open = new OpenCandidates();
    window.clear();
    for (let at = 0; at < text.length; at++) {
      if (!window.push(text.charCodeAt(at), at)) continue;
      const bit = window.hash >>> this.#shift;
      if (((this.#filter[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0) this.#begin(open);
      if (open.next === window.count) this.#finish(text, at + 1, open, found);
    }
    const begun = Math.min(open.earliest(), text.length);
    return { found: merged(found), begun, decided: Math.min(begun, window.tail(text.length)) };
  }

  #begin(open: OpenCandidates): void {
    const { hash, count, start } = this.#window;
    for (const print of this.#byFirst.get(hash >>> 0) ?? []) open.add(count - WINDOW + print[0], { start, print });
  }

  #finish(text: string, end: number, open: OpenCandidates, found: Found[]): void {
    for (const { start, print } of open.takeNext()) {
      const [, , last, mac] = print;
      // The last units first: a text of nothing but beginnings costs no digest.
      if (last !== this.#window.hash >>> 0 || this.#key.mac(countedUnits(text.slice(start, end))) !== mac) continue;
      found.push({ start, end });
    }
  }
}

/** The last {@link WINDOW} units that count, their places and their hash. */
class Window {
  hash = 0;
  /** Units that counted so far. */
  count = 0;
  readonly #units = new Uint16Array(WINDOW);
  readonly #places = new Int32Array(WINDOW);
  readonly #factor: number;
  readonly #offset: number;
  /** The factor to the power of {@link WINDOW}: what the unit that leaves has been multiplied with. */
  readonly #leaving: number;
  #afterBackslash = false;

  constructor({ factor, offset }: WindowKey) {
    this.#factor = factor;
    this.#offset = offset;
    let power = 1;
    for (let times = 0; times < WINDOW; times++) power = Math.imul(power, factor);
    this.#leaving = power;
  }

  clear(): void {
    this.hash = 0;
    this.count = 0;
    this.#afterBackslash = false;
  }

  /** True when the window is full after it, and another one than before. */
  push(unit: number, at: number): boolean {
    // Nearly every unit is a letter that follows no backslash.
    if ((unit < 14 || unit === 92 || this.#afterBackslash) && this.#skips(unit)) return false;
    const slot = this.count & (WINDOW - 1);
    let hash = (Math.imul(this.hash, this.#factor) + unit + this.#offset) | 0;
    if (this.count >= WINDOW) hash = (hash - Math.imul((this.#units[slot] ?? 0) + this.#offset, this.#leaving)) | 0;
    this.hash = hash;
    this.#units[slot] = unit;
    this.#places[slot] = at;
    this.count++;
    return this.count >= WINDOW;
  }

  #skips(unit: number): boolean {
    const skipped = isSkipped(unit, this.#afterBackslash);
    this.#afterBackslash = afterBackslash(unit, this.#afterBackslash);
    return skipped;
  }

  /** Place of its first unit. */
  get start(): number {
    return this.#places[this.count & (WINDOW - 1)] ?? 0;
  }

  /** Place of the unit from which on less than a window was seen, in a text of this length. */
  tail(length: number): number {
    if (this.count < WINDOW) return 0;
    return length === 0 ? 0 : (this.#places[(this.count + 1) & (WINDOW - 1)] ?? 0);
  }
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
