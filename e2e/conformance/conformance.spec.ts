/**
 * The official conformance suite: every client scenario of the protocol's generations that the product speaks, each
 * against a broker and a client of its own.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parse } from "yaml";

const suite = createRequire(import.meta.url).resolve("@modelcontextprotocol/conformance/dist/index.js");
const client = join(import.meta.dirname, "client.ts");
const REVISIONS = ["2025-11-25", "2026-07-28"];
/** Milliseconds for one scenario on a busy machine; the suite's own limit is for an idle one. */
const SCENARIO_MS = 90_000;

interface Run {
  revision: string;
  scenario: string;
}

interface Outcome extends Run {
  /** The suite's own count, such as `Passed: 5/5, 0 failed, 0 warnings`. */
  result: string;
}

/** The suite and the client start some fifty times: their code is compiled once. */
const cache = mkdtempSync(join(tmpdir(), "longhaul-conformance-cache-"));

const runs = scenarios(await output(["list"]));
const outcomes: Outcome[] = [];

afterAll(() => {
  rmSync(cache, { recursive: true, force: true });
  const width = Math.max(...outcomes.map(({ scenario }) => scenario.length));
  const row = ({ revision, scenario, result }: Outcome): string => `${revision}  ${scenario.padEnd(width)}  ${result}`;
  const order = (one: Run): number =>
    runs.findIndex((run) => run.scenario === one.scenario && run.revision === one.revision);
  outcomes.sort((one, other) => order(one) - order(other));
  console.log(`MCP conformance, client scenarios through the broker\n${outcomes.map(row).join("\n")}`);
});

test.each(REVISIONS)("what %s requires is among the scenarios", (revision) => {
  const file = join(dirname(suite), `../requirements/${revision}.yaml`);
  const required = (parse(readFileSync(file, "utf8")) as { client: string[] }).client;
  expect(required.length).toBeGreaterThan(15);
  const run = runs.filter((one) => one.revision === revision).map(({ scenario }) => scenario);
  expect(run).toEqual(expect.arrayContaining(required));
});

describe.concurrent.each(runs)("$revision $scenario", (run) => {
  test(
    "passes",
    async () => {
      const { scenario, revision } = run;
      const command = `${process.execPath} ${client}`;
      const args = ["client", "--command", command, "--scenario", scenario, "--spec-version", revision];
      const said = await output([...args, "--timeout", String(SCENARIO_MS)]);
      const result = /^Passed: .*$/m.exec(said)?.[0] ?? "no result";
      outcomes.push({ ...run, result });
      expect(said).toContain("OVERALL: PASSED");
      expect(result).toMatch(/^Passed: (\d+)\/\1, 0 failed, 0 warnings$/);
      expect(result).not.toContain("Passed: 0/");
    },
    SCENARIO_MS + 10_000,
  );
});

/** The client scenarios of a list such as `  - initialize [2025-06-18,2025-11-25]`; extensions are none of them. */
function scenarios(list: string): Run[] {
  const part = list.split("Client scenarios")[1]?.split("Authorization server scenarios")[0] ?? "";
  const found = [...part.matchAll(/^ {2}- (\S+) \[([^\]]*)\]$/gm)];
  return found.flatMap(([, scenario = "", revisions = ""]) =>
    ["2025-11-25", "2026-07-28"]
      .filter((one) => revisions.split(",").includes(one))
      .map((revision) => ({ revision, scenario })),
  );
}

/** All that the suite says, without colours. It fails itself when a scenario does: the caller looks at what it says. */
function output(args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [suite, ...args], {
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
    child.on("error", reject);
    child.on("close", () => resolve(said.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g"), "")));
  });
}
