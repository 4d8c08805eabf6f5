/** Watching and ending processes that a test started. */
import { execFileSync } from "node:child_process";

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Waits for something that happens in another process; fails the test when it never does. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 15_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Kills a process as a crash would, and waits until it is gone: a dying process can still answer. */
export async function crash(pid: number | undefined): Promise<void> {
  if (pid === undefined) throw new Error("there is no process to kill");
  process.kill(pid, "SIGKILL");
  await until(() => !isAlive(pid), "the process is gone");
}

/** Makes a named pipe: reading one waits until somebody writes. */
export function makePipe(path: string): void {
  const program = "mkfifo";
  execFileSync(program, [path]);
}
