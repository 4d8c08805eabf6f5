import { describe, expect, it } from "vitest";
import { saveName } from "./download.ts";

describe("the name of a download", () => {
  it.each([
    ["report.md", "report.md"],
    ["deep/er/report.pdf", "report.pdf"],
    ["invoice\u202Efdp.exe", "invoice[U+202E]fdp.exe"],
    ['a"b<c>|d?.txt', "a_b_c__d_.txt"],
    ["..\\..\\x", ".._.._x"],
    ["", "output"],
  ])("%j is saved as %j", (path, name) => {
    expect(saveName(path)).toBe(name);
  });
});
