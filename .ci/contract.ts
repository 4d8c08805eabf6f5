/**
 * `npm run contract`: runs the tests that speak to the API through the official SDK, then prints which of the SDK's methods
 * and event types they found supported. Everything in the table comes from what ran. Writes `out/contract.md`.
 *
 *   npm run contract -- --report          ends with 0 also when something is missing
 *   npm run contract -- --facts <folder>  only prints what a folder of facts from an earlier run says
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { sdkOf } from "../main/api/testing/contract/recorder.ts";
import { renderMarkdown, renderText } from "../main/api/testing/contract/render.ts";
import { readFacts, reportOf } from "../main/api/testing/contract/report.ts";

const root = join(import.meta.dirname, "..");
/** What is run, by vitest project. */
const RUNS = [
  { project: "unit", paths: ["main/api/"] },
  { project: "e2e", paths: ["e2e/contract/", "e2e/sdk_flow.spec.ts"] },
];
const RUN_MS = 240_000;

const { values } = parseArgs({ options: { report: { type: "boolean" }, facts: { type: "string" } } });

/** True when every test passed. */
function runTests(facts: string): boolean {
  const built = spawnSync(process.execPath, [join(root, "main/launch.mjs"), "--build"], {
    cwd: root,
    stdio: "inherit",
  });
  let ok = built.status === 0;
  for (const { project, paths } of RUNS) {
    const vitest = spawnSync(
      join(root, "node_modules/.bin/vitest"),
      ["run", "--project", project, "--reporter=dot", ...paths],
      {
        cwd: root,
        stdio: "inherit",
        timeout: RUN_MS,
        env: { ...process.env, LONGHAUL_NO_BUILD: "1", LONGHAUL_CONTRACT_FACTS: facts },
      },
    );
    ok = vitest.status === 0 && ok;
  }
  return ok;
}

const own = values.facts === undefined ? mkdtempSync(join(tmpdir(), "longhaul-contract-")) : null;
const folder = own ?? values.facts ?? "";
try {
  const passed = own === null || runTests(own);
  const report = reportOf([sdkOf("@anthropic-ai/sdk"), sdkOf("anthropic-sdk-0")], readFacts(folder));
  mkdirSync(join(root, "out"), { recursive: true });
  writeFileSync(join(root, "out/contract.md"), renderMarkdown(report));
  console.log(renderText(report));
  if (!passed) console.log("Some of the tests failed, see above.");
  process.exitCode = values.report === true || (passed && report.problems.length === 0) ? 0 : 1;
} finally {
  if (own !== null) rmSync(own, { recursive: true, force: true });
}
