import { expect, test, vi } from "vitest";
import { whenNpmIsGone } from "./npm_parent.ts";

test("tells once that npm's shell is gone", async () => {
  vi.useFakeTimers();
  let parent = 7;
  const gone = vi.fn();
  whenNpmIsGone({ npm_lifecycle_event: "longhaul" }, () => parent, gone);
  vi.advanceTimersByTime(1_000);
  expect(gone).not.toHaveBeenCalled();
  parent = 1;
  vi.advanceTimersByTime(1_000);
  expect(gone).toHaveBeenCalledTimes(1);
  vi.useRealTimers();
});

test("leaves a process alone that npm did not start", () => {
  vi.useFakeTimers();
  let parent = 7;
  const gone = vi.fn();
  whenNpmIsGone({}, () => parent, gone);
  parent = 1;
  vi.advanceTimersByTime(1_000);
  expect(gone).not.toHaveBeenCalled();
  vi.useRealTimers();
});
