/** `npm run check`: types, lint and format, the rules of the house, unused code. Every warning fails. */
import { spawn } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkRules } from "./rules.ts";

const root = join(import.meta.dirname, "..");

interface Outcome {
  name: string;
  ok: boolean;
  output: string;
  ms: number;
}

function command(name: string, bin: string, args: string[]): Promise<Outcome> {
  const started = performance.now();
  return new Promise((done) => {
    const child = spawn(join(root, "node_modules/.bin", bin), args, {
      cwd: root,
      env: { ...process.env, FORCE_COLOR: "0" },
    });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk));
    child.on("error", (error) => done({ name, ok: false, output: String(error), ms: performance.now() - started }));
    child.on("close", (code) => done({ name, ok: code === 0, output, ms: performance.now() - started }));
  });
}

function houseRules(): Outcome {
  const started = performance.now();
  const files = new Map<string, string>();
  for (const folder of ["main", "electron", "renderer", "e2e", "bench", ".ci"]) {
    if (!existsSync(join(root, folder))) continue;
    for (const file of globSync(`${folder}/**/*.{ts,tsx,mjs,cjs,js,css}`, { cwd: root })) {
      files.set(file.replaceAll("\\", "/"), readFileSync(join(root, file), "utf8"));
    }
  }
  const { problems, long } = checkRules(files);
  if (long.length > 0) console.log(`For information, files over 250 lines: ${long.join(", ")}`);
  const output = problems.map((problem) => `${problem.file}: ${problem.message}`).join("\n");
  return { name: "rules", ok: problems.length === 0, output, ms: performance.now() - started };
}

const outcomes = await Promise.all([
  command("types", "tsc", ["-p", "."]),
  command("lint and format", "biome", ["check", "--error-on-warnings", "."]),
  houseRules(),
  command("unused code", "knip", ["--no-progress", "--treat-config-hints-as-errors"]),
]);
for (const { name, ok, output, ms } of outcomes) {
  console.log(`${ok ? "ok  " : "FAIL"} ${name} (${(ms / 1000).toFixed(1)} s)`);
  if (!ok) console.log(output.trim());
}
process.exitCode = outcomes.every((outcome) => outcome.ok) ? 0 : 1;
