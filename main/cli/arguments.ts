/** Command line → command and arguments. Everything wrong is a UsageError that names the word and the nearest right one. */
import { parseArgs } from "node:util";
import { UsageError } from "../config.ts";
import type { Arguments, Command, OptionSpec } from "./command.ts";

export type Invocation =
  | { kind: "run"; command: Command; args: Arguments }
  /** `command` null: the general help. */
  | { kind: "help"; command: Command | null }
  | { kind: "version" };

const HELP: OptionSpec = { type: "boolean", help: "show this help" };

/** @param argv the words after the program's name */
export function readCommandLine(argv: readonly string[], commands: readonly Command[]): Invocation {
  const [first, ...rest] = argv;
  if (first === undefined || first === "--help" || first === "-h") return { kind: "help", command: null };
  if (first === "--version" || first === "-v" || first === "-V") return { kind: "version" };
  if (first === "help") {
    return { kind: "help", command: rest[0] === undefined ? null : findCommand(rest[0], commands) };
  }
  if (first.startsWith("-")) {
    throw new UsageError(
      `${first} stands where a command belongs. Write the command first: longhaul <command> ${first}`,
    );
  }
  const command = findCommand(first, commands);
  const args = readArguments(command, rest);
  return args === "help" ? { kind: "help", command } : { kind: "run", command, args };
}

function findCommand(name: string, commands: readonly Command[]): Command {
  const command = commands.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const names = commands.map((candidate) => candidate.name);
  throw new UsageError(`There is no command "${name}".${meant(name, names, "")} Commands: ${names.join(", ")}.`);
}

function readArguments(command: Command, argv: readonly string[]): Arguments | "help" {
  const options: Record<string, OptionSpec> = { ...command.options, help: HELP };
  const { tokens, positionals } = parseArgs({
    args: [...argv],
    options: Object.fromEntries(
      Object.entries(options).map(([name, { type }]) => [name, name === "help" ? { type, short: "h" } : { type }]),
    ),
    strict: false,
    tokens: true,
    allowPositionals: true,
  });
  const texts = new Map<string, string>();
  const flags = new Map<string, boolean>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const name = token.name.startsWith("no-") && options[token.name] === undefined ? token.name.slice(3) : token.name;
    const on = name === token.name;
    const spec = options[name];
    if (spec === undefined || (!on && spec.type !== "boolean")) throw unknownOption(command, token.rawName, options);
    if (spec.type === "boolean") {
      if (token.value !== undefined) throw new UsageError(`${token.rawName} is a switch and takes no value.`);
      flags.set(name, on);
    } else {
      texts.set(name, stringValue(token.rawName, spec, token.value, token.inlineValue === true));
    }
  }
  if (flags.get("help") === true) return "help";
  checkPositionals(command, positionals);
  return { positionals, text: (name) => texts.get(name), flag: (name) => flags.get(name) };
}

function stringValue(rawName: string, spec: OptionSpec, value: string | undefined, inline: boolean): string {
  if (value === undefined) throw new UsageError(`${rawName} needs a value: ${rawName} ${spec.value ?? "VALUE"}`);
  if (!inline && value.startsWith("-") && value.length > 1) {
    throw new UsageError(
      `${rawName} needs a value, but ${value} follows. If that is the value, write ${rawName}=${value}`,
    );
  }
  return value;
}

function unknownOption(command: Command, rawName: string, options: Record<string, OptionSpec>): UsageError {
  const names = Object.entries(options).map(([name, spec]) => (spec.negated === true ? `no-${name}` : name));
  const suggestion = meant(rawName.replace(/^-+/, ""), names, "--");
  return new UsageError(
    `longhaul ${command.name} has no option ${rawName}.${suggestion} \`longhaul ${command.name} --help\` lists them.`,
  );
}

function checkPositionals(command: Command, positionals: readonly string[]): void {
  const { min, max } = command.positionals;
  if (positionals.length >= min && positionals.length <= max) return;
  const problem =
    positionals.length < min ? "Something is missing" : `"${positionals[max] ?? ""}" is one word too many (quotes?)`;
  throw new UsageError(`${problem}. Usage: longhaul ${command.name} ${command.usage}`);
}

function meant(word: string, names: readonly string[], prefix: string): string {
  const near = nearest(word, names);
  return near === null ? "" : ` Did you mean ${prefix}${near}?`;
}

/** The name that differs least from `word`; null when none is near enough to be a slip. */
export function nearest(word: string, names: readonly string[]): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const name of names) {
    const distance = name.startsWith(word) && word.length >= 2 ? 1 : editDistance(word.toLowerCase(), name);
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `a` into `b` (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let best = Math.min((last[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1, (last[column - 1] ?? 0) + cost);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}

/** Help of one command, or of the program. */
export function helpText(command: Command | null, commands: readonly Command[]): string {
  return command === null ? generalHelp(commands) : commandHelp(command);
}

function generalHelp(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const rows = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return [
    "Longhaul runs long coding-agent tasks on this machine, and resumes them after sleep, crash or reboot.",
    "",
    "Usage: longhaul <command> [options]",
    "",
    ...rows,
    "",
    "  longhaul <command> --help explains one command; --version prints the version.",
    "  Model: ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN, else `longhaul model set`, else the offline demo.",
    "  Exit codes: 0 done, 1 failed, 2 wrong usage, 3 needs you, 130 interrupted.",
    "",
  ].join("\n");
}

function commandHelp(command: Command): string {
  const rows = Object.entries({ ...command.options, help: HELP }).map(([name, spec]) => {
    const label =
      spec.type === "string" ? `--${name} ${spec.value ?? "VALUE"}` : `--${spec.negated === true ? "no-" : ""}${name}`;
    return `  ${label.padEnd(22)} ${spec.help}`;
  });
  const details = command.details.length === 0 ? [] : ["", ...command.details];
  return [
    `${command.summary}.`,
    "",
    `Usage: longhaul ${command.name} ${command.usage}`,
    ...details,
    "",
    ...rows,
    "",
  ].join("\n");
}
