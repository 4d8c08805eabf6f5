import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { forked, lastOf, reset } from "../testing/stand_in.ts";
import { Supervisor, type SupervisorOptions } from "./supervisor.ts";

vi.mock("electron", () => import("../testing/stand_in.ts"));

const KEY = "sk-ant-canary-5f2c";
const READY = { type: "ready", url: "http://127.0.0.1:4100", token: "t".repeat(64), pid: 7 };

function make(more: Partial<SupervisorOptions["engine"]> = {}) {
  const hooks = { log: vi.fn(), onEngine: vi.fn(), onAttention: vi.fn(), onFailed: vi.fn() };
  const supervisor = new Supervisor({
    entries: { engine: "serve.js", broker: "broker.js" },
    env: { engine: { PATH: "/bin" }, broker: { PATH: "/bin" } },
    model: { api_key: KEY, base_url: "https://models.example" },
    vault_passphrase: "canary passphrase",
    engine: {
      data_dir: "/data",
      port: 0,
      auto_resume: true,
      sandbox: null,
      renderer_dir: "/app/out/renderer",
      ...more,
    },
    ...hooks,
  });
  return { supervisor, ...hooks };
}

/** Brings both processes up. */
async function up(more?: Partial<SupervisorOptions["engine"]>) {
  const made = make(more);
  made.supervisor.start();
  lastOf("broker.js").spawn(11);
  lastOf("serve.js").spawn(12);
  await vi.advanceTimersByTimeAsync(0);
  lastOf("broker.js").says({ type: "ready", url: "http://127.0.0.1:4200", pid: 11 });
  await vi.advanceTimersByTimeAsync(0);
  lastOf("serve.js").says(READY);
  return made;
}

async function dies(entry: string, code = 9): Promise<void> {
  lastOf(entry).exits(code);
  await vi.advanceTimersByTimeAsync(0);
}

beforeEach(() => {
  reset();
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe("start", () => {
  test("the engine is booted only when the broker listens, with its address and secret", async () => {
    const { supervisor } = make();
    supervisor.start();
    lastOf("serve.js").spawn(12);
    lastOf("broker.js").spawn(11);
    await vi.advanceTimersByTimeAsync(0);
    const broker = lastOf("broker.js");
    expect(broker.types).toEqual(["boot"]);
    expect(lastOf("serve.js").sent).toEqual([]);
    broker.says({ type: "ready", url: "http://127.0.0.1:4200", pid: 11 });
    await vi.advanceTimersByTimeAsync(0);
    const secret = broker.sent[0]?.["launch_secret"];
    expect(secret).toMatch(/^[0-9a-f]{64}$/);
    expect(lastOf("serve.js").sent).toMatchObject([
      { type: "boot", host: "127.0.0.1", port: 0, broker: { url: "http://127.0.0.1:4200", launch_secret: secret } },
    ]);
  });

  test("the key is in the broker's boot message and in nothing else that a process is given", async () => {
    await up();
    expect(lastOf("broker.js").sent[0]).toMatchObject({
      model: { api_key: KEY },
      vault_passphrase: "canary passphrase",
    });
    const engine = lastOf("serve.js");
    const rest = JSON.stringify([engine.sent, engine.options, lastOf("broker.js").options]);
    expect(rest).not.toContain(KEY);
    expect(rest).not.toContain("canary passphrase");
  });
});

describe("restart", () => {
  test("a dead engine comes back at once, then with back-off, on its former port", async () => {
    const { onEngine } = await up();
    expect(onEngine).toHaveBeenCalledWith("http://127.0.0.1:4100");
    await dies("serve.js");
    expect(forked).toHaveLength(3);
    lastOf("serve.js").spawn(13);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastOf("serve.js").sent[0]).toMatchObject({ type: "boot", port: 4100 });
    await dies("serve.js");
    expect(forked).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(499);
    expect(forked).toHaveLength(3);
    await vi.advanceTimersByTimeAsync(1);
    expect(forked).toHaveLength(4);
  });

  test("exit code 0 without a drain is a death too: the app needs its engine", async () => {
    await up();
    await dies("serve.js", 0);
    expect(forked).toHaveLength(3);
  });

  test("a restarted broker is announced to the running engine, with the same secret", async () => {
    await up();
    const secret = lastOf("broker.js").sent[0]?.["launch_secret"];
    await dies("broker.js");
    lastOf("broker.js").spawn(14);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastOf("broker.js").sent[0]).toMatchObject({ type: "boot", launch_secret: secret, model: { api_key: KEY } });
    lastOf("broker.js").says({ type: "ready", url: "http://127.0.0.1:4300", pid: 14 });
    expect(lastOf("serve.js").sent.at(-1)).toEqual({
      type: "broker",
      broker: { url: "http://127.0.0.1:4300", launch_secret: secret },
    });
  });

  test("a child that dies again and again is given up and shown, and can be tried again", async () => {
    const { supervisor, onFailed } = await up();
    for (let n = 0; n < 6; n++) {
      await dies("serve.js");
      await vi.advanceTimersByTimeAsync(30_000);
    }
    expect(onFailed).toHaveBeenCalledTimes(1);
    expect(onFailed.mock.calls[0]?.[1]).toMatchObject({
      code: "other",
      message: expect.stringContaining("safe on disk"),
    });
    const before = forked.length;
    await vi.advanceTimersByTimeAsync(120_000);
    expect(forked).toHaveLength(before);
    supervisor.start();
    expect(forked).toHaveLength(before + 1);
  });

  test("a minute of life makes the count of deaths fresh", async () => {
    const { onFailed } = await up();
    for (let n = 0; n < 8; n++) {
      await vi.advanceTimersByTimeAsync(60_001);
      await dies("serve.js");
    }
    expect(onFailed).not.toHaveBeenCalled();
  });

  test("a child that says it cannot start is shown and not restarted", async () => {
    const { onFailed } = await up();
    const failure = { type: "failed", code: "data_dir_locked", message: "Another engine runs on /data." };
    lastOf("serve.js").says(failure);
    await dies("serve.js", 1);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(onFailed).toHaveBeenCalledWith("engine", failure);
    expect(forked).toHaveLength(2);
  });

  test("a former port that somebody took meanwhile moves; a port that was asked for does not", async () => {
    const taken = { type: "failed", code: "port_in_use", message: "Port 4100 is in use." };
    const free = await up();
    await dies("serve.js");
    lastOf("serve.js").says(taken);
    await dies("serve.js", 1);
    lastOf("serve.js").spawn(15);
    await vi.advanceTimersByTimeAsync(0);
    expect(lastOf("serve.js").sent[0]).toMatchObject({ port: 0 });
    expect(free.onFailed).not.toHaveBeenCalled();

    reset();
    const asked = await up({ port: 4100 });
    lastOf("serve.js").says(taken);
    await dies("serve.js", 1);
    expect(asked.onFailed).toHaveBeenCalledWith("engine", taken);
  });
});

