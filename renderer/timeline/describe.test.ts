import { describe, expect, it } from "vitest";
import { firstLine, measure, partsOf, plainText } from "./content.ts";
import { describeCall, exitCode, lineDelta } from "./describe.ts";

const blob = { longhaul_blob: "a".repeat(64), bytes: 1000, preview: "head\nmore\n" };

describe("calls in one line", () => {
  it.each([
    ["bash", { command: "  npm test\n# then more" }, "npm test"],
    ["bash", { restart: true }, "restart the shell"],
    ["read", { file_path: "/workspace/src/a.ts", view_range: [10, -1] }, "src/a.ts  lines 10–end"],
    ["write", { file_path: "/workspace/a.ts", content: "x" }, "a.ts"],
    ["grep", { pattern: "TODO", path: "/workspace/src" }, "TODO  in src"],
    ["mcp_thing", { a: 1, b: "two" }, "a: 1, b: two"],
    ["bash", { command: blob }, "head"],
    ["odd", {}, ""],
  ])("%s", (name, input, text) => expect(describeCall(name, input)).toBe(text));

  it("counts changed lines only", () => {
    expect(lineDelta("edit", { old_string: "a\nb", new_string: "a\nb\nc" })).toEqual({ added: 1, removed: 0 });
    expect(lineDelta("edit", { old_string: "same", new_string: "same" })).toEqual({ added: 0, removed: 0 });
    expect(lineDelta("write", { content: "1\n2\n" })).toEqual({ added: 2, removed: 0 });
    expect(lineDelta("bash", {})).toBeNull();
  });

  it("reads the exit code a failed command names", () => {
    expect(exitCode("boom\nexit 1")).toBe(1);
    expect(exitCode("exit code: 127\n")).toBe(127);
    expect(exitCode("we do not exit 1 here, ok")).toBeNull();
  });
});

describe("bodies", () => {
  it("treats markers, strings and unknown blocks alike", () => {
    expect(partsOf([{ type: "text", text: blob }, { type: "image" }, 7])).toEqual([
      { kind: "blob", blob },
      { kind: "other", label: "image" },
      { kind: "other", label: "7" },
    ]);
    expect(plainText("bare")).toBe("bare");
    expect(measure([{ type: "text", text: "a\nb\n" }])).toEqual({ lines: 2, bytes: 4 });
    expect(measure([{ type: "text", text: "" }])).toEqual({ lines: 0, bytes: 0 });
    expect(measure([{ type: "text", text: blob }])).toEqual({ lines: 200, bytes: 1000 });
    expect(partsOf({ longhaul_blob: "../etc/passwd", bytes: 1, preview: "" })).toEqual([]);
  });

  it("takes the first line with something on it", () => {
    expect(firstLine("\n \n  hello   world \nmore")).toBe("hello world");
    expect(firstLine("x".repeat(500))).toHaveLength(240);
  });
});
