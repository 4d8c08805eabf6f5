import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { logText, ProgressLines, progressText } from "./progress.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("the first word comes at once, of many the last one, at a bearable pace", () => {
  const said: string[] = [];
  const lines = new ProgressLines((line) => said.push(line));
  lines.say("first");
  for (let index = 0; index < 1_000; index += 1) lines.say(`line ${index}`);
  expect(said).toEqual(["first"]);
  vi.advanceTimersByTime(100);
  expect(said).toEqual(["first", "line 999"]);
  lines.say("last");
  lines.flush();
  expect(said).toEqual(["first", "line 999", "last"]);
  vi.advanceTimersByTime(1_000);
  expect(said).toHaveLength(3);
});

test("a server that goes on for hours is heard for some thousand lines", () => {
  let said = 0;
  const lines = new ProgressLines(() => {
    said += 1;
  });
  for (let index = 0; index < 10_000; index += 1) {
    lines.say(`${index}`);
    vi.advanceTimersByTime(200);
  }
  expect(said).toBe(2_000);
});

test("empty lines say nothing", () => {
  const said: string[] = [];
  new ProgressLines((line) => said.push(line)).say(" \n\u001b[1m ");
  expect(said).toEqual([]);
});

test("progress and log messages in words", () => {
  expect(progressText({ progress: 3, total: 10, message: "Copying" })).toBe("3/10 Copying");
  expect(progressText({ progress: 0.5 })).toBe("0.5");
  expect(logText({ level: "error", data: { a: 1 } })).toBe('[error] {"a":1}');
  expect(logText({ level: "info", logger: "db", data: "on" })).toBe("[info] db: on");
});
