/**
 * `npm test`: says which real parts this machine has, gets the missing ones it can, builds, runs every test, and names
 * loudly what could not run. The last line is `N passed, N failed, N skipped`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { findTestEngine, type TestEngine } from "./engine/engine.ts";
import { chromiumPath, findParts, installMissing, type Part } from "./parts.ts";
import { type Tally, tally, total, type VitestReport } from "./report.ts";

const root = join(import.meta.dirname, "..");
/** Of one vitest run; far above what it takes, so that a hang ends and is reported. */
const RUN_MS = 2_400_000;

/** Set by a signal: nothing more is started. */
let ending = false;
let running: ChildProcess | null = null;

interface Project {
  name: string;
  /** Files that cannot run here: they are left out, and named. */
  left: string[];
  env: Record<string, string>;
  /** Program and arguments that the run is started with, for tests that need surroundings of their own. */
  within?: readonly string[];
}

/** Runs one vitest project with this terminal's output; its counts come from the JSON report. */
async function runProject({ name: project, left, env: more, within = [] }: Project, folder: string): Promise<Tally> {
  const reportFile = join(folder, `${project}.json`);
  const args = [
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportFile}`,
  ];
  for (const file of left) args.push(`--exclude=${file}`);
  const env = { ...process.env, LONGHAUL_NO_BUILD: "1", CHROMIUM_PATH: chromiumPath() ?? "", ...more };
  if (ending) return { passed: 0, failed: 0, skipped: 0, notRun: [] };
  const exitCode = await new Promise<number>((done) => {
    const [program = "", ...rest] = [...within, join(root, "node_modules/.bin/vitest"), ...args];
    const child = spawn(program, rest, {
      cwd: root,
      env,
      stdio: "inherit",
      timeout: RUN_MS,
    });
    running = child;
    child.on("error", () => done(127));
    child.on("close", (code) => done(code ?? 1));
  });
  const sum = tally(readReport(reportFile), exitCode);
  return { ...sum, skipped: sum.skipped + left.length, notRun: [...sum.notRun, ...left] };
}

function readReport(file: string): VitestReport | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as VitestReport;
  } catch {
    return null;
  }
}

function printParts(parts: readonly Part[]): void {
  console.log("Real parts on this machine:");
  for (const { name, found } of parts) console.log(`  ${name.padEnd(9)} ${found ?? "missing"}`);
}

/** Nothing is skipped silently: missing parts and skipped tests are named, with the way to run them. */
function printNotRun(parts: readonly Part[], sum: Tally): void {
  const missing = parts.filter((part) => part.found === null);
  if (missing.length === 0 && sum.notRun.length === 0) return;
  console.log("\n================ NOT RUN ON THIS MACHINE ================");
  for (const { name, without, get } of missing)
    console.log(`${name} is missing.\n  Not run: ${without}.\n  To get it: ${get}.`);
  if (sum.notRun.length > 0) console.log("Skipped tests:");
  for (const name of sum.notRun) console.log(`  ${relative(root, resolve(root, name))}`);
  console.log("=========================================================\n");
}

function enginePart(engine: TestEngine | string): Part {
  return {
    name: "Docker",
    found: typeof engine === "string" ? null : engine.found,
    without: `everything that needs a real container engine, because ${typeof engine === "string" ? engine : "it has no images"}`,
    get: "start Docker (npm test as root on Debian brings and starts one of its own), or name one in LONGHAUL_TEST_DOCKER_HOST",
  };
}

/** True when the engine has its images. One that only happens to be there may lack them; that is said like any missing part. */
async function prepared(engine: TestEngine, tallies: Tally[]): Promise<boolean> {
  try {
    await engine.prepare((line) => console.log(`[images] ${line}`));
    return true;
  } catch (error) {
    console.log(
      `The images for the tests could not be made: ${error instanceof Error ? error.message : String(error)}`,
    );
    if (engine.required) tallies.push({ passed: 0, failed: 1, skipped: 0, notRun: [] });
    return false;
  }
}

/** A new keyring on a bus of its own: the script's arguments are the program that runs in there. */
const KEYRING = 'printf "pw\\n" | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1; exec "$@"';

/** The tests of the real keychain, in a home where nobody's own secrets are; left out, and named, where there is none. */
async function runKeychain(parts: readonly Part[], folder: string): Promise<Tally> {
  const left = globSync(["main/**/*.keychain.test.ts"], { cwd: root });
  const part = parts.find(({ name }) => name === "keychain");
  if (part === undefined || part.found === null) {
    return { passed: 0, failed: 0, skipped: left.length, notRun: left };
  }
  const home = join(folder, "keychain");
  // A bus refuses a folder that others can look into; XDG names win over HOME.
  mkdirSync(join(home, "run"), { recursive: true, mode: 0o700 });
  const env = { HOME: home, XDG_RUNTIME_DIR: join(home, "run"), XDG_DATA_HOME: join(home, "data"), DISPLAY: "" };
  const within = ["dbus-run-session", "--", "sh", "-c", KEYRING, "keychain"];
  return runProject({ name: "keychain", left: [], env, within }, folder);
}

const DOCKER_FILES = ["main/**/*.docker.test.ts"];
const DOCKER_SPECS = ["e2e/docker/**/*.spec.ts"];
const SCREEN_SPECS = ["e2e/ui/**/*.spec.ts"];

async function runAll(engine: TestEngine | string, folder: string, parts: Part[]): Promise<Tally> {
  const built = spawnSync(process.execPath, [join(root, "main/launch.mjs"), "--build"], {
    cwd: root,
    stdio: "inherit",
  });
  const tallies: Tally[] = built.status === 0 ? [] : [{ passed: 0, failed: 1, skipped: 0, notRun: [] }];
  // The first time this takes a minute or two; the unit tests need no engine.
  const images = typeof engine === "string" ? Promise.resolve(false) : prepared(engine, tallies);
  tallies.push(await runProject({ name: "unit", left: [], env: {} }, folder));
  tallies.push(await runKeychain(parts, folder));
  const found = (patterns: string[]): string[] => globSync(patterns, { cwd: root });
  const left = chromiumPath() === null ? found(SCREEN_SPECS) : [];
  const env: Record<string, string> = {};
  if (typeof engine !== "string" && (await images)) {
    env["LONGHAUL_TEST_DOCKER_HOST"] = engine.host;
    if (found(DOCKER_FILES).length > 0) tallies.push(await runProject({ name: "docker", left: [], env }, folder));
    parts.push(enginePart(engine));
  } else {
    left.push(...found(DOCKER_SPECS));
    const notRun = found(DOCKER_FILES);
    tallies.push({ passed: 0, failed: 0, skipped: notRun.length, notRun });
    parts.push({ ...enginePart(engine), found: null });
  }
  tallies.push(await runProject({ name: "e2e", left, env }, folder));
  return total(tallies);
}

installMissing(findParts());
const engine = await findTestEngine();
const parts = findParts();
printParts([...parts, enginePart(engine)]);
const folder = mkdtempSync(join(tmpdir(), "longhaul-test-"));
const end = async (): Promise<void> => {
  ending = true;
  running?.kill("SIGTERM");
  rmSync(folder, { recursive: true, force: true });
  if (typeof engine !== "string") await engine.stop();
};
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const) {
  process.once(signal, () => void end().finally(() => process.exit(code)));
}
try {
  const sum = await runAll(engine, folder, parts);
  printNotRun(parts, sum);
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;
} finally {
  await end();
}
