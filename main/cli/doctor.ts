/** `longhaul doctor`: checks what Longhaul needs on this machine and says what to do about what is missing. */
import { readSettings } from "../config.ts";
import { CRASH_POINTS } from "../crash_points.ts";
import { styleFor } from "./account/words.ts";
import { type Command, type Context, DATA_DIR_OPTION, EXIT } from "./command.ts";
import { type Finding, ok } from "./diagnosis/check.ts";
import { checkEngineAndModel } from "./diagnosis/engine.ts";
import { checkDataDir, checkGit, checkKeychain, checkNode, checkSandbox, checkSqlite } from "./diagnosis/machine.ts";

export const doctor: Command = {
  name: "doctor",
  usage: "[--data-dir DIR] [--json] [--list-crash-points]",
  summary: "Check this machine and say what is missing",
  details: ["Changes nothing and sends no key. Exit code 1 when something that Longhaul needs is missing."],
  options: {
    ...DATA_DIR_OPTION,
    json: { type: "boolean", help: "print the findings as one JSON object" },
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
    const findings = await examine(context, data_dir);
    const failed = findings.some(({ state }) => state === "fail");
    terminal.out(json ? `${JSON.stringify({ ok: !failed, findings })}\n` : report(findings, terminal.color));
    return failed ? EXIT.failed : EXIT.done;
  },
};

async function examine({ env, model, version }: Context, dataDir: string): Promise<Finding[]> {
  const [sqlite, git, engine] = await Promise.all([checkSqlite(), checkGit(env), checkEngineAndModel(dataDir, model)]);
  return [
    ok("longhaul", version),
    checkNode(),
    sqlite,
    ...checkDataDir(dataDir),
    git,
    ...engine,
    ...checkSandbox(env),
    checkKeychain(env),
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
