/** `longhaul doctor`: checks what Longhaul needs on this machine and says what to do about what is missing. */
import { readSettings, UsageError } from "../config.ts";
import { CRASH_POINTS } from "../crash_points.ts";
import { styleFor } from "./account/words.ts";
import { type Command, type Context, DATA_DIR_OPTION, EXIT } from "./command.ts";
import { type Finding, ok } from "./diagnosis/check.ts";
import { checkSandboxes } from "./diagnosis/containers.ts";
import { checkEngine } from "./diagnosis/engine.ts";
import { checkDataDir, checkGit, checkNode, checkSqlite } from "./diagnosis/machine.ts";
import { checkPrices } from "./diagnosis/prices.ts";
import { inspectSandboxes, sandboxesExit, sandboxesText } from "./diagnosis/sandboxes.ts";

export const doctor: Command = {
  name: "doctor",
  usage: "[--data-dir DIR] [--json] [--sandboxes [--remove [--unknown]]] [--list-crash-points]",
  summary: "Check this machine and say what is missing",
  details: [
    "Changes nothing and sends no key. Exit code 1 when something that Longhaul needs is missing.",
    "With --sandboxes: lists what Longhaul has on the container engine; --remove takes away what deleted sessions",
    "and installs that are gone left, and never the sandbox of a session that can resume.",
  ],
  options: {
    ...DATA_DIR_OPTION,
    json: { type: "boolean", help: "print the findings as one JSON object" },
    sandboxes: { type: "boolean", help: "list containers, checkpoints and images on the container engine" },
    remove: { type: "boolean", help: "with --sandboxes: remove what is nobody's any more" },
    unknown: { type: "boolean", help: "with --remove: also what installs left that cannot be seen from here" },
    "list-crash-points": { type: "boolean", help: "name the points at which LONGHAUL_CRASH_AT can kill the engine" },
  },
  positionals: { min: 0, max: 0 },
  run: async (context, args) => {
    const { terminal } = context;
    const json = args.flag("json") === true;
    if (args.flag("list-crash-points") === true) {
      terminal.out(json ? `${JSON.stringify(CRASH_POINTS)}\n` : crashPointList());
      return EXIT.done;
    }
    const { data_dir } = readSettings({ "data-dir": args.text("data-dir") }, { ...context.env, LONGHAUL_SANDBOX: "" });
    const remove = args.flag("remove") === true;
    const unknown = args.flag("unknown") === true;
    if (args.flag("sandboxes") === true) {
      if (unknown && !remove) throw new UsageError("--unknown says what --remove may take away: give both.");
      const request = { data_dir, env: context.env, remove, unknown };
      const sandboxes = await inspectSandboxes(request);
      terminal.out(json ? `${JSON.stringify(sandboxes)}\n` : sandboxesText(sandboxes, request));
      return sandboxesExit(sandboxes);
    }
    if (remove || unknown) throw new UsageError("--remove and --unknown belong to --sandboxes: add it.");
    const findings = await examine(context, data_dir);
    const failed = findings.some(({ state }) => state === "fail");
    terminal.out(json ? `${JSON.stringify({ ok: !failed, findings })}\n` : report(findings, terminal.color));
    return failed ? EXIT.failed : EXIT.done;
  },
};

async function examine({ env, model, vaultPassphrase, version }: Context, dataDir: string): Promise<Finding[]> {
  const [sqlite, git, engine, sandboxes] = await Promise.all([
    checkSqlite(),
    checkGit(env),
    checkEngine(dataDir, { model, vaultPassphrase }),
    checkSandboxes(env, dataDir),
  ]);
  return [
    ok("longhaul", version),
    checkNode(),
    sqlite,
    ...checkDataDir(dataDir),
    ...checkPrices(dataDir),
    git,
    ...engine,
    ...sandboxes,
    ok("browser", "any browser shows the interface; Chromium is needed by the tests only"),
  ];
}

function report(findings: readonly Finding[], color: boolean): string {
  const { paint } = styleFor(color);
  const words = { ok: paint("green", "ok  "), warn: paint("yellow", "warn"), fail: paint("red", "FAIL") };
  const lines = findings.flatMap(({ name, state, found, advice }) => [
    `${words[state]}  ${name.padEnd(9)} ${found}`,
    ...(advice === null ? [] : [`${" ".repeat(16)}${paint("dim", advice)}`]),
  ]);
  const failed = findings.filter(({ state }) => state === "fail").length;
  const total =
    failed === 0 ? "Longhaul can run here." : `${failed} of ${findings.length} checks failed: see FAIL above.`;
  return `${lines.join("\n")}\n\n${total}\n`;
}

function crashPointList(): string {
  const points = Object.entries(CRASH_POINTS);
  const width = Math.max(...points.map(([name]) => name.length));
  return points.map(([name, what]) => `${name.padEnd(width)}  ${what}\n`).join("");
}
