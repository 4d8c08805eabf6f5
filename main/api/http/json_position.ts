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
  const open: ("{" | "[")[] = [];
  let at = 0;
  let expectation: Expectation = "value";
  for (;;) {
    at = skip(SPACE, text, at) ?? at;
    const char = text[at];
    if (char === undefined || expectation === "end") return place(text, at);
    if (expectation === "colon") {
      if (char !== ":") return place(text, at);
      at += 1;
      expectation = "value";
      continue;
    }
    const top = open.at(-1);
    const closes = char === (top === "{" ? "}" : "]") && top !== undefined;
    if (closes && (expectation === "separator" || expectation === "first key" || expectation === "first value")) {
      open.pop();
      at += 1;
      expectation = open.length === 0 ? "end" : "separator";
      continue;
    }
    if (expectation === "separator") {
      if (char !== ",") return place(text, at);
      at += 1;
      expectation = top === "{" ? "key" : "value";
      continue;
    }
    if (expectation === "key" || expectation === "first key") {
      const end = skipString(text, at);
      if (end === null) return place(text, at);
      at = end;
      expectation = "colon";
      continue;
    }
    if (char === "{" || char === "[") {
      open.push(char);
      at += 1;
      expectation = char === "{" ? "first key" : "first value";
      continue;
    }
    const end = skipString(text, at) ?? skip(PLAIN, text, at);
    if (end === null) return place(text, at);
    at = end;
    expectation = open.length === 0 ? "end" : "separator";
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
