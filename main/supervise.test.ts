import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EngineBoot } from "./contract/process.ts";
import { type EngineFacts, entriesBeside, type SuperviseOptions, type Supervisor, supervise } from "./supervise.ts";
import type { StubScript, StubStart } from "./supervision/testing/stub_child.ts";

const STUB = fileURLToPath(new URL("./supervision/testing/stub_child.ts", import.meta.url));

// Real processes on a busy machine take their time; the waits themselves end after 8 s.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let folder: string;
let running: Supervisor | null = null;
let engines: EngineFacts[] = [];
let logs: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-supervise-"));
  engines = [];
  logs = [];
});

afterEach(async () => {
  running?.kill();
  await running?.stopped;
  running = null;
  for (const { pid } of starts()) expect(alive(pid), `process ${pid} was left behind`).toBe(false);
  rmSync(folder, { recursive: true, force: true });
});

function script(role: "engine" | "broker", ...lines: StubScript[]): void {
  writeFileSync(join(folder, `${role}.json`), JSON.stringify(lines));
}

function launch(more: Partial<SuperviseOptions> = {}, crashAt: string | null = null, port = 0): Supervisor {
  running = supervise({
    settings: { data_dir: folder, port, sandbox: null, auto_resume: true, renderer: false, crash_at: crashAt },
    model: { base_url: "http://127.0.0.1:9", api_key: "sk-canary" },
    vault_passphrase: "canary passphrase",
    env: {
      ...process.env,
      LONGHAUL_STUB: folder,
      ANTHROPIC_API_KEY: "sk-canary",
      ANTHROPIC_BASE_URL: "http://127.0.0.1:9",
      GITHUB_TOKEN: "gh-canary",
      LONGHAUL_CRASH_AT: "wake.after_lease",
    },
    entries: { engine: STUB, broker: STUB },
    renderer_dir: null,
    log_fd: openSync(join(folder, "children.log"), "a"),
    log: (line) => logs.push(line),
    onEngine: (facts) => engines.push(facts),
    ...more,
  });
  return running;
}

function lines<T>(name: string): T[] {
  const path = join(folder, name);
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}

