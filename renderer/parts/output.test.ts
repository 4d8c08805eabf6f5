import { describe, expect, it } from "vitest";
import { colourJson } from "../inspector/json_view.tsx";
import { boundText } from "./output.tsx";

describe("bounded text", () => {
  const lines = Array.from({ length: 100 }, (_value, index) => `line ${index}`).join("\n");

  it("keeps the beginning or the end and counts the rest", () => {
    expect(boundText(lines, 3, "head")).toEqual({ text: "line 0\nline 1\nline 2", hidden: 97 });
    expect(boundText(lines, 2, "tail")).toEqual({ text: "line 98\nline 99", hidden: 98 });
    expect(boundText("one\n", 3, "head")).toEqual({ text: "one", hidden: 0 });
  });

  it("cuts a line that no screen can hold", () => {
    const { text } = boundText("x".repeat(500_000), 3, "head");
    expect(text.length).toBeLessThan(2100);
    expect(text).toContain("500000 characters");
  });
});

describe("coloured JSON", () => {
  it("loses nothing", () => {
    const json = JSON.stringify({ a: 'q"uo\\te', b: [1, -2.5e3, true, null], "c:": { d: "<script>" } }, null, 2);
    const pieces = colourJson(json);
    expect(pieces.map((piece) => piece.text).join("")).toBe(json);
    expect(pieces.find((piece) => piece.text.startsWith('"a"'))?.look).toBe("text-ink-2");
  });
});
