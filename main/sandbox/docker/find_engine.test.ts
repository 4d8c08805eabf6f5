import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SandboxLost } from "../port.ts";
import { EngineUnavailable } from "./discovery/connect.ts";
import { type FakeEngine, fakeEngine } from "./discovery/testing/fake_engine.ts";
import { EngineLink, findEngine } from "./find_engine.ts";

const run = promisify(execFile);

let home: string;
let socket: string;
let running: FakeEngine[];

beforeEach(() => {
  home = mkdtempSync(`${tmpdir()}/longhaul-find-`);
  socket = join(home, "d.sock");
  running = [];
});
afterEach(async () => {
  for (const engine of running) await engine[Symbol.asyncDispose]();
  rmSync(home, { recursive: true, force: true });
});

async function engineAt(...arguments_: Parameters<typeof fakeEngine>): Promise<FakeEngine> {
  const engine = await fakeEngine(...arguments_);
  running.push(engine);
  return engine;
}

async function refusal(env: Record<string, string>, limitMs = 150): Promise<EngineUnavailable> {
  const error = await findEngine({ HOME: home, ...env }, { limitMs }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(EngineUnavailable);
  expect(error).toBeInstanceOf(SandboxLost);
  const refused = error as EngineUnavailable;
  // What happened, what is safe, what works meanwhile.
  expect(refused.message).toContain("Nothing was started or changed.");
  expect(refused.message).toContain("the embedded sandbox works");
  return refused;
}

describe("an engine that answers", () => {
  test("says what it is, and is spoken to in a version that both know", async () => {
    const { asked } = await engineAt(socket, { version: { ApiVersion: "1.99" } });
    const engine = await findEngine({ DOCKER_HOST: `unix://${socket}` });
    expect(engine).toMatchObject({ name: "Docker", version: "27.1.1", api: "1.51", cpus: 4, id: "id-1" });
    expect(engine).toMatchObject({ address: `unix://${socket}`, runtimes: ["runc"], default_runtime: "runc" });
    await engine.docker.ping();
    expect(asked.at(-1)).toBe("/v1.51/_ping");
  });

  test.each([
    ["Podman", { Components: [{ Name: "Podman Engine" }], ApiVersion: "1.41" }],
    ["Docker Desktop", { Platform: { Name: "Docker Desktop 4.30.0 (1)" } }],
  ])("%s is called by its name", async (name, version) => {
    await engineAt(socket, { version });
    expect(await findEngine({ DOCKER_HOST: `unix://${socket}` })).toMatchObject({ name });
  });

  test("over TCP, whatever DOCKER_HOST of this process says", async () => {
    const { port } = await engineAt(null, {});
    const before = process.env.DOCKER_HOST;
    process.env.DOCKER_HOST = "tcp://127.0.0.1:1";
    try {
      const engine = await findEngine({ DOCKER_HOST: `tcp://user:canary@127.0.0.1:${port}` });
      expect(engine.address).toBe(`tcp://127.0.0.1:${port}`);
      expect(String(await engine.docker.ping())).toBe("OK");
    } finally {
      if (before === undefined) delete process.env.DOCKER_HOST;
      else process.env.DOCKER_HOST = before;
    }
  });

  test("one that drops its old versions is spoken to in its oldest", async () => {
    await engineAt(socket, { version: { ApiVersion: "1.90", MinAPIVersion: "1.80" } });
    expect(await findEngine({ DOCKER_HOST: `unix://${socket}` })).toMatchObject({ api: "1.80" });
  });
});

describe("no engine", () => {
  test("nothing there: where it was looked for, and how to get one", async () => {
    const error = await refusal({ DOCKER_CONTEXT: "gone" });
    expect(error).toMatchObject({ reason: "misconfigured", message: expect.stringContaining('context "gone"') });
    expect(await refusal({ DOCKER_HOST: `unix://${socket}` })).toMatchObject({
      reason: "unreachable",
      message: expect.stringMatching(/No container engine answers at unix:.*Start it/),
    });
  });

  test.each<[string, Parameters<typeof fakeEngine>[1], string, RegExp]>([
    ["hangs", "hangs", "silent", /does not answer \(waited 0\.15 s\)/],
    ["is another protocol", "garbage", "not_docker", /does not speak HTTP/],
    ["breaks off", "breaks_off", "unreachable", /No container engine answers/],
    ["sends without an end", "endless", "not_docker", /never ends its answer/],
    ["is a web page", { status: 200, body: "<html>" }, "not_docker", /not a container engine/],
    ["is JSON of something else", { status: 200, body: '{"Version":1}' }, "not_docker", /not a container engine/],
    ["refuses", { status: 403, body: "no" }, "refused", /refuses this client \(status 403\)/],
    ["fails", { status: 500, body: "{}" }, "not_docker", /not a container engine/],
    [
      "is too old",
      { version: { Version: "18.09", ApiVersion: "1.39" } },
      "too_old",
      /18\.09 speaks API 1\.39, and 1\.40/,
    ],
    ["runs Windows containers", { version: { Os: "windows" } }, "windows_containers", /Linux containers/],
  ])("what %s", async (_, behaviour, reason, words) => {
    await engineAt(socket, behaviour);
    const started = performance.now();
    const error = await refusal({ DOCKER_HOST: `unix://${socket}` }, behaviour === "hangs" ? 150 : 3000);
    expect(error.message).toMatch(words);
    expect(error.reason).toBe(reason);
    expect(performance.now() - started).toBeLessThan(2500);
  });

  test("a socket that this user may not use is named, with the way in", async () => {
    await engineAt(socket, {});
    chmodSync(socket, 0);
    // Root may use every socket: a process of its own becomes nobody first.
    const script = `
      const { findEngine } = await import(${JSON.stringify(new URL("find_engine.ts", import.meta.url).href)});
      if (process.getuid() === 0) process.setuid(65534);
      await findEngine({ DOCKER_HOST: "unix://${socket}" }).catch((error) => console.log(error.reason, error.message));`;
    chmodSync(home, 0o755);
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script]);
    expect(stdout).toContain(`permission This user may not use the container engine's socket (unix://${socket}).`);
    expect(stdout).toContain('group "docker"');
  });

  test("no name of a user or password is in any text", async () => {
    for (const host of [
      "tcp://me:canary@127.0.0.1:1",
      "ssh://me:canary@h",
      "tcp://me:canary@:1",
      "tcp://me:canary@nowhere.invalid",
    ]) {
      const error = await refusal({ DOCKER_HOST: host });
      expect(`${error.message}${String(error.stack)}`).not.toContain("canary");
    }
  });
});

