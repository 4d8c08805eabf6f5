import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EngineFacts } from "../../supervise.ts";
import { engineFilePath, isAlive, readEngineFile } from "./engine_file.ts";

const PROGRAM = fileURLToPath(new URL("../testing/serve_stub.ts", import.meta.url));

// Real processes on a busy machine take their time; the waits themselves end after 8 s.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let children: ChildProcessWithoutNullStreams[] = [];

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/longhaul-serve-`);
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  children = [];
  await until("every stub is gone", () => pids().every((pid) => !isAlive(pid)));
  rmSync(folder, { recursive: true, force: true });
});

function pids(): number[] {
  const path = join(folder, "starts.jsonl");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => (JSON.parse(line) as { pid: number }).pid);
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 8000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited 8 s in vain until ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

interface Served {
  child: ChildProcessWithoutNullStreams;
  stdout: () => string;
  stderr: () => string;
  code: Promise<number | null>;
}

function start(env: Record<string, string>, ...args: string[]): Served {
  const child = spawn(process.execPath, [PROGRAM, "--data-dir", join(folder, "data"), ...args], {
    env: { ...process.env, LONGHAUL_STUB: folder, ...env },
  });
  children.push(child);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += String(chunk)));
  child.stderr.on("data", (chunk) => (stderr += String(chunk)));
  const code = new Promise<number | null>((resolve) => child.on("exit", (exit) => resolve(exit)));
  return { child, stdout: () => stdout, stderr: () => stderr, code };
}

const data = () => join(folder, "data");

test("prints exactly one line, keeps engine.json in step, and drains on SIGTERM", async () => {
  const served = start({ ANTHROPIC_API_KEY: "sk-canary" }, "--json");
  await until("it is ready", () => served.stdout().includes("\n"));
  const facts = JSON.parse(served.stdout()) as EngineFacts;
  expect(Object.keys(facts)).toEqual(["url", "token", "pid", "broker_pid", "data_dir"]);
  expect(facts.data_dir).toBe(data());
  expect(readEngineFile(data())).toEqual({ ...facts, supervisor_pid: served.child.pid });

  process.kill(facts.pid, "SIGKILL");
  await until("engine.json names the new engine", () => readEngineFile(data())?.pid !== facts.pid);
  expect(readEngineFile(data())?.url).toBe(facts.url);

  served.child.kill("SIGTERM");
  expect(await served.code).toBe(0);
  expect(existsSync(engineFilePath(data()))).toBe(false);
  expect(served.stdout().split("\n")).toHaveLength(2);
  expect(
    served.stdout() + served.stderr() + readFileSync(join(folder, "starts.jsonl"), "utf8").split("\n").slice(1).join(),
  ).not.toContain("sk-canary");
});

test("a second signal ends at once", async () => {
  writeFileSync(join(folder, "engine.json"), JSON.stringify([{ do: "serve", ignores_drain: true }]));
  const served = start({}, "--json");
  await until("it is ready", () => served.stdout().includes("\n"));
  served.child.kill("SIGINT");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(served.child.exitCode).toBeNull();
  served.child.kill("SIGINT");
  expect(await served.code).toBe(1);
});

test("a locked data directory is refused with the engine's words and no line on stdout", async () => {
  writeFileSync(join(folder, "engine.json"), JSON.stringify([{ do: "fail", failure: "data_dir_locked" }]));
  const served = start({}, "--json");
  expect(await served.code).toBe(1);
  expect(served.stdout()).toBe("");
  expect(served.stderr()).toContain("It failed; nothing is lost; try again.");
});

test("an armed crash point ends it with 137", async () => {
  writeFileSync(join(folder, "engine.json"), JSON.stringify([{ do: "die", ready: true, after_ms: 50 }]));
  const served = start({ LONGHAUL_CRASH_AT: "tool.after_result" }, "--json");
  expect(await served.code).toBe(137);
});

test("a data directory that cannot be made, and the engine's own address as model, are explained", async () => {
  writeFileSync(data(), "a file");
  const blocked = start({}, "--json");
  expect(await blocked.code).toBe(1);
  expect(blocked.stderr()).toContain(`The data directory ${data()} cannot be used (EEXIST)`);

  rmSync(data());
  const served = start({}, "--json");
  await until("it is ready", () => served.stdout().includes("\n"));
  const { url, token } = JSON.parse(served.stdout()) as EngineFacts;
  const circular = start({ ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: token }, "--json");
  expect(await circular.code).not.toBe(0);
  expect(circular.stderr()).toContain("those of Longhaul itself");
});

test("when it is killed with SIGKILL nothing stays behind", async () => {
  const served = start({}, "--json");
  await until("it is ready", () => served.stdout().includes("\n"));
  served.child.kill("SIGKILL");
  await until("engine and broker are gone", () => pids().every((pid) => !isAlive(pid)));
  expect(readEngineFile(data())).not.toBeNull();
});
