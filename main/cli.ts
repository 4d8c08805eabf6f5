/** The command line's entry: reads the words, runs the command, ends with its exit code. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { helpText, readCommandLine } from "./cli/arguments.ts";
import { type Command, CommandFailed, type Context, EXIT } from "./cli/command.ts";
import { verifyLedgerFile } from "./cli/diagnosis/verify_ledger.ts";
import { doctor } from "./cli/doctor.ts";
import { environmentKey } from "./cli/engine/environment_key.ts";
import { env } from "./cli/env.ts";
import { events } from "./cli/events.ts";
import { resume } from "./cli/resume.ts";
import { run } from "./cli/run.ts";
import { serve } from "./cli/serve.ts";
import { model } from "./cli/settings/model.ts";
import { vault } from "./cli/settings/vault.ts";
import { start } from "./cli/start.ts";
import { processTerminal } from "./cli/terminal.ts";
import { verify } from "./cli/verify.ts";
import { takeModelEndpoint, takeVaultPassphrase, UsageError } from "./config.ts";
import { entriesBeside } from "./supervise.ts";
import { whenNpmIsGone } from "./supervision/npm_parent.ts";
import { VERSION } from "./version.ts";

const COMMANDS: readonly Command[] = [
  start,
  serve,
  run,
  resume,
  events,
  verify,
  env,
  environmentKey,
  model,
  vault,
  doctor,
];

/** Takes a secret out of the environment now, but complains only when a command needs it: `doctor` must still run. */
function taken<T>(take: (env: NodeJS.ProcessEnv) => T): () => T {
  try {
    const value = take(process.env);
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** `out/renderer` beside `out/main`, also for the sources. */
function rendererDir(): string | null {
  const inProduct = import.meta.url.endsWith(".js");
  const folder = join(import.meta.dirname, "..", ...(inProduct ? ["renderer"] : ["out", "renderer"]));
  return existsSync(join(folder, "index.html")) ? folder : null;
}

async function main(argv: readonly string[], context: Context): Promise<number> {
  const { terminal } = context;
  try {
    const invocation = readCommandLine(argv, COMMANDS);
    switch (invocation.kind) {
      case "help":
        terminal.out(helpText(invocation.command, COMMANDS));
        return EXIT.done;
      case "version":
        terminal.out(`${VERSION}\n`);
        return EXIT.done;
      case "run":
        return await invocation.command.run(context, invocation.args);
    }
  } catch (error) {
    if (error instanceof UsageError) {
      terminal.err(`longhaul: ${error.message}\n`);
      return EXIT.usage;
    }
    if (error instanceof CommandFailed) {
      terminal.err(`longhaul: ${error.message}\n`);
      return error.exit_code;
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    terminal.err(`longhaul: this should not have happened. What was recorded is safe.\n${text}\n`);
    return EXIT.failed;
  }
}

/** A reader that went away (`| head`) is no failure of ours, but there is nobody left to tell. */
function leaveWithoutReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  process.emit("SIGTERM");
}

process.stdout.on("error", leaveWithoutReader);
process.stderr.on("error", leaveWithoutReader);
whenNpmIsGone(
  process.env,
  () => process.ppid,
  () => process.kill(process.pid, "SIGTERM"),
);

const code = await main(process.argv.slice(2), {
  model: taken(takeModelEndpoint),
  vaultPassphrase: taken(takeVaultPassphrase),
  terminal: processTerminal(process, process.env),
  env: process.env,
  entries: entriesBeside(import.meta.url),
  renderer_dir: rendererDir(),
  version: VERSION,
  verifyLedger: verifyLedgerFile,
});
// Sockets that are kept alive would hold the process open; everything of ours has ended by now.
process.stdout.write("", () => process.exit(code));
