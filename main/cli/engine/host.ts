/** An engine of our own: supervised by this process, announced in `engine.json`, ended before this process ends. */
import { accessSync, constants, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Settings, UsageError } from "../../config.ts";
import type { ChildFailed, ModelEndpoint } from "../../contract/process.ts";
import { type EngineFacts, type Supervisor, supervise } from "../../supervise.ts";
import type { Stop } from "../../supervision/stop.ts";
import { CommandFailed, type Context } from "../command.ts";
import { readEngineFile, removeEngineFile, writeEngineFile } from "./engine_file.ts";

/** The launch is over: before an engine was ready, or while it was in use. */
export class EngineStopped extends CommandFailed {
  override readonly name = "EngineStopped";
  readonly failure: ChildFailed | null;

  constructor(stop: Stop, wasReady: boolean) {
    const text = wasReady
      ? "The engine was stopped. Everything acknowledged is safe; `longhaul resume` goes on with the session."
      : "The engine was stopped before it was ready. Nothing was changed.";
    super(stop.message ?? text, stop.code === 0 ? 1 : stop.code);
    this.failure = stop.failure;
  }
}

export interface Host {
  supervisor: Supervisor;
  /** The engine that is ready now; waits for it during a restart. Rejects with {@link EngineStopped} once all is over. */
  facts: () => Promise<EngineFacts>;
}

export interface HostOptions {
  context: Context;
  settings: Settings;
  /** true: answer with the offline demo model whatever the environment says. */
  demo: boolean;
  /** File descriptor for the children's logs. */
  log_fd: number;
  log: (line: string) => void;
}

/** Starts broker and engine. The caller must await `supervisor.stopped` before the process ends. */
export function startHost({ context, settings, demo, log_fd, log }: HostOptions): Host {
  const model = demo ? {} : context.model();
  const vault_passphrase = context.vaultPassphrase();
  makeDataDir(settings.data_dir);
  refuseOwnAddress(model, settings.data_dir);
  let current: EngineFacts | null = null;
  let over: Stop | null = null;
  let waiting: { resolve: (facts: EngineFacts) => void; reject: (error: Error) => void }[] = [];

  const supervisor = supervise({
    settings,
    model,
    vault_passphrase,
    env: context.env,
    entries: context.entries,
    renderer_dir: settings.renderer ? context.renderer_dir : null,
    log_fd,
    log,
    onEngine: (facts) => {
      current = facts;
      announce(facts, log);
      for (const { resolve } of waiting.splice(0)) resolve(facts);
    },
  });
  void supervisor.stopped.then((stop) => {
    over = stop;
    removeEngineFile(settings.data_dir);
    for (const { reject } of waiting.splice(0)) reject(new EngineStopped(stop, current !== null));
    waiting = [];
  });
  return {
    supervisor,
    facts: () => {
      if (over !== null) return Promise.reject(new EngineStopped(over, current !== null));
      if (current !== null) return Promise.resolve(current);
      return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    },
  };
}

/** After `export $(longhaul env)` the environment names this very engine: its requests would go round in a circle. */
function refuseOwnAddress(model: ModelEndpoint, dataDir: string): void {
  const file = readEngineFile(dataDir);
  if (model.api_key === undefined || (model.api_key !== file?.token && model.api_key !== storedToken(dataDir))) return;
  throw new UsageError(
    "ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY are those of Longhaul itself (from `longhaul env`). " +
      "Unset them, or set those of your model endpoint.",
  );
}

/** The engine's API token, which stays the same for a data directory; null before its first start. */
function storedToken(dataDir: string): string | null {
  try {
    return readFileSync(join(dataDir, "api_token"), "utf8").trim();
  } catch {
    return null;
  }
}

/** Without the file other commands do not find this engine; the engine itself works, so this is no reason to stop. */
function announce(facts: EngineFacts, log: (line: string) => void): void {
  try {
    writeEngineFile(facts);
  } catch (error) {
    log(`engine.json could not be written (${String(error)}): other commands will not find this engine.`);
  }
}

/** 0700: sessions hold source code and model conversations, nobody else's business on a shared machine. */
export function makeDataDir(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    throw new CommandFailed(
      `The data directory ${path} cannot be used (${code}). Nothing was changed. ` +
        "Make it a folder that you can write to, or choose another with --data-dir.",
    );
  }
}
