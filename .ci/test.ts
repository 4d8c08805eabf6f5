/**
 * `npm test`: says which real parts this machine has, gets the missing ones it can, builds, runs every test, and names
 * loudly what could not run. The last line is `N passed, N failed, N skipped`.
 */
import { spawn, spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { chromiumPath, findParts, installMissing, type Part } from "./parts.ts";
import { type Tally, tally, total, type VitestReport } from "./report.ts";

const root = join(import.meta.dirname, "..");
/** Of one vitest run; far above what it takes, so that a hang ends and is reported. */
const RUN_MS = 900_000;

/** Runs one vitest project without the files in `left`, with this terminal's output; its counts come from the JSON report. */
async function runProject(project: string, folder: string, left: string[]): Promise<Tally> {
  const reportFile = join(folder, `${project}.json`);
  const args = [
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${reportFile}`,
  ];
  const env = { ...process.env, LONGHAUL_NO_BUILD: "1", CHROMIUM_PATH: chromiumPath() ?? "" };
  const exitCode = await new Promise<number>((done) => {
    const child = spawn(join(root, "node_modules/.bin/vitest"), args, {
      cwd: root,
      env,
      stdio: "inherit",
      timeout: RUN_MS,
    });
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

installMissing(findParts());
const parts = findParts();
printParts(parts);
const built = spawnSync(process.execPath, [join(root, "main/launch.mjs"), "--build"], { cwd: root, stdio: "inherit" });
const folder = mkdtempSync(join(tmpdir(), "longhaul-test-"));
try {
  const tallies: Tally[] = built.status === 0 ? [] : [{ passed: 0, failed: 1, skipped: 0, notRun: [] }];
  const screenSpecs = chromiumPath() === null ? globSync("e2e/ui/**/*.spec.ts", { cwd: root }) : [];
  tallies.push(await runProject("unit", folder, []));
  tallies.push(await runProject("e2e", folder, screenSpecs));
  const sum = total(tallies);
  printNotRun(parts, sum);
  console.log(`${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
