/** Starts the host of a sandbox, or finds the one that is alive. */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, statSync } from "node:fs";
import { SandboxLost } from "../../port.ts";
import { hostAddress, type SandboxLayout } from "../layout.ts";
import { HostClient } from "./client.ts";
import type { HostRecord } from "./wire.ts";

const START_TIMEOUT_MS = 20_000;
const MAX_LOG_BYTES = 256 * 1024;
/** JavaScript heap of the host's main thread, which only passes things on. */
const HEAP_MB = 512;
/** Everything else of this process's environment stays here: it may hold keys, and it is not the sandbox's business. */
const PASSED_ON = ["PATH", "TMPDIR", "TMP", "TEMP", "SystemRoot", "windir", "LANG", "LC_ALL", "TZ"];

export interface HostProgram {
  /** Path of the host script, `host.ts` or what it was bundled to. */
  entry: string;
  idleMs: number;
  /** How often a host that owes an answer is asked whether it is there. */
  pingMs: number;
}

/** What the sandbox's host left about itself; null when there is none. */
export function hostRecord(layout: SandboxLayout): HostRecord | null {
  try {
    const record = JSON.parse(readFileSync(layout.hostFile, "utf8")) as Partial<HostRecord>;
    const { pid, instance, secret } = record;
    if (typeof pid !== "number" || typeof instance !== "string" || typeof secret !== "string") return null;
    return { pid, instance, secret };
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Connects to the host that is alive; null when none is. Starts nothing. */
export async function findHost(layout: SandboxLayout, program: HostProgram): Promise<HostClient | null> {
  const record = hostRecord(layout);
  return record === null ? null : HostClient.open(hostAddress(layout.dir), record, program.pingMs);
}

/** Finds the host or starts one. Rejects with {@link SandboxLost}. */
export async function connectHost(
  layout: SandboxLayout,
  program: HostProgram,
): Promise<{ client: HostClient; adopted: boolean }> {
  // Twice: a host may end, idle, in the moment in which it is found.
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const found = await findHost(layout, program);
    if (found !== null) return { client: found, adopted: true };
    await startHost(layout, program);
    const client = await findHost(layout, program);
    if (client !== null) return { client, adopted: false };
  }
  const pid = hostRecord(layout)?.pid;
  throw new SandboxLost(
    `The sandbox's process${pid === undefined ? "" : ` (pid ${pid})`} does not answer. Its files are intact; end the ` +
      "process, and the next call starts a new one.",
  );
}

async function startHost(layout: SandboxLayout, program: HostProgram): Promise<void> {
  const log = openSync(layout.log, (fileSize(layout.log) ?? 0) > MAX_LOG_BYTES ? "w" : "a", 0o600);
  try {
    const flags = [`--max-old-space-size=${HEAP_MB}`, "--disable-warning=ExperimentalWarning"];
    const child = spawn(process.execPath, [...flags, program.entry, layout.dir, String(program.idleMs)], {
      // A session and process group of its own: it goes on when the engine, or the terminal, ends.
      detached: true,
      stdio: ["ignore", log, log, "ipc"],
      cwd: layout.dir,
      env: hostEnvironment(),
      windowsHide: true,
    });
    await listening(child, layout);
    if (child.connected) child.disconnect();
    child.unref();
  } finally {
    closeSync(log);
  }
}

function hostEnvironment(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of PASSED_ON) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  // Under Electron the program of this process is Electron itself, which is Node only when told so.
  if (process.versions["electron"] !== undefined) env["ELECTRON_RUN_AS_NODE"] = "1";
  return env;
}

/** Resolves when the host says that it listens, or that another one was first. Rejects with {@link SandboxLost}. */
function listening(child: ChildProcess, layout: SandboxLayout): Promise<void> {
  return new Promise((resolve, reject) => {
    let waiting = true;
    const settle = (problem: string | null): void => {
      if (!waiting) return;
      waiting = false;
      clearTimeout(timer);
      if (problem === null) return resolve();
      child.kill("SIGKILL");
      reject(new SandboxLost(`The sandbox's process ${problem}. Nothing was run. ${lastLog(layout)}`.trimEnd()));
    };
    const timer = setTimeout(() => settle(`did not start within ${START_TIMEOUT_MS / 1000} s`), START_TIMEOUT_MS);
    child.once("message", () => settle(null));
    child.once("error", (error) => settle(`could not be started: ${error.message}`));
    child.once("exit", (code, signal) => settle(`ended at its start (${signal ?? `exit status ${code}`})`));
  });
}

function lastLog(layout: SandboxLayout): string {
  if (fileSize(layout.log) === null) return "";
  const lines = readFileSync(layout.log, "utf8").trim().split("\n");
  const line = lines.findLast((text) => /error/i.test(text)) ?? lines.at(-1) ?? "";
  return line === "" ? "" : `It said: ${line.slice(0, 500)}`;
}

function fileSize(path: string): number | null {
  return statSync(path, { throwIfNoEntry: false })?.size ?? null;
}
