import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAnsi, stripAnsi } from "./ansi.ts";

const ESC = "\u001b";

describe("terminal output", () => {
  it("keeps colours and weight", () => {
    const pieces = parseAnsi(`a${ESC}[1;31mFAIL${ESC}[0m b`);
    expect(pieces.map((piece) => [piece.text, piece.color, piece.bold])).toEqual([
      ["a", null, false],
      ["FAIL", 1, true],
      [" b", null, false],
    ]);
  });

  it("maps bright and palette colours and skips true colour", () => {
    expect(parseAnsi(`${ESC}[92mok`)[0]?.color).toBe(10);
    expect(parseAnsi(`${ESC}[38;5;9mx`)[0]?.color).toBe(9);
    expect(parseAnsi(`${ESC}[38;2;1;2;3;4mx`)[0]).toMatchObject({ text: "x", color: null, underline: true });
  });

  it("drops titles, links, cursor moves and other control characters", () => {
    expect(
      stripAnsi(`${ESC}]0;evil title\u0007a${ESC}[2Jb${ESC}]8;;http://x${ESC}\\link${ESC}]8;;${ESC}\\\u0008\u0000c`),
    ).toBe("ablinkc");
  });

  it("spells out marks that turn the direction of text", () => {
    expect(stripAnsi("rm \u202Egpj.exe")).toBe("rm [U+202E]gpj.exe");
  });

  it("shows the last state of a rewritten line", () => {
    expect(stripAnsi("10%\r50%\r100%\nnext\r\nend")).toBe("100%\nnext\nend");
  });

  it("never leaves an escape character, whatever comes", () => {
    const text = fc.string({
      unit: fc.constantFrom(ESC, "[", "]", "3", ";", "m", "P", "\\", "\u0007", "a", "\r", "\n"),
    });
    fc.assert(
      fc.property(text, (input) => {
        const joined = parseAnsi(input)
          .map((piece) => piece.text)
          .join("");
        expect(joined).not.toContain(ESC);
        expect(joined).toBe(stripAnsi(input));
      }),
    );
  });
});
