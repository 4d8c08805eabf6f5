/** `longhaul serve`: the engine and the broker without a window, for programs and for the browser. */
import { setTimeout as sleep } from "node:timers/promises";
import { readSettings, type Settings } from "../config.ts";
import type { EngineFacts } from "../supervise.ts";
import type { Stop } from "../supervision/stop.ts";
import {
  type Arguments,
  type Command,
  CommandFailed,
  type Context,
  ENGINE_OPTIONS,
  EXIT,
  type OptionSpec,
} from "./command.ts";
import { findEngine } from "./engine/engine_file.ts";
import { EngineStopped, type Host, startHost } from "./engine/host.ts";

export const SERVE_OPTIONS: Record<string, OptionSpec> = {
  ...ENGINE_OPTIONS,
  port: { type: "string", value: "N", help: "port on 127.0.0.1; 0 picks a free one (the default)" },
  json: { type: "boolean", help: "print one JSON line when ready: url, token, pid, broker_pid, data_dir" },
  "auto-resume": {
    type: "boolean",
    negated: true,
    help: "leave sessions that were cut off until someone resumes them",
  },
  renderer: { type: "boolean", negated: true, help: "serve the API only, not the browser interface" },
};

export const serve: Command = {
  name: "serve",
  usage: "[--data-dir DIR] [--port N] [--json] [--no-auto-resume] [--sandbox KIND] [--no-renderer]",
  summary: "Run the engine without a window",
  details: ["SIGTERM or Ctrl+C finishes what is being written and ends with code 0; a second one ends at once."],
  options: SERVE_OPTIONS,
  positionals: { min: 0, max: 0 },
  run: (context, args) => serveWith(context, args, (ready) => printReady(context, args, ready)),
};

/** What a served engine offers once it is ready. */
export interface Ready {
  facts: EngineFacts;
  host: Host;
}

/** Serves until a signal or the end of the engine. `onReady` is called once. @returns the exit code */
export async function serveWith(
  context: Context,
  args: Arguments,
  onReady: (ready: Ready) => Promise<void>,
): Promise<number> {
  const settings = serveSettings(context, args);
  const log = (line: string): void => context.terminal.err(`longhaul: ${line}\n`);
  const signals = listen();
  try {
    const ready = await startUnlessLocked(context, settings, log, signals.use);
    await onReady(ready);
    return report(context, await ready.host.supervisor.stopped);
  } catch (error) {
    // Stopped by a signal before it was ready: that is what was asked for.
    if (error instanceof EngineStopped && error.failure === null && signals.received()) return EXIT.done;
    throw error;
  } finally {
    signals.dispose();
  }
}

const HANDOVER_MS = 5000;

/**
 * A data directory that is locked by a live engine is refused at once; one whose supervisor was just killed is free in a
 * moment, so that is waited for.
 */
async function startUnlessLocked(
  context: Context,
  settings: Settings,
  log: (line: string) => void,
  use: (host: Host) => void,
): Promise<Ready> {
  const deadline = Date.now() + HANDOVER_MS;
  for (;;) {
    const host = startHost({ context, settings, demo: false, log_fd: 2, log });
    use(host);
    try {
      return { facts: await host.facts(), host };
    } catch (error) {
      if (!(error instanceof EngineStopped) || error.failure?.code !== "data_dir_locked") throw error;
      const found = await findEngine(settings.data_dir);
      if (found.state !== "stale" || Date.now() > deadline) throw error;
    }
    await sleep(200);
  }
}

function serveSettings(context: Context, args: Arguments): Settings {
  return readSettings(
    {
      "data-dir": args.text("data-dir"),
      port: args.text("port"),
      sandbox: args.text("sandbox"),
      "auto-resume": args.flag("auto-resume"),
      renderer: args.flag("renderer"),
    },
    context.env,
  );
}

async function printReady({ terminal, renderer_dir }: Context, args: Arguments, { facts, host }: Ready): Promise<void> {
  if (args.flag("json") === true) return terminal.out(`${JSON.stringify(facts)}\n`);
  const lines = [`Longhaul is ready at ${facts.url} (engine ${facts.pid}, data in ${facts.data_dir}).`];
  if (renderer_dir !== null && args.flag("renderer") !== false) {
    const link = await signInLink(facts, host);
    lines.push(`Open it in a browser (this link signs in once, within ten minutes): ${link}`);
  }
  lines.push("Programs: `longhaul env` prints ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY. Ctrl+C stops in order.");
  terminal.out(`${lines.join("\n")}\n`);
}

/** URL that signs a browser in once. */
export async function signInLink(facts: EngineFacts, host: Host): Promise<string> {
  return `${facts.url}/#code=${await host.supervisor.signInCode()}`;
}

function report({ terminal }: Context, stop: Stop): number {
  if (stop.message !== null) terminal.err(`longhaul: ${stop.message}\n`);
  if (stop.reason === "killed") terminal.err("longhaul: ended at once; what ran is resumed at the next start.\n");
  return stop.code;
}

interface Signals {
  /** From now on signals are for this host. */
  use: (host: Host) => void;
  received: () => boolean;
  dispose: () => void;
}

/** The first signal drains, the second kills. */
function listen(): Signals {
  let count = 0;
  let host: Host | null = null;
  const act = (): void => {
    count += 1;
    if (count === 1) host?.supervisor.stop();
    else host?.supervisor.kill();
  };
  const names = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const name of names) process.on(name, act);
  return {
    use: (next) => {
      host = next;
      if (count > 0) next.supervisor.stop();
    },
    received: () => count > 0,
    dispose: () => {
      for (const name of names) process.off(name, act);
    },
  };
}

/** Used by `start` when an engine runs already: two engines on one data directory are refused. */
export function alreadyRunning(facts: EngineFacts): CommandFailed {
  return new CommandFailed(
    `Longhaul runs already on ${facts.data_dir}: ${facts.url} (engine ${facts.pid}). ` +
      "Its sign-in link was printed where it was started; stop it there to start it here, or choose another --data-dir.",
  );
}
