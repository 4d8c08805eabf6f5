/** The local API of the engine that runs on a data directory, for commands that change what it uses. */
import { type Environment, readSettings } from "../../config.ts";
import { LocalClient } from "../client.ts";
import { type Arguments, CommandFailed } from "../command.ts";
import { findEngine } from "../engine/engine_file.ts";
import type { Terminal } from "../terminal.ts";

/** Rejects with CommandFailed when no engine runs: only its broker opens and seals. */
export async function runningEngine(env: Environment, args: Arguments): Promise<LocalClient> {
  const { data_dir } = readSettings({ "data-dir": args.text("data-dir") }, env);
  const found = await findEngine(data_dir);
  if (found.state === "running") return new LocalClient(async () => found.facts);
  throw new CommandFailed(`No engine runs on ${data_dir}. Start one with: longhaul serve --data-dir ${data_dir}`);
}

/** One line that nobody may see: typed without an echo, or the first line of what is piped in. Empty when there is none. */
export async function readSecret(terminal: Terminal, question: string): Promise<string> {
  if (terminal.typed) return (await terminal.askHidden(question)) ?? "";
  return (await terminal.readInput()).split(/\r?\n/, 1)[0]?.trim() ?? "";
}
