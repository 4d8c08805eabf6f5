import { expect, test } from "vitest";
import type { LedgerEvent } from "../../contract/events.ts";
import { queryTerms, searchText, snippetOf, spaced } from "./search_text.ts";

const event = (value: object): LedgerEvent => value as LedgerEvent;

test("only text that a person would look for is searched, and a bounded amount of it", () => {
  const text = (length: number): object[] => [{ type: "text", text: "x".repeat(length) }];
  expect(searchText(event({ type: "agent.tool_result", content: text(10_000) }))).toHaveLength(4096);
  expect(searchText(event({ type: "agent.message", content: [...text(5), { type: "image" }, ...text(5)] }))).toBe(
    "xxxxx\nxxxxx",
  );
  expect(searchText(event({ type: "agent.tool_use", name: "bash", input: { command: "ls -l" } }))).toMatch(
    /^bash ls -l\n/,
  );
  expect(searchText(event({ type: "user.define_outcome", description: "A report" }))).toBe("A report");
  expect(searchText(event({ type: "longhaul.lease_acquired", holder: "x" }))).toBe("");
  expect(searchText(event({ type: "user.message", content: null }))).toBe("");
  expect(searchText(event({ type: "user.message", content: "as older clients send it" }))).toBe(
    "as older clients send it",
  );
});

test("a query is words, whatever is typed", () => {
  expect(queryTerms('  "fix" the-bug -- * ( ')).toEqual(['"fix"', "the-bug"]);
  expect(queryTerms("修正 bug")).toEqual(["修", "正", "bug"]);
  expect(spaced("a修b")).toBe("a 修 b");
  expect(queryTerms(Array.from({ length: 50 }, (_, index) => `w${index}`).join(" "))).toHaveLength(16);
});

test("a snippet is one line around the first word found", () => {
  const long = `${"before ".repeat(30)}NEEDLE\n\n${"after ".repeat(60)}`;
  const snippet = snippetOf(long, ["missing", "needle"]);
  expect(snippet).toMatch(/^…(\w+ )+NEEDLE after .*…$/);
  expect(snippet.length).toBeLessThan(170);
  expect(snippetOf("short", ["x"])).toBe("short");
  expect(snippetOf(`${"😀".repeat(200)}x`, ["x"]).isWellFormed()).toBe(true);
});
