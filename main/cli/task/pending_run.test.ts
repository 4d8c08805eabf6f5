import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { forgetPendingRun, newestPendingRun, recordPendingRun, type Task } from "./pending_run.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/longhaul-pending-`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const task = (digit: string): Task => ({
  nonce: digit.repeat(32),
  text: `task ${digit}`,
  model: null,
  agent: null,
  repo: null,
  ask: false,
  demo: true,
});

test("the newest task of a command that is gone is found, and no other", async () => {
  expect(newestPendingRun(folder)).toBeNull();
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.on("exit", resolve));
  const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const write = (digit: string, pid: number | undefined, at: number) =>
    writeFileSync(join(folder, "pending_runs", `${digit}.json`), JSON.stringify({ task: task(digit), pid, at }));
  recordPendingRun(folder, task("a"));
  forgetPendingRun(folder, task("a"));
  write("b", child.pid, 1);
  write("c", child.pid, 3);
  write("d", other.pid, 9);
  expect(newestPendingRun(folder)).toEqual({ task: task("c"), pid: child.pid, at: 3 });
  other.kill("SIGKILL");
});

test("a file that was cut short, or is none of ours, is no task", () => {
  recordPendingRun(folder, task("a"));
  writeFileSync(join(folder, "pending_runs", "b.json"), '{"task":{"nonce":');
  writeFileSync(join(folder, "pending_runs", "c.json"), "[]");
  expect(newestPendingRun(folder)?.task).toEqual(task("a"));
  forgetPendingRun(folder, task("a"));
  forgetPendingRun(folder, task("a"));
  expect(newestPendingRun(folder)).toBeNull();
  expect(readdirSync(join(folder, "pending_runs"))).toEqual(["b.json", "c.json"]);
});