function starts(role?: "engine" | "broker"): StubStart[] {
  return lines<StubStart>("starts.jsonl").filter((start) => role === undefined || start.role === role);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 8000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited 8 s in vain until ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("start", () => {
  test("the broker comes first and the engine is told where it listens", async () => {
    launch();
    await until("the engine is ready", () => engines.length === 1);
    const [broker, engine] = [starts("broker")[0]!, starts("engine")[0]!];
    const boot = engine.boot as EngineBoot;
    expect(boot.broker.url).toBe("http://127.0.0.1:20000");
    expect(boot.broker.launch_secret).toMatch(/^[0-9a-f]{64}$/);
    expect(broker.boot.type === "boot" && "launch_secret" in broker.boot && broker.boot.launch_secret).toBe(
      boot.broker.launch_secret,
    );
    expect(engines[0]).toEqual({
      url: "http://127.0.0.1:20000",
      token: `token-${engine.pid}`,
      pid: engine.pid,
      broker_pid: broker.pid,
      data_dir: folder,
    });
  });

  test("the key reaches the broker's boot message and no environment", async () => {
    launch();
    await until("the engine is ready", () => engines.length === 1);
    const [broker, engine] = [starts("broker")[0]!, starts("engine")[0]!];
    expect(broker.boot).toMatchObject({ model: { api_key: "sk-canary" }, vault_passphrase: "canary passphrase" });
    expect(JSON.stringify([engine.boot, engine.env, broker.env])).not.toMatch(/sk-canary|canary passphrase/);
    expect(Object.keys({ ...engine.env, ...broker.env }).filter((name) => name.startsWith("ANTHROPIC_"))).toEqual([]);
    expect(engine.env.GITHUB_TOKEN).toBeUndefined();
    expect(engine.env.PATH).toBe(process.env.PATH);
    expect(engine.env.LONGHAUL_CRASH_AT).toBeUndefined();
  });

  test("a sign-in code comes from the engine", async () => {
    const supervisor = launch();
    await until("the engine is ready", () => engines.length === 1);
    expect(await supervisor.signInCode()).toBe("one-time");
  });
});

describe("restart", () => {
  test("an engine killed with SIGKILL comes back on its former port with a new pid, without the crash point", async () => {
    launch({}, null);
    await until("the engine is ready", () => engines.length === 1);
    process.kill(engines[0]!.pid, "SIGKILL");
    await until("the engine is back", () => engines.length === 2);
    expect(engines[1]!.url).toBe(engines[0]!.url);
    expect(engines[1]!.pid).not.toBe(engines[0]!.pid);
    expect((starts("engine")[1]!.boot as EngineBoot).port).toBe(20_000);
    expect(logs.join("\n")).toContain("The engine died (SIGKILL); it is started again now.");
  });

  test("a new broker is announced to the engine that runs", async () => {
    launch();
    await until("the engine is ready", () => engines.length === 1);
    process.kill(engines[0]!.broker_pid, "SIGKILL");
    await until("the engine is told", () => lines("messages.jsonl").length === 1);
    const [told] = lines<{ role: string; message: { broker: { url: string } } }>("messages.jsonl");
    expect(told).toMatchObject({
      role: "engine",
      message: { type: "broker", broker: { url: "http://127.0.0.1:20001" } },
    });
    expect(starts("engine")).toHaveLength(1);
    expect(engines[1]!.broker_pid).toBe(starts("broker")[1]!.pid);
  });

  test("an engine that dies while the broker is down waits for the new broker", async () => {
    script("broker", { do: "serve" }, { do: "serve", ready_after_ms: 500 });
    launch();
    await until("the engine is ready", () => engines.length === 1);
    process.kill(engines[0]!.broker_pid, "SIGKILL");
    await until("the broker's death is known", () => logs.length === 1);
    process.kill(engines[0]!.pid, "SIGKILL");
    await until("the engine is back", () => engines.length >= 2);
    expect((starts("engine").at(-1)!.boot as EngineBoot).broker.url).toBe("http://127.0.0.1:20001");
  });

  test("the second restart waits 0.5 s", async () => {
    script("engine", { do: "die" }, { do: "die" }, { do: "serve" });
    const began = Date.now();
    launch();
    await until("the engine is ready", () => engines.length === 1);
    expect(Date.now() - began).toBeGreaterThanOrEqual(500);
    expect(logs).toHaveLength(2);
    expect(logs[1]).toContain("in 500 ms");
  });

  test("a child that keeps dying is given up with a text that says what is safe", async () => {
    script("engine", { do: "exit", code: 7 });
    const supervisor = launch({ give_up: { deaths: 2, within_ms: 60_000 } });
    const stop = await supervisor.stopped;
    expect(stop).toMatchObject({ code: 1, reason: "gave_up" });
    expect(stop.message).toContain("died 3 times within 60 s (last: exit code 7)");
    expect(stop.message).toContain("safe on disk");
    expect(starts("engine")).toHaveLength(3);
    expect(lines("drained.jsonl")).toEqual([{ role: "broker" }]);
  });

  test("an entry that does not exist is given up, not waited for", async () => {
    const supervisor = launch({
      entries: { engine: join(folder, "missing.js"), broker: STUB },
      give_up: { deaths: 1, within_ms: 60_000 },
    });
    expect(await supervisor.stopped).toMatchObject({ code: 1, reason: "gave_up" });
  });
});

describe("no restart", () => {
  test("after `failed`: the launch stops with the child's text", async () => {
    script("engine", { do: "fail", failure: "data_dir_locked" });
    const stop = await launch().stopped;
    expect(stop).toMatchObject({ code: 1, reason: "failed", message: "It failed; nothing is lost; try again." });
    expect(stop.failure?.code).toBe("data_dir_locked");
    expect(starts("engine")).toHaveLength(1);
    expect(lines("drained.jsonl")).toEqual([{ role: "broker" }]);
  });

  test("when the restarted engine finds the data directory locked", async () => {
    script("engine", { do: "serve" }, { do: "fail", failure: "data_dir_locked" });
    const supervisor = launch();
    await until("the engine is ready", () => engines.length === 1);
    process.kill(engines[0]!.pid, "SIGKILL");
    expect((await supervisor.stopped).failure?.code).toBe("data_dir_locked");
  });

  test("when a given port is in use", async () => {
    script("engine", { do: "fail", failure: "port_in_use" });
    const stop = await launch({}, null, 4711).stopped;
    expect(stop.failure?.code).toBe("port_in_use");
    expect(starts("engine")).toHaveLength(1);
  });

  test("but a free port that was taken meanwhile is given up for another", async () => {
    script("engine", { do: "serve" }, { do: "fail", failure: "port_in_use" }, { do: "serve" });
    launch();
    await until("the engine is ready", () => engines.length === 1);
    process.kill(engines[0]!.pid, "SIGKILL");
    await until("the engine is back", () => engines.length === 2);
    expect(starts("engine").map((start) => (start.boot as EngineBoot).port)).toEqual([0, 20_000, 0]);
  });

  test("after a SIGTERM to the engine itself: it drained, so the rest stops too", async () => {
    const supervisor = launch();
    await until("the engine is ready", () => engines.length === 1);
    process.kill(engines[0]!.pid, "SIGTERM");
    expect(await supervisor.stopped).toMatchObject({ code: 0, reason: "drained" });
  });
});

describe("crash points", () => {
  test("an armed engine that dies of SIGKILL ends the launch with 137, broker drained", async () => {
    script("engine", { do: "die", ready: true, after_ms: 20 });
    const stop = await launch({}, "tool.after_result:2").stopped;
    expect(stop).toMatchObject({ code: 137, reason: "crash_point" });
    expect(starts("engine")).toHaveLength(1);
    expect(starts("engine")[0]!.env.LONGHAUL_CRASH_AT).toBe("tool.after_result:2");
    expect(starts("broker")[0]!.env.LONGHAUL_CRASH_AT).toBeUndefined();
    expect(lines("drained.jsonl")).toEqual([{ role: "broker" }]);
  });

  test("another death of an armed engine is a death: the second start is not armed", async () => {
    script("engine", { do: "exit", code: 3 }, { do: "serve" });
    launch({}, "tool.after_result");
    await until("the engine is ready", () => engines.length === 1);
    expect(starts("engine").map((start) => start.env.LONGHAUL_CRASH_AT)).toEqual(["tool.after_result", undefined]);
  });
});

describe("stop", () => {
  test("drains the engine, then the broker", async () => {
    const supervisor = launch();
    await until("the engine is ready", () => engines.length === 1);
    supervisor.stop();
    supervisor.stop();
    expect(await supervisor.stopped).toEqual({ code: 0, reason: "drained", failure: null, message: null });
    expect(lines("drained.jsonl")).toEqual([{ role: "engine" }, { role: "broker" }]);
  });

  test("kills a child that does not finish in time", async () => {
    script("engine", { do: "serve", ignores_drain: true });
    const supervisor = launch({ drain_ms: 100 });
    await until("the engine is ready", () => engines.length === 1);
    supervisor.stop();
    expect(await supervisor.stopped).toMatchObject({ code: 0 });
    expect(logs.join()).toContain("The engine did not finish within 0.1 s and was killed");
  });

  test("kill takes both down at once, also during a drain", async () => {
    script("engine", { do: "serve", ignores_drain: true });
    const supervisor = launch();
    await until("the engine is ready", () => engines.length === 1);
    supervisor.stop();
    supervisor.kill();
    expect(await supervisor.stopped).toMatchObject({ code: 1, reason: "killed" });
  });

  test("works before anything is ready, and during a back-off", async () => {
    script("broker", { do: "hang" });
    const early = launch();
    early.stop();
    expect(await early.stopped).toMatchObject({ code: 0 });
    script("broker", { do: "serve" });
    script("engine", { do: "die" });
    const waiting = launch();
    await until("the back-off has begun", () => logs.some((line) => line.includes("in 500 ms")));
    waiting.stop();
    expect(await waiting.stopped).toMatchObject({ code: 0 });
    expect(starts("engine")).toHaveLength(2);
  });
});

test("the children's entries stand beside the entry that started", () => {
  expect(entriesBeside("file:///app/out/main/cli.js")).toEqual({
    engine: "/app/out/main/serve.js",
    broker: "/app/out/main/broker.js",
  });
  expect(entriesBeside("file:///app/main/cli.ts")).toEqual({
    engine: "/app/main/serve.ts",
    broker: "/app/main/vault/serve.ts",
  });
});
