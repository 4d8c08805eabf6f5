import { describe, expect, test } from "vitest";
import { UsageError } from "../config.ts";
import { helpText, nearest, readCommandLine } from "./arguments.ts";
import { doctor } from "./doctor.ts";
import { events } from "./events.ts";
import { run } from "./run.ts";
import { serve } from "./serve.ts";

const COMMANDS = [serve, run, events, doctor];

function parsed(...argv: string[]) {
  const invocation = readCommandLine(argv, COMMANDS);
  if (invocation.kind !== "run") throw new Error(`parsed as ${invocation.kind}`);
  return invocation;
}

describe("words", () => {
  test("strings, switches and their negation", () => {
    const { command, args } = parsed("serve", "--port", "0", "--data-dir=-odd", "--json", "--no-auto-resume");
    expect(command.name).toBe("serve");
    expect(args.text("port")).toBe("0");
    expect(args.text("data-dir")).toBe("-odd");
    expect(args.flag("json")).toBe(true);
    expect(args.flag("auto-resume")).toBe(false);
    expect(args.flag("renderer")).toBeUndefined();
  });

  test("a task may look like anything, after --", () => {
    expect(parsed("run", "--demo", "--", "--fix it").args.positionals).toEqual(["--fix it"]);
    expect(parsed("run", "-").args.positionals).toEqual(["-"]);
  });

  test("help and version win wherever they make sense", () => {
    expect(readCommandLine([], COMMANDS)).toEqual({ kind: "help", command: null });
    expect(readCommandLine(["--help"], COMMANDS)).toEqual({ kind: "help", command: null });
    expect(readCommandLine(["help", "run"], COMMANDS)).toEqual({ kind: "help", command: run });
    expect(readCommandLine(["run", "-h"], COMMANDS)).toEqual({ kind: "help", command: run });
    expect(readCommandLine(["--version"], COMMANDS)).toEqual({ kind: "version" });
  });
});

describe("mistakes", () => {
  test.each([
    [["srve"], /no command "srve"\. Did you mean serve\?/],
    [["x"], /no command "x"\. Commands: serve, run/],
    [["--json", "serve"], /--json stands where a command belongs/],
    [["serve", "--prot", "1"], /no option --prot\. Did you mean --port\?/],
    [["serve", "--no-autoresume"], /Did you mean --no-auto-resume\?/],
    [["serve", "--zzzzzz"], /no option --zzzzzz\. `longhaul serve --help`/],
    [["serve", "-x"], /no option -x/],
    [["serve", "--port"], /--port needs a value: --port N/],
    [["serve", "--port", "--json"], /--port needs a value, but --json follows.*--port=--json/],
    [["serve", "--json=yes"], /--json is a switch and takes no value/],
    [["serve", "--no-port"], /no option --no-port/],
    [["serve", "extra"], /"extra" is one word too many/],
    [["run"], /Something is missing\. Usage: longhaul run "TASK"/],
    [["run", "fix", "it"], /"it" is one word too many \(quotes\?\)/],
  ])("%j", (argv, message) => {
    expect(() => readCommandLine(argv, COMMANDS)).toThrow(UsageError);
    expect(() => readCommandLine(argv, COMMANDS)).toThrow(message);
  });

  test("the nearest name is a slip away, not a guess", () => {
    const names = ["serve", "resume", "events", "verify"];
    expect(nearest("resmue", names)).toBe("resume");
    expect(nearest("ev", names)).toBe("events");
    expect(nearest("SERVE", names)).toBe("serve");
    expect(nearest("quit", names)).toBeNull();
  });
});

test("help names every command and every option, with the negative form where that is the use", () => {
  const general = helpText(null, COMMANDS).split("\n");
  const columns = COMMANDS.map(({ name, summary }) => {
    const row = general.find((line) => line.startsWith(`  ${name} `)) ?? "";
    return row.endsWith(`  ${summary}`) ? row.indexOf(summary) : name;
  });
  // One column, however long a command's name is.
  expect(new Set(columns).size).toBe(1);
  const text = helpText(serve, COMMANDS);
  expect(text).toContain("--no-auto-resume");
  expect(text).toContain("--port N");
  expect(text.split("\n").every((line) => line.length <= 120)).toBe(true);
});