describe("the link", () => {
  test("contacts nothing before it is asked, then once for all who ask at the same time", async () => {
    const { asked } = await engineAt(socket, {});
    const link = new EngineLink({ DOCKER_HOST: `unix://${socket}` }, null);
    expect(link.known()).toEqual({ state: "unasked", candidates: [`unix://${socket}`], problem: null });
    expect(link.current()).toBeNull();
    expect(asked).toEqual([]);
    const engines = await Promise.all([link.engine(), link.engine(), link.engine()]);
    await link.engine();
    expect(asked.sort()).toEqual(["/info", "/version"]);
    expect(new Set(engines).size).toBe(1);
    expect(link.known()).toMatchObject({ state: "answers", engine: { name: "Docker" } });
    expect(link.known()).not.toHaveProperty("engine.docker");
  });

  test("an engine that comes later is found by the next question", async () => {
    const link = new EngineLink({ DOCKER_HOST: `unix://${socket}` }, null);
    expect(await link.answers()).toBeInstanceOf(EngineUnavailable);
    expect(link.known()).toMatchObject({ state: "unavailable" });
    await engineAt(socket, {});
    expect(await link.answers()).toBeNull();
    expect(link.known()).toMatchObject({ state: "answers" });
  });

  test("after a restart of this program another engine does not take the place of the one in use", async () => {
    const first = join(home, ".docker", "run", "docker.sock");
    const second = join(home, ".rd", "docker.sock");
    for (const path of [first, second]) mkdirSync(join(path, ".."), { recursive: true });
    const env = { HOME: home };
    // What this machine has at the usual places is left out: a memory that names the first one does it.
    const memory = join(home, "data", "container_engine.json");
    mkdirSync(join(home, "data"));
    writeFileSync(memory, JSON.stringify({ address: `unix://${first}` }));
    await engineAt(first, {});
    await engineAt(second, {});
    expect((await new EngineLink(env, memory).engine()).address).toBe(`unix://${first}`);
    await running[0]?.[Symbol.asyncDispose]();
    rmSync(first, { force: true });
    const refused = await new EngineLink(env, memory).answers();
    expect(refused?.message).toMatch(
      /used so far is not running.*Another engine is at .*rd\/docker\.sock.*set DOCKER_HOST/s,
    );
    // A choice of the person's changes over, for good.
    expect((await new EngineLink({ ...env, DOCKER_HOST: `unix://${second}` }, memory).engine()).address).toBe(
      `unix://${second}`,
    );
    expect((await new EngineLink(env, memory).engine()).address).toBe(`unix://${second}`);
  });

  test("a memory that cannot be read is no memory", async () => {
    const memory = join(home, "engine.json");
    writeFileSync(memory, "{{{");
    await engineAt(socket, {});
    expect((await new EngineLink({ DOCKER_HOST: `unix://${socket}` }, memory).engine()).name).toBe("Docker");
  });
});
