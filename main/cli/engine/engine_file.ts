/** `<data_dir>/engine.json`: where the running engine of a data directory is, for commands in other processes. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Health } from "../../contract/local_api.ts";
import type { EngineFacts } from "../../supervise.ts";

const FileSchema = z.object({
  url: z.url({ protocol: /^http$/ }),
  token: z.string().min(1),
  pid: z.int().positive(),
  broker_pid: z.int().nonnegative(),
  data_dir: z.string().min(1),
  /** Process that keeps the engine alive; without it the engine is about to stop. Absent when another shell wrote the file. */
  supervisor_pid: z.int().positive().optional(),
});

export type EngineFile = z.infer<typeof FileSchema>;

/** What is known of the engine of a data directory. */
export type Found =
  | { state: "running"; facts: EngineFacts }
  /** A file is there, but no engine that answers to it. `why` is one line for people. */
  | { state: "stale"; why: string }
  | { state: "none" };

export function engineFilePath(dataDir: string): string {
  return join(dataDir, "engine.json");
}

/** Writes the file so that readers see the old or the new one, never half, and only this user can read the token. */
export function writeEngineFile(facts: EngineFacts): void {
  const path = engineFilePath(facts.data_dir);
  const fresh = `${path}.${process.pid}.tmp`;
  const content: EngineFile = { ...facts, supervisor_pid: process.pid };
  rmSync(fresh, { force: true });
  writeFileSync(fresh, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600, flag: "wx" });
  renameSync(fresh, path);
}

/** Removes the file if this process wrote it: another launch may have replaced it since. */
export function removeEngineFile(dataDir: string): void {
  if (readEngineFile(dataDir)?.supervisor_pid === process.pid) rmSync(engineFilePath(dataDir), { force: true });
}

/** Null when there is no file or it makes no sense: both mean that no engine can be found through it. */
export function readEngineFile(dataDir: string): EngineFile | null {
  try {
    const parsed = FileSchema.safeParse(JSON.parse(readFileSync(engineFilePath(dataDir), "utf8")));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Finds the engine of `dataDir` and asks it whether it is what the file says: pids and ports are used again by others. */
export async function findEngine(dataDir: string, timeoutMs = 2000): Promise<Found> {
  const file = readEngineFile(dataDir);
  if (file === null) return { state: "none" };
  const { supervisor_pid, ...facts } = file;
  if (!isAlive(file.pid)) return { state: "stale", why: `engine.json names process ${file.pid}, which is gone` };
  if (supervisor_pid !== undefined && !isAlive(supervisor_pid)) {
    return {
      state: "stale",
      why: `the process that supervised the engine (${supervisor_pid}) is gone, so the engine stops`,
    };
  }
  const health = await askHealth(facts, timeoutMs);
  if (typeof health === "string") return { state: "stale", why: `${facts.url} ${health}` };
  if (health.pid !== file.pid)
    return { state: "stale", why: `${facts.url} belongs to another process (${health.pid})` };
  return { state: "running", facts };
}

async function askHealth(facts: Pick<EngineFacts, "url" | "token">, timeoutMs: number): Promise<Health | string> {
  try {
    const response = await fetch(new URL("/longhaul/v1/health", facts.url), {
      headers: { authorization: `Bearer ${facts.token}` },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) return `answers with status ${response.status}`;
    return (await response.json()) as Health;
  } catch (error) {
    return error instanceof Error && error.name === "TimeoutError" ? "does not answer in time" : "does not answer";
  }
}

/** True when a process with this pid runs, whoever owns it. A dead one that nobody has reaped does not count. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The state follows the command's name, which is in parentheses and may itself contain some.
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) === "Z";
  } catch {
    return false;
  }
}
