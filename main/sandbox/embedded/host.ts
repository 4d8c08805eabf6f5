/**
 * The host of one embedded sandbox: a process of its own that outlives the engine, so that a command in flight goes on
 * when the engine dies, and whatever a command does to this process stays here. Started by `launch.ts` with the
 * sandbox's folder and the idle time in milliseconds. The shell's thread starts from this same file.
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { isMainThread, workerData } from "node:worker_threads";
import { WORKDIR } from "../machine.ts";
import { CallLog } from "./call_log.ts";
import { Calls } from "./calls.ts";
import { SandboxFiles } from "./files.ts";
import { layoutOf, type SandboxLayout } from "./layout.ts";
import { HostServer } from "./link/server.ts";
import { EmbeddedMachine } from "./machine.ts";
import { readOnlyMounts } from "./memory/read_only.ts";
import { variablesOf } from "./placing/variables.ts";
import type { ShellState, ShellThreadData } from "./shell/protocol.ts";
import { Shell } from "./shell/shell.ts";

function readState(layout: SandboxLayout): ShellState {
  try {
    const state = JSON.parse(readFileSync(layout.stateFile, "utf8")) as Partial<ShellState>;
    if (typeof state.cwd === "string" && typeof state.env === "object") return { cwd: state.cwd, env: state.env };
  } catch {
    // None yet, or torn by a power cut: the shell starts where a new one starts.
  }
  return { cwd: WORKDIR, env: {} };
}

async function startHost(): Promise<void> {
  const [entry = "", dir = "", idle = ""] = process.argv.slice(1);
  const layout = layoutOf(dir);
  // A terminal that closes, and a launcher that ends, must not take the sandbox along.
  process.on("SIGHUP", () => undefined);
  for (const folder of [layout.calls, layout.scratch]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const keepState = (state: ShellState): void => {
    writeFileSync(`${layout.stateFile}.tmp`, JSON.stringify(state), { mode: 0o600 });
    renameSync(`${layout.stateFile}.tmp`, layout.stateFile);
  };
  const shell = new Shell(layout.root, entry, readState(layout), keepState, undefined, () => variablesOf(layout));
  // Its code takes longer to load than this process needs to listen; both at the same time.
  shell.warm();
  const files = new SandboxFiles(realpathSync(layout.root), layout.scratch);
  const calls = new Calls(new EmbeddedMachine(files, shell, () => readOnlyMounts(layout)), new CallLog(layout.calls));
  const listening = await new HostServer(layout, calls, Number(idle)).listen();
  process.send?.({ type: listening ? "ready" : "busy" });
  if (process.connected) process.disconnect();
  if (!listening) process.exit(0);
  // From here on this is the only host: what is in there was left by one that died while it wrote.
  for (const name of readdirSync(layout.scratch)) rmSync(join(layout.scratch, name), { force: true });
}

if (isMainThread) {
  await startHost();
} else if ((workerData as ShellThreadData | null)?.role === "shell") {
  // Loaded here only: the main thread must listen before the shell's code is read.
  const { startShellThread } = await import("./shell/thread.ts");
  const data = workerData as ShellThreadData;
  startShellThread(data, readOnlyMounts(layoutOf(dirname(data.root))));
}
