import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { PRICES_FILE, Prices } from "./prices.ts";

function fixture() {
  const dir = mkdtempSync(join(tmpdir(), "longhaul-prices-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const problems: string[] = [];
  const prices = new Prices(dir, (problem) => problems.push(problem));
  let writes = 0;
  const write = (text: string): void => {
    writeFileSync(join(dir, PRICES_FILE), text);
    writes += 1;
    utimesSync(join(dir, PRICES_FILE), writes, writes);
  };
  return { prices, problems, write, dir };
}

test("models have their list price, with a snapshot's date or without; others have none", () => {
  const { prices } = fixture();
  expect(prices.of("claude-sonnet-4-5")).toEqual({ input: 3000, output: 15000, cache_read: 300, cache_write: 3750 });
  expect(prices.of("claude-sonnet-4-5-20250929")).toEqual(prices.of("claude-sonnet-4-5"));
  expect(prices.of("llama-4")).toBeNull();
  expect(prices.of("constructor")).toBeNull();
});

test("the person's file goes first and is read again when it changes or goes", () => {
  const { prices, problems, write, dir } = fixture();
  write('{"llama-4": {"input": 0.1, "output": 0.4}, "claude-haiku-4-5": {"input": 2, "output": 9, "cache_read": 1}}');
  expect(prices.of("llama-4")).toEqual({ input: 100, output: 400, cache_read: 10, cache_write: 125 });
  expect(prices.of("claude-haiku-4-5")).toMatchObject({ input: 2000, cache_read: 1000 });
  expect(prices.of("claude-opus-4-8")).toMatchObject({ input: 5000 });
  write("{}");
  expect(prices.of("llama-4")).toBeNull();
  rmSync(join(dir, PRICES_FILE));
  expect(prices.of("claude-haiku-4-5")).toMatchObject({ input: 1000 });
  expect(problems).toEqual([]);
});

test.each(["", "[1]", '{"m": {"input": "3"}}', '{"m": {"input": -1, "output": 1}}', '{"m": {"input": 1}}'])(
  "a file that cannot be used (%s) is told of once and changes nothing",
  (text) => {
    const { prices, problems, write } = fixture();
    write('{"mine": {"input": 1, "output": 1}}');
    expect(prices.of("mine")).not.toBeNull();
    write(text);
    expect(prices.of("mine")).not.toBeNull();
    expect(prices.of("claude-haiku-4-5")).not.toBeNull();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain("prices.json is not used");
  },
);
