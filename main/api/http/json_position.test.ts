import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { locateJsonError } from "./json_position.ts";

describe("where a text stops being JSON", () => {
  test.each([
    ["", 1, 1, "unexpected end of the text"],
    ["hello", 1, 1, 'unexpected "h"'],
    ['{"a": 1,}', 1, 9, 'unexpected "}"'],
    ['{"a" 1}', 1, 6, 'unexpected "1"'],
    ['{\n  "a": [1, 2,\n  x]}', 3, 3, 'unexpected "x"'],
    ["[1 2]", 1, 4, 'unexpected "2"'],
    ["{} {}", 1, 4, 'unexpected "{"'],
    ["[1", 1, 3, "unexpected end of the text"],
    ["[01]", 1, 3, 'unexpected "1"'],
    ["{a: 1}", 1, 2, 'unexpected "a"'],
    ['["a\nb"]', 1, 2, "a string that is not closed or holds a forbidden character begins"],
    ['["\\x"]', 1, 2, "a string that is not closed or holds a forbidden character begins"],
    ["[1}", 1, 3, 'unexpected "}"'],
  ])("%j", (text, line, column, found) => {
    expect(() => JSON.parse(text)).toThrow();
    expect(locateJsonError(text)).toEqual({ line, column, found });
  });

  test("everything before the place could still become JSON, and the place is never after the parser's own", () => {
    const damaged = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom("}", "]", ",", ":", '"', "x", "1", " ", "\\"))
      .map(([json, at, char]) => json.slice(0, at % (json.length + 1)) + char + json.slice(at % (json.length + 1)));
    fc.assert(
      fc.property(damaged, (text) => {
        try {
          JSON.parse(text);
          return;
        } catch {
          const { line, column } = locateJsonError(text);
          expect(line).toBe(1);
          const place = column - 1;
          const before = text.slice(0, place);
          // Cut off there, the only complaint about the rest is that it ends: a string is blamed where it begins.
          expect(locateJsonError(before).column - 1).toBe(before.length);
        }
      }),
      { seed: 7, numRuns: 500 },
    );
  });

  test("a long damaged text is located in linear time without overflowing anything", () => {
    const long = `["${"a\\n".repeat(500_000)}", ${"[".repeat(200_000)} ?`;
    expect(locateJsonError(long).found).toBe('unexpected "?"');
  });
});
