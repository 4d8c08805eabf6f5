import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { processLives } from "./lease_rules.ts";

const holder = (pid: number, pid_started_at = 0) => ({ id: "lhh_A", boot_id: "boot-1", pid, pid_started_at });

test("a holder lives while a process has its pid", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1e6)"]);
  await once(child, "spawn");
  expect(processLives(holder(child.pid ?? 0))).toBe(true);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(processLives(holder(child.pid ?? 0))).toBe(false);
});

test("this process is not the earlier one that had its pid", () => {
  const start = Date.now() - process.uptime() * 1000;
  expect(processLives(holder(process.pid, start))).toBe(true);
  expect(processLives(holder(process.pid, start - 60_000))).toBe(false);
});
