/** Facts about this machine and process that identify a lease's holder. */
import { readFileSync } from "node:fs";
import { uptime } from "node:os";

/** Boot id of the machine, and pid and start time of this process. */
export function thisBoot(): { boot_id: string; pid: number; pid_started_at: number } {
  return {
    boot_id: bootId(),
    pid: process.pid,
    pid_started_at: Math.round(Date.now() - process.uptime() * 1000),
  };
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    // macOS and Windows have no such file; the minute of the last boot tells boots apart well enough.
    return `boot-${Math.round((Date.now() / 1000 - uptime()) / 60)}`;
  }
}