describe("talk", () => {
  test("sign-in codes are handed to who asked, also when the engine dies in between", async () => {
    const { supervisor } = await up();
    const code = supervisor.signInCode();
    await dies("serve.js");
    lastOf("serve.js").spawn(16);
    await vi.advanceTimersByTimeAsync(0);
    lastOf("serve.js").says(READY);
    expect(lastOf("serve.js").types).toEqual(["boot", "sign_in_code"]);
    lastOf("serve.js").says({ type: "sign_in_code", code: "abc" });
    expect(await code).toBe("abc");
  });

  test("an engine that does not answer is not waited for for ever", async () => {
    const { supervisor } = await up();
    const code = supervisor.signInCode().catch((error: Error) => error.message);
    await vi.advanceTimersByTimeAsync(5000);
    expect(await code).toContain("within 5 s");
  });

  test("malformed messages are ignored; counts are passed on", async () => {
    const { onAttention } = await up();
    lastOf("serve.js").emit("message", null);
    lastOf("serve.js").emit("message", "ready");
    lastOf("serve.js").says({ type: "attention", needs_you: 2, running: 3 });
    expect(onAttention).toHaveBeenCalledWith({ needs_you: 2, running: 3 });
  });
});

describe("quit", () => {
  test("the engine is drained before the broker, and neither is restarted", async () => {
    const { supervisor } = await up();
    const quit = supervisor.quit();
    const [broker, engine] = [lastOf("broker.js"), lastOf("serve.js")];
    expect(engine.types).toContain("drain");
    expect(broker.types).not.toContain("drain");
    engine.exits(0);
    await vi.advanceTimersByTimeAsync(0);
    expect(broker.types).toContain("drain");
    broker.exits(0);
    await quit;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(forked).toHaveLength(2);
  });

  test("a child that does not finish within 10 s is killed", async () => {
    const { supervisor } = await up();
    const kill = vi.spyOn(process, "kill").mockImplementation((pid) => {
      forked.find((child) => child.pid === pid)?.exits(137);
      return true;
    });
    const quit = supervisor.quit();
    await vi.advanceTimersByTimeAsync(9999);
    expect(kill).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(kill).toHaveBeenCalledWith(12, "SIGKILL");
    await vi.advanceTimersByTimeAsync(500);
    expect(kill).toHaveBeenCalledWith(11, "SIGKILL");
    await quit;
    kill.mockRestore();
  });

  test("a child that is waiting for its restart is not started again", async () => {
    const { supervisor } = await up();
    await dies("serve.js");
    await dies("serve.js");
    const quit = supervisor.quit();
    await vi.advanceTimersByTimeAsync(0);
    lastOf("broker.js").exits(0);
    await quit;
    const before = forked.length;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(forked).toHaveLength(before);
  });
});
