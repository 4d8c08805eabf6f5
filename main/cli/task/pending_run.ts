/**
 * What `longhaul run` was asked to do, kept in a file until its session exists: a command killed in the moments before
 * that has recorded nothing else, and `resume` could not know.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { isAlive } from "../engine/engine_file.ts";

const TaskSchema = z.object({
  /** Marks the session that came of it (metadata `longhaul_run`), so that it is never created twice. */
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  text: z.string().min(1),
  model: z.string().nullable(),
  agent: z.string().nullable(),
  /** Absolute path of a repository on this machine. */
  repo: z.string().nullable(),
  /** true: every tool call waits for approval. */
  ask: z.boolean(),
  demo: z.boolean(),
});

const PendingSchema = z.object({ task: TaskSchema, pid: z.int().positive(), at: z.number() });

export type Task = z.infer<typeof TaskSchema>;
/** `at` is when it was asked for, milliseconds since the epoch. */
export type PendingRun = z.infer<typeof PendingSchema>;

function folderOf(dataDir: string): string {
  return join(dataDir, "pending_runs");
}

/** Records the task before anything slow happens. The data directory must exist. */
export function recordPendingRun(dataDir: string, task: Task): void {
  mkdirSync(folderOf(dataDir), { recursive: true, mode: 0o700 });
  const content = JSON.stringify({ task, pid: process.pid, at: Date.now() });
  writeFileSync(join(folderOf(dataDir), `${task.nonce}.json`), content, { mode: 0o600 });
}

/** Forgets the task: its session exists, or the person was told that it does not. */
export function forgetPendingRun(dataDir: string, task: Pick<Task, "nonce">): void {
  rmSync(join(folderOf(dataDir), `${task.nonce}.json`), { force: true });
}

/** The newest task whose command is gone and which was not forgotten; null when there is none. */
export function newestPendingRun(dataDir: string): PendingRun | null {
  const pending = fileNames(folderOf(dataDir)).flatMap((name) => read(join(folderOf(dataDir), name)));
  const orphans = pending.filter(({ pid }) => pid === process.pid || !isAlive(pid));
  orphans.sort((a, b) => b.at - a.at);
  return orphans[0] ?? null;
}

function fileNames(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch {
    // No folder: no `run` was ever cut off here.
    return [];
  }
}

/** A file that was cut short while it was written holds no task: the command was killed before it had one. */
function read(path: string): PendingRun[] {
  try {
    const parsed = PendingSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return parsed.success ? [parsed.data] : [];
  } catch {
    return [];
  }
}
