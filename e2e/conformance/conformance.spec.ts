/**
 * The official conformance suite: every client scenario of the protocol's two generations, each against a broker and a
 * client of its own. Extensions of the protocol are run by the suite too; the product does not offer them.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";

const require = createRequire(import.meta.url);
const suite = require.resolve("@modelcontextprotocol/conformance/dist/index.js");
/** Milliseconds for one scenario while all others run; the suite's own limit is for one alone. */
const SCENARIO_MS = 240_000;

interface Requirements {
  client: string[];
  not_scored: { scenario: string; leg: string; reason: string }[];
}

/** The clients start some sixty times: their code is compiled once. */
const cache = mkdtempSync(join(tmpdir(), "longhaul-conformance-cache-"));
afterAll(() => rmSync(cache, { recursive: true, force: true }));

describe.each(["2025-11-25", "2026-07-28"])("MCP %s, through the broker", (revision) => {
  const extensions: string[] = [];
  const scenarios = scenariosOf(revision, extensions);
  let said = "";
  let summary = "";

  beforeAll(async () => {
    said = await conformance(revision);
    summary = said.split("=== SUITE SUMMARY ===")[1] ?? "";
    console.log(`MCP conformance of the client, ${revision}, through the broker\n${summary.trim()}`);
  }, SCENARIO_MS + 60_000);

  test.each(scenarios)("%s", (scenario) => {
    const [, passed, failed] =
      rowOf(scenario, summary) ?? expect.fail(`The suite did not run it:\n${said.slice(-8_000)}`);
    expect({ scenario, passed: Number(passed) > 0, failed }).toEqual({ scenario, passed: true, failed: "0" });
  });

  test("nothing but extensions fails, and nothing is warned of", () => {
    const failing = [...summary.matchAll(/^✗ (\S+):/gm)].map(([, scenario = ""]) => scenario);
    expect(failing.filter((scenario) => !extensions.includes(scenario))).toEqual([]);
    expect(summary).toMatch(/^Total: \d+ passed, \d+ failed, 0 warnings$/m);
  });
});

/** @param extensions is filled with those that the protocol does not ask for */
function scenariosOf(revision: string, extensions: string[]): string[] {
  const file = join(dirname(suite), `../requirements/${revision}.yaml`);
  const { client, not_scored } = parse(readFileSync(file, "utf8")) as Requirements;
  const others = not_scored.filter(({ leg }) => leg === "client");
  extensions.push(...others.filter(({ reason }) => reason === "extension").map(({ scenario }) => scenario));
  return [...client, ...others.filter(({ reason }) => reason !== "extension").map(({ scenario }) => scenario)];
}

function rowOf(scenario: string, summary: string): RegExpExecArray | null {
  const row = summary.split("\n").find((line) => line.slice(1).trim().startsWith(`${scenario}: `));
  return /(\d+) passed, (\d+) failed/.exec(row ?? "");
}

/** All that the suite says, without colours. It exits with an error when anything fails: what it says is looked at. */
function conformance(revision: string): Promise<string> {
  const command = `${process.execPath} ${join(import.meta.dirname, "client.ts")}`;
  const args = ["client", "--command", command, "--requirements", revision, "--timeout", String(SCENARIO_MS)];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [suite, ...args], {
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        said += String(chunk);
      });
    }
    child.on("error", reject);
    child.on("close", () => resolve(said.replace(new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g"), "")));
  });
}
