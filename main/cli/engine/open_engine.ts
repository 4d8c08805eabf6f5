/** An engine for a command: the one that runs already for this data directory, or one of our own for the duration. */
import { closeSync, mkdirSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Settings } from "../../config.ts";
import type { EngineFacts } from "../../supervise.ts";
import type { Stop } from "../../supervision/stop.ts";
import { CommandFailed, type Context } from "../command.ts";
import { findEngine } from "./engine_file.ts";
import { EngineStopped, type Host, startHost } from "./host.ts";

export interface OpenedEngine {
  /** Where the engine is now; waits while it restarts. Rejects with a CommandFailed when it will not come back. */
  facts: () => Promise<EngineFacts>;
  /** True when this process supervises it. */
  owned: boolean;
  /** Resolves when an owned engine stopped; never for a borrowed one. */
  stopped: Promise<Stop>;
  /** Drains an owned engine and waits for its end; lets a borrowed one be. Idempotent. */
  close: () => Promise<void>;
  /** Kills an owned engine at once. */
  kill: () => void;
}

export interface OpenOptions {
  context: Context;
  settings: Settings;
  demo: boolean;
  /** true: the engine's log goes to stderr instead of `<data_dir>/logs/engine.log`. */
  verbose: boolean;
}

/** How long the engine of a killed command may take to notice and let go of the data directory. */
const HANDOVER_MS = 15_000;
const LOG_LIMIT = 8 * 1024 * 1024;

/** Finds or starts an engine. Rejects with a CommandFailed. */
export async function openEngine(options: OpenOptions): Promise<OpenedEngine> {
  const deadline = Date.now() + HANDOVER_MS;
  for (;;) {
    const found = await findEngine(options.settings.data_dir);
    if (found.state === "running") return borrowed(options.settings.data_dir);
    const opened = await startOwn(options).catch((error: unknown) => {
      // The engine of a command that was just killed still holds the lock for a moment, and so does one that another
      // command is starting at this very time: the first goes, the second can be used.
      const locked = error instanceof EngineStopped && error.failure?.code === "data_dir_locked";
      if (!locked || Date.now() > deadline) throw error;
      return null;
    });
    if (opened !== null) return opened;
    await sleep(250);
  }
}

function borrowed(dataDir: string): OpenedEngine {
  return {
    facts: async () => {
      const deadline = Date.now() + HANDOVER_MS;
      for (;;) {
        const found = await findEngine(dataDir);
        if (found.state === "running") return found.facts;
        if (Date.now() > deadline) {
          throw new CommandFailed(
            "The engine that ran this stopped. Everything acknowledged is safe; `longhaul resume` goes on with the session.",
          );
        }
        await sleep(250);
      }
    },
    owned: false,
    stopped: new Promise(() => undefined),
    close: () => Promise.resolve(),
    kill: () => undefined,
  };
}

async function startOwn({ context, settings, demo, verbose }: OpenOptions): Promise<OpenedEngine> {
  const log = verbose ? { fd: 2, path: null } : openLog(settings.data_dir);
  // Only the session of this command is to run: the others would be cut off again when the command ends.
  const host: Host = startHost({
    context,
    settings: { ...settings, auto_resume: false, renderer: false },
    demo,
    log_fd: log.fd,
    log: (line) => context.terminal.err(`longhaul: ${line}\n`),
  });
  const { supervisor } = host;
  void supervisor.stopped.then(() => {
    if (log.path !== null) closeSync(log.fd);
  });
  await host.facts();
  return {
    facts: host.facts,
    owned: true,
    stopped: supervisor.stopped,
    close: async () => {
      supervisor.stop();
      await supervisor.stopped;
    },
    kill: () => supervisor.kill(),
  };
}

/** A log of the commands' own engines beside the data; begun anew when it has grown over 8 MiB. */
function openLog(dataDir: string): { fd: number; path: string | null } {
  try {
    const folder = join(dataDir, "logs");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, "engine.log");
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    return { fd: openSync(path, size > LOG_LIMIT ? "w" : "a", 0o600), path };
  } catch {
    // No room for a log is no reason not to work: stderr it is. An unusable folder is reported by the host in full.
    return { fd: 2, path: null };
  }
}
