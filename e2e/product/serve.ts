/** Starts the built product as its users do: `longhaul serve` in processes of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type Anthropic from "@anthropic-ai/sdk";
import { contractClient } from "../../main/api/testing/contract/client.ts";

const LAUNCHER = new URL("../../main/launch.mjs", import.meta.url).pathname;

export interface ServeOptions {
  data_dir?: string;
  /** Endpoint for the broker; none: the offline demo model. */
  model?: { url: string; apiKey: string };
  env?: Record<string, string>;
  args?: string[];
}

export interface Ready {
  url: string;
  token: string;
  pid: number;
  broker_pid: number;
  data_dir: string;
}

/** A running product. */
export interface Product extends Ready {
  child: ChildProcess;
  /** Everything on stderr so far. */
  stderr: () => string;
  client: Anthropic;
  /** A local API call with the token; rejects on an error status. */
  local: <T>(path: string, init?: RequestInit) => Promise<T>;
  /** Exit code, or the signal's name, once the supervisor has ended. */
  ended: Promise<number | string>;
  stop: () => Promise<number | string>;
}

/** Environment of a machine that knows nothing of models: what the tests add is all there is. */
export function cleanEnv(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  // A container engine on this machine must not change what a spec runs in; the specs about containers say so.
  const fixed = { LONGHAUL_DEMO_PACE_MS: "0", NO_COLOR: "1", LONGHAUL_SANDBOX: "embedded" };
  const env: NodeJS.ProcessEnv = { ...process.env, ...fixed, ...extra };
  for (const name of ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"]) {
    if (extra[name] === undefined) delete env[name];
  }
  return env;
}

/** Runs the command line. */
export function longhaul(args: string[], env: NodeJS.ProcessEnv = cleanEnv()): ChildProcess {
  return spawn(process.execPath, [LAUNCHER, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs a command to its end. */
export async function run(
  args: string[],
  env: NodeJS.ProcessEnv = cleanEnv(),
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const child = longhaul(args, env);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const code = await exitOf(child);
  return { code, stdout: stdout(), stderr: stderr() };
}

/** Starts `serve` and waits for its one line; rejects with stderr when it ends before. */
export async function serve(options: ServeOptions = {}): Promise<Product> {
  const data_dir = options.data_dir ?? tempDir();
  const model =
    options.model === undefined
      ? {}
      : { ANTHROPIC_BASE_URL: options.model.url, ANTHROPIC_API_KEY: options.model.apiKey };
  const args = ["serve", "--data-dir", data_dir, "--port", "0", "--json", ...(options.args ?? [])];
  const child = longhaul(args, cleanEnv({ ...model, ...options.env }));
  const stderr = collect(child.stderr);
  const ended = exitOf(child);
  const line = await Promise.race([
    firstLine(child),
    ended.then((code) => Promise.reject(startFailure(code, stderr()))),
  ]);
  const ready = JSON.parse(line) as Ready;
  const client = contractClient(ready.url, ready.token, { server: "product" });
  const local = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
    const headers = { authorization: `Bearer ${ready.token}`, "content-type": "application/json" };
    const response = await fetch(`${ready.url}/longhaul/v1${path}`, { ...init, headers });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  };
  const stop = (): Promise<number | string> => {
    child.kill("SIGTERM");
    return ended;
  };
  return { ...ready, child, stderr, client, local, ended, stop };
}

/** Kills supervisor and engine at once, as a power cut would; the broker ends with its parent. */
export async function cutPower(product: Product): Promise<void> {
  product.child.kill("SIGKILL");
  process.kill(product.pid, "SIGKILL");
  await product.ended;
}

export function startFailure(code: number | string, stderr: string): Error {
  return new Error(`serve ended with ${code}:\n${stderr}`);
}

/** A fresh directory under the system's temporary one. */
export function tempDir(): string {
  return mkdtempSync(join(tmpdir(), "longhaul-e2e-"));
}

export function removeDir(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** Waits until `check` gives something; rejects with `what` after `ms`. */
export async function until<T>(
  what: string,
  check: () => Promise<T | null | undefined | false>,
  ms = 30_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`timed out waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function exitOf(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal ?? "unknown")));
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let text = "";
  stream?.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  return () => text;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    if (child.stdout !== null) createInterface({ input: child.stdout }).once("line", resolve);
  });
}
