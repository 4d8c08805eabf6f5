/** What every sub-command is, and what it is given. */
import type { Environment } from "../config.ts";
import type { ModelEndpoint } from "../contract/process.ts";
import type { Entries } from "../supervise.ts";
import type { Terminal } from "./terminal.ts";
import type { VerifyLedger } from "./verify.ts";

/** Exit codes, the same for all commands. */
export const EXIT = { done: 0, failed: 1, usage: 2, needs_you: 3, interrupted: 130 } as const;

/** A command that cannot go on: `message` is shown as it is (what happened, what is safe, what to do next). */
export class CommandFailed extends Error {
  override readonly name: string = "CommandFailed";
  readonly exit_code: number;

  constructor(message: string, exitCode: number = EXIT.failed) {
    super(message);
    this.exit_code = exitCode;
  }
}

export interface Context {
  terminal: Terminal;
  env: Environment;
  /** The endpoint taken from the environment at start. Throws a UsageError when it is unusable. */
  model: () => ModelEndpoint;
  /** The passphrase for stored credentials, taken from the environment at start. Throws a UsageError when it is unusable. */
  vaultPassphrase: () => string | null;
  entries: Entries;
  /** Folder of the built user interface; null when it is not built. */
  renderer_dir: string | null;
  version: string;
  verifyLedger: VerifyLedger;
}

export interface OptionSpec {
  type: "string" | "boolean";
  /** Placeholder of the value in the help, for strings. */
  value?: string;
  /** Shown as `--no-<name>` in the help: the option is on unless switched off. */
  negated?: boolean;
  help: string;
}

export interface Arguments {
  positionals: string[];
  /** Value of a string option; undefined when not given. */
  text: (name: string) => string | undefined;
  /** Value of a boolean option; undefined when not given. */
  flag: (name: string) => boolean | undefined;
}

export interface Command {
  name: string;
  /** What follows the name on the usage line. */
  usage: string;
  summary: string;
  /** More lines for `--help`, each already short enough for a terminal. */
  details: string[];
  options: Record<string, OptionSpec>;
  positionals: { min: number; max: number };
  /** @returns the exit code */
  run: (context: Context, args: Arguments) => Promise<number>;
}

/** Options that every command which touches data takes. */
export const DATA_DIR_OPTION: Record<string, OptionSpec> = {
  "data-dir": { type: "string", value: "DIR", help: "folder with sessions and settings (or LONGHAUL_DATA_DIR)" },
};

/** Options of the commands that may start an engine. */
export const ENGINE_OPTIONS: Record<string, OptionSpec> = {
  ...DATA_DIR_OPTION,
  sandbox: {
    type: "string",
    value: "KIND",
    help: "docker or embedded (or LONGHAUL_SANDBOX); default: what works here",
  },
};
