/** `longhaul run "demo" --demo`, killed with SIGKILL at any moment and resumed, ends as the uninterrupted run ends. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cleanEnv, exitOf, longhaul, removeDir, run, tempDir } from "./product/serve.ts";
import { workspaceFiles } from "./product/sessions.ts";

/** The demo streams at this pace, so that a kill meets every phase of it. */
const ENV = cleanEnv({ LONGHAUL_DEMO_PACE_MS: "4" });

interface End {
  files: Record<string, string>;
  final: string;
}

const dirs: string[] = [];
let wanted: End;

beforeAll(async () => {
  const data_dir = freshDir();
  const { code, stdout } = await run(["run", "demo", "--demo", "--data-dir", data_dir], ENV);
  expect(code).toBe(0);
  expect(stdout).toContain("offline demo");
  wanted = endOf(data_dir, stdout);
  expect(Object.keys(wanted.files).length).toBeGreaterThan(1);
  expect(wanted.final).toContain("all 8 checks pass");
});
afterAll(() => {
  for (const dir of dirs) removeDir(dir);
});

function freshDir(): string {
  const dir = tempDir();
  dirs.push(dir);
  return dir;
}

function endOf(dataDir: string, stdout: string): End {
  const sessions = readdirSync(join(dataDir, "sandboxes"));
  expect(sessions).toHaveLength(1);
  const final = stdout.slice(stdout.lastIndexOf("Final message")).split("\n\n").slice(0, 3).join("\n");
  return { files: workspaceFiles(dataDir, sessions[0] ?? ""), final: final.split("\nDone")[0]?.trim() ?? "" };
}

test.each([300, 600, 900, 1200, 1500, 1900, 2400, 3000])(
  "killed after %i ms",
  async (ms) => {
    const data_dir = freshDir();
    const child = longhaul(["run", "demo", "--demo", "--data-dir", data_dir], ENV);
    const ended = exitOf(child);
    const timer = setTimeout(() => child.kill("SIGKILL"), ms);
    const end = await ended;
    clearTimeout(timer);
    const resumed = await run(["resume", "--data-dir", data_dir], ENV);
    if (resumed.stderr.includes("no session") || resumed.stdout.includes("no session")) {
      // Killed before the session existed: nothing was acknowledged, so nothing is lost.
      expect(end).toBe("SIGKILL");
      return;
    }
    expect(resumed.code, resumed.stdout + resumed.stderr).toBe(0);
    expect(endOf(data_dir, resumed.stdout)).toEqual(wanted);
  },
  120_000,
);
