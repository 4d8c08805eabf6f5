import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EngineFacts } from "../../supervise.ts";
import {
  engineFilePath,
  findEngine,
  isAlive,
  readEngineFile,
  removeEngineFile,
  writeEngineFile,
} from "./engine_file.ts";

let folder: string;
let server: Server | null = null;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/longhaul-engine-file-`);
});

afterEach(() => {
  server?.close();
  server = null;
  rmSync(folder, { recursive: true, force: true });
});

async function health(answer: object, status = 200): Promise<string> {
  const made = createServer((request, response) => {
    const known = request.headers.authorization === "Bearer secret";
    response.writeHead(known ? status : 401, { "content-type": "application/json" });
    response.end(JSON.stringify(answer));
  });
  server = made;
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(made.address() as AddressInfo).port}`;
}

const facts = (more: Partial<EngineFacts>): EngineFacts => ({
  url: "http://127.0.0.1:1",
  token: "secret",
  pid: process.pid,
  broker_pid: 1,
  data_dir: folder,
  ...more,
});

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ["-e", ""]);
  await new Promise((resolve) => child.on("exit", resolve));
  return child.pid ?? 0;
}

test("a running engine is found, and only its user can read the token", async () => {
  const written = facts({ url: await health({ pid: process.pid }) });
  writeEngineFile(written);
  expect(await findEngine(folder)).toEqual({ state: "running", facts: written });
  expect(statSync(engineFilePath(folder)).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(["engine.json"]);
});

test("no file, half a file, a file of something else: none", async () => {
  expect(await findEngine(folder)).toEqual({ state: "none" });
  for (const text of ["", '{"url":"http://127', "[]", '{"url":"https://evil.example","token":"x","pid":1}']) {
    writeFileSync(engineFilePath(folder), text);
    expect(await findEngine(folder)).toEqual({ state: "none" });
  }
});

test("a dead engine, a dead supervisor, silence, another process, a refusal: stale, with the reason", async () => {
  writeEngineFile(facts({ pid: await deadPid() }));
  expect(await findEngine(folder)).toMatchObject({ state: "stale", why: expect.stringContaining("is gone") });

  writeFileSync(engineFilePath(folder), JSON.stringify({ ...facts({}), supervisor_pid: await deadPid() }));
  expect(await findEngine(folder)).toMatchObject({ state: "stale", why: expect.stringContaining("supervised") });

  writeEngineFile(facts({}));
  expect(await findEngine(folder)).toMatchObject({ state: "stale", why: expect.stringContaining("does not answer") });

  writeEngineFile(facts({ url: await health({ pid: 1 }) }));
  expect(await findEngine(folder)).toMatchObject({
    state: "stale",
    why: expect.stringContaining("another process (1)"),
  });

  writeEngineFile(facts({ url: readEngineFile(folder)?.url ?? "", token: "other" }));
  expect(await findEngine(folder)).toMatchObject({ state: "stale", why: expect.stringContaining("status 401") });
});

test("an engine that hangs is not waited for", async () => {
  const made = createServer(() => undefined);
  server = made;
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  writeEngineFile(facts({ url: `http://127.0.0.1:${(made.address() as AddressInfo).port}` }));
  expect(await findEngine(folder, 100)).toMatchObject({ state: "stale", why: expect.stringContaining("in time") });
  made.closeAllConnections();
});

test("only the writer removes the file", () => {
  writeEngineFile(facts({}));
  removeEngineFile(folder);
  expect(readEngineFile(folder)).toBeNull();
  writeFileSync(engineFilePath(folder), JSON.stringify({ ...facts({}), supervisor_pid: process.ppid }));
  removeEngineFile(folder);
  expect(readEngineFile(folder)?.supervisor_pid).toBe(process.ppid);
});

test("a process that is dead but not reaped is dead", async () => {
  expect(isAlive(process.pid)).toBe(true);
  if (process.platform !== "linux") return;
  // The shell starts a child that ends, and never waits for it.
  const shell = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 5"], { stdio: ["ignore", "pipe", "ignore"] });
  const pid = Number(
    await new Promise<string>((resolve) => shell.stdout.once("data", (data) => resolve(String(data)))),
  );
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(isAlive(pid)).toBe(false);
  shell.kill("SIGKILL");
});
