import { expect, test } from "vitest";
import { decodeText, fromCharacterStart, safeText, stripControlSequences } from "./text.ts";

test.each<[string, number[], string]>([
  ["text", [0x61, 0xc3, 0xa9], "aé"],
  ["NUL", [0x61, 0, 0x62], "a\ufffdb"],
  ["bytes that are no UTF-8", [0xff, 0x61, 0xc3], "\ufffda\ufffd"],
  ["a byte order mark", [0xef, 0xbb, 0xbf, 0x61], "\ufeffa"],
  ["an encoded surrogate", [0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"],
])("decodes %s", (_, bytes, text) => {
  expect(decodeText(Uint8Array.from(bytes))).toBe(text);
});

test("lone surrogates become replacement characters", () => {
  expect(safeText("a\ud800b\0")).toBe("a\ufffdb\ufffd");
});

test("terminal control sequences go, text stays", () => {
  const esc = String.fromCharCode(27);
  expect(
    stripControlSequences(`${esc}[1;31mred${esc}[0m ${esc}[2K${esc}]0;title${String.fromCharCode(7)}end [0m`),
  ).toBe("red end [0m");
});

test("a tail starts with a whole character", () => {
  const bytes = Buffer.from("é😀x");
  for (let start = 0; start < bytes.length; start += 1) {
    expect(decodeText(fromCharacterStart(bytes.subarray(start)))).not.toContain("\ufffd");
  }
});
