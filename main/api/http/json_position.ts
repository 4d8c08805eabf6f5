/**
 * Where a text stops being JSON. The engine's own parser names the position in some of its errors only, and quotes
 * the body in others.
 */
export interface JsonErrorPlace {
  /** Both 1-based; the column counts UTF-16 units. */
  line: number;
  column: number;
  /** What stands there. */
  found: string;
}

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

type Expectation = "value" | "first value" | "key" | "first key" | "colon" | "separator" | "end";

/** Call it only with a text that `JSON.parse` refused. */
export function locateJsonError(text: string): JsonErrorPlace {
  return place(text, new Scanner(text).run());
}

class Scanner {
  readonly #text: string;
  readonly #open: ("{" | "[")[] = [];
  #at = 0;
  #expects: Expectation = "value";

  constructor(text: string) {
    this.#text = text;
  }

  /** Offset of the first character that cannot stand where it stands; the length when the text ends too early. */
  run(): number {
    do this.#at = skip(SPACE, this.#text, this.#at) ?? this.#at;
    while (this.#at < this.#text.length && this.#expects !== "end" && this.#step());
    return this.#at;
  }

  #step(): boolean {
    const char = this.#text[this.#at];
    if (this.#closes(char)) {
      this.#open.pop();
      return this.#accept(this.#at + 1, this.#afterValue());
    }
    switch (this.#expects) {
      case "colon":
        return this.#accept(char === ":" ? this.#at + 1 : null, "value");
      case "separator":
        return this.#accept(char === "," ? this.#at + 1 : null, this.#open.at(-1) === "{" ? "key" : "value");
      case "key":
      case "first key":
        return this.#accept(skipString(this.#text, this.#at), "colon");
      default:
        return this.#value(char);
    }
  }

  #value(char: string | undefined): boolean {
    if (char === "{" || char === "[") {
      this.#open.push(char);
      return this.#accept(this.#at + 1, char === "{" ? "first key" : "first value");
    }
    const end = skipString(this.#text, this.#at) ?? skip(PLAIN, this.#text, this.#at);
    return this.#accept(end, this.#afterValue());
  }

  #closes(char: string | undefined): boolean {
    const top = this.#open.at(-1);
    if (top === undefined || char !== (top === "{" ? "}" : "]")) return false;
    return this.#expects === "separator" || this.#expects === "first key" || this.#expects === "first value";
  }

  #afterValue(): Expectation {
    return this.#open.length === 0 ? "end" : "separator";
  }

  #accept(end: number | null, next: Expectation): boolean {
    if (end === null) return false;
    this.#at = end;
    this.#expects = next;
    return true;
  }
}

function skip(pattern: RegExp, text: string, at: number): number | null {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : null;
}

/** By hand: a pattern with alternatives would keep a backtracking entry for each character of a long string. */
function skipString(text: string, at: number): number | null {
  if (text[at] !== '"') return null;
  let next = at + 1;
  for (;;) {
    const code = text.charCodeAt(next);
    if (Number.isNaN(code) || code < 0x20) return null;
    if (code === 0x22) return next + 1;
    if (code !== 0x5c) {
      next += 1;
      continue;
    }
    const end = skip(ESCAPE, text, next);
    if (end === null) return null;
    next = end;
  }
}

function place(text: string, at: number): JsonErrorPlace {
  const before = text.slice(0, at);
  const line = before.split("\n").length;
  const column = at - (before.lastIndexOf("\n") + 1) + 1;
  const char = text[at];
  if (char === undefined) return { line, column, found: "unexpected end of the text" };
  if (char === '"') return { line, column, found: "a string that is not closed or holds a forbidden character begins" };
  return { line, column, found: `unexpected ${JSON.stringify(char)}` };
}
