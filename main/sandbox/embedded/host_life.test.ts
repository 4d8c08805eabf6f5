import { spawn } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SandboxLost, type SandboxProvider } from "../port.ts";
import { failureOf, newCallId, provisionRequest, runTool, startCommand } from "../testing/bench.ts";
import { crash, isAlive, until } from "../testing/processes.ts";
import { hostAddress, sandboxLayout } from "./layout.ts";
import { HostClient } from "./link/client.ts";
import { hostRecord } from "./link/launch.ts";
import { embeddedProvider } from "./provider.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const hostEntry = join(import.meta.dirname, "host.ts");
const session = "sesn_life";
let dataDir: string;
let provider: SandboxProvider;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "longhaul-life-"));
  provider = embeddedProvider({ dataDir, hostEntry });
});

afterEach(async () => {
  await provider.destroy(session);
  await provider.close();
  await rm(dataDir, { recursive: true, force: true });
});

const layout = (): ReturnType<typeof sandboxLayout> => sandboxLayout(dataDir, session);

describe("P2: nothing runs twice by accident", () => {
  test("a command in flight goes on when the engine is killed, and its result is collected", async () => {
    const id = newCallId();
    const engine = `
      const { embeddedProvider } = await import(${JSON.stringify(join(import.meta.dirname, "provider.ts"))});
      const provider = embeddedProvider(${JSON.stringify({ dataDir, hostEntry })});
      const { hand } = await provider.provision({ session_id: "${session}", resources: [], onStep() {}, readFile() {} });
      const call = { tool_use_id: "${id}", signal: new AbortController().signal, onOutput: (text) => console.log(text) };
      await hand.execute("bash", { command: "echo begun; echo x >> runs.txt; sleep 1; echo finished" }, call);
    `;
    const child = spawn(process.execPath, ["--input-type=module", "-e", engine], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGKILL");
    expect(await provider.callState(session, id)).toBe("running");
    const { hand, adopted } = await provider.provision(provisionRequest(session));
    expect(adopted).toBe(true);
    expect(await runTool(hand, "bash", { command: "different" }, id)).toBe("begun\nfinished");
    expect(await runTool(hand, "bash", { command: "cat runs.txt" })).toBe("x");
  });

  test("a result that came while no engine was there is kept after the host is gone, too", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    const { id, begun } = startCommand(hand, "sleep 0.3; echo alone");
    await begun;
    await provider.close();
    await until(() => existsSync(join(layout().calls, id, "result.json")), "the result is written");
    await crash(hostRecord(layout())?.pid);
    expect(await provider.callState(session, id)).toBe("done");
    const again = await provider.provision(provisionRequest(session));
    expect(await runTool(again.hand, "bash", { command: "echo again" }, id)).toBe("begun\nalone");
  });

  test("reading and writing are repeated in a new host, an edit is not", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    await runTool(hand, "write", { file_path: "f.txt", content: "old" });
    // As a host leaves it that dies in the middle of each.
    for (const id of ["sevt_read", "sevt_write", "sevt_edit"]) await mkdir(join(layout().calls, id));
    expect(await runTool(hand, "read", { file_path: "f.txt" }, "sevt_read")).toBe("old");
    expect(await runTool(hand, "write", { file_path: "f.txt", content: "new" }, "sevt_write")).toMatch(/^wrote/);
    const edit = { file_path: "f.txt", old_string: "new", new_string: "newer" };
    await expect(runTool(hand, "edit", edit, "sevt_edit")).rejects.toThrow(/may or may not have taken effect/);
    expect(await provider.callState(session, "sevt_edit")).toBe("lost");
  });

  test("a torn result counts as none", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    await mkdir(join(layout().calls, "sevt_torn"));
    await writeFile(join(layout().calls, "sevt_torn/result.json"), '{"kind":"ok","te');
    await expect(runTool(hand, "bash", { command: "echo x" }, "sevt_torn")).rejects.toThrow(/cut off/);
  });

  test("what a command wrote until its host died is told", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    const { id, result } = startCommand(hand, "sleep 0.4; echo step two; sleep 30");
    const output = join(layout().calls, id, "output");
    await until(() => existsSync(output) && readFileSync(output, "utf8").includes("two"), "output is written down");
    await crash(hostRecord(layout())?.pid);
    await expect(result).rejects.toThrow(/Output until then:\nbegun\nstep two$/);
  });

  test("an id that is no file name is a call like others", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    const id = "../../../escape";
    expect(await runTool(hand, "bash", { command: "echo once" }, id)).toBe("once");
    expect(await runTool(hand, "bash", { command: "echo twice" }, id)).toBe("once");
    expect(existsSync(join(dataDir, "escape"))).toBe(false);
  });
});

describe("one host for each sandbox", () => {
  test("providers that start at the same time end up with the same one", async () => {
    const others = Array.from({ length: 3 }, () => embeddedProvider({ dataDir, hostEntry }));
    const made = await Promise.all(others.map((other) => other.provision(provisionRequest(session))));
    await Promise.all(made.map(({ hand }, i) => runTool(hand, "bash", { command: `export V${i}=${i}` })));
    expect(await runTool(made[0]!.hand, "bash", { command: "echo $V0$V1$V2" })).toBe("012");
    for (const other of others) await other.close();
  });

  test("what a dead host left behind does not stop a new one", async () => {
    await provider.provision(provisionRequest(session));
    await crash(hostRecord(layout())?.pid);
    expect(existsSync(hostAddress(layout().dir))).toBe(true);
    const again = await embeddedProvider({ dataDir, hostEntry }).provision(provisionRequest(session));
    expect(again.adopted).toBe(false);
    expect(await runTool(again.hand, "bash", { command: "echo back" })).toBe("back");
  });

  test("a foreign process that got the old number is not touched", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    await runTool(hand, "bash", { command: "true" });
    const record = hostRecord(layout());
    await crash(record?.pid);
    const bystander = spawn("sleep", ["60"]);
    await writeFile(layout().hostFile, JSON.stringify({ ...record, pid: bystander.pid }));
    await provider.destroy(session);
    expect(existsSync(layout().dir)).toBe(false);
    expect(isAlive(bystander.pid ?? 0)).toBe(true);
    bystander.kill("SIGKILL");
  });
});

describe("a host's end", () => {
  test("it ends when it was not used for a while, and comes back with its directory and variables", async () => {
    const brief = embeddedProvider({ dataDir, hostEntry, idleMs: 400 });
    const { hand } = await brief.provision(provisionRequest(session));
    await runTool(hand, "bash", { command: "mkdir d; cd d; export KEPT=1" });
    const pid = hostRecord(layout())?.pid ?? 0;
    await until(() => !isAlive(pid), "the host ends");
    expect(hostRecord(layout())).toBe(null);
    expect(await runTool(hand, "bash", { command: "pwd; echo $KEPT" })).toBe("/workspace/d\n1");
    await brief.close();
  });

  test("it does not end while a call runs, however long", async () => {
    const brief = embeddedProvider({ dataDir, hostEntry, idleMs: 300 });
    const { hand } = await brief.provision(provisionRequest(session));
    expect(await runTool(hand, "bash", { command: "sleep 1.2; echo done" })).toBe("done");
    await brief.close();
  });

  test("it ends when its sandbox is removed by hand", async () => {
    const brief = embeddedProvider({ dataDir, hostEntry, idleMs: 1000 });
    const { hand } = await brief.provision(provisionRequest(session));
    await runTool(hand, "bash", { command: "true" });
    const pid = hostRecord(layout())?.pid ?? 0;
    await rm(layout().dir, { recursive: true, force: true });
    await until(() => !isAlive(pid), "the host ends");
    await expect(runTool(hand, "bash", { command: "true" })).rejects.toBeInstanceOf(SandboxLost);
    const again = await brief.provision(provisionRequest(session));
    expect(await runTool(again.hand, "bash", { command: "ls" })).toBe("(no output)");
    await brief.close();
  });

  test("destroying stops what runs and ends the process", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    const { result, begun } = startCommand(hand, "while true; do :; done");
    await begun;
    const pid = hostRecord(layout())?.pid ?? 0;
    await provider.destroy(session);
    await expect(result).rejects.toBeInstanceOf(Error);
    await until(() => !isAlive(pid), "the host ends");
    expect(await readdir(join(dataDir, "sandboxes"))).toEqual([]);
  });

  test("a removal that was cut off is finished by the next one", async () => {
    await mkdir(join(dataDir, "sandboxes/.removed-1-2/root/workspace"), { recursive: true });
    await provider.destroy(session);
    expect(await readdir(join(dataDir, "sandboxes"))).toEqual([]);
  });
});

describe("a host that hangs", () => {
  test("is ended, and the call in it is accounted for", async () => {
    const watchful = embeddedProvider({ dataDir, hostEntry, pingMs: 60 });
    const { hand } = await watchful.provision(provisionRequest(session));
    const { id, result, begun } = startCommand(hand, "sleep 60");
    await begun;
    const pid = hostRecord(layout())?.pid ?? 0;
    process.kill(pid, "SIGSTOP");
    await expect(result).rejects.toThrow(/may or may not have taken effect/);
    expect(isAlive(pid)).toBe(false);
    expect(await watchful.callState(session, id)).toBe("lost");
    expect(await runTool(hand, "bash", { command: "echo next" })).toBe("next");
    await watchful.close();
  });

  test("is not taken for dead while it works hard", async () => {
    const watchful = embeddedProvider({ dataDir, hostEntry, pingMs: 200 });
    const { hand } = await watchful.provision(provisionRequest(session));
    const busy = "for i in $(seq 1 20000); do echo $i; done | tail -1; python3 -c 'sum(range(30000000))'";
    expect(await runTool(hand, "bash", { command: busy })).toBe("20000");
    await watchful.close();
  });
});

describe("who may talk to a host", () => {
  test("its secret is in a file for its owner only, and nobody gets in without", async () => {
    await provider.provision(provisionRequest(session));
    const record = hostRecord(layout())!;
    expect(statSync(layout().hostFile).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(hostAddress(layout().dir))).mode & 0o777).toBe(0o700);
    const address = hostAddress(layout().dir);
    expect(await HostClient.open(address, { ...record, secret: "0".repeat(64) })).toBe(null);
    expect(await HostClient.open(address, { ...record, instance: "another" })).toBe(null);
    const answer = await new Promise<string>((resolve) => {
      const socket = connect(address, () =>
        socket.write('{"type":"execute","request":1,"id":"x","name":"bash","input":{}}\n'),
      );
      let text = "";
      socket.on("data", (chunk) => (text += chunk));
      socket.on("close", () => resolve(text));
    });
    expect(answer).toBe("");
  });

  test("nonsense does not hurt it", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    for (const line of [
      "not json\n",
      "[]\n",
      "5\n",
      '{"type":"hello"}\n',
      "\0\0\0\n",
      '{"type":"hello","secret":5}\n',
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(hostAddress(layout().dir), () => socket.write(line));
        socket.on("close", () => resolve());
      });
    }
    expect(await runTool(hand, "bash", { command: "echo fine" })).toBe("fine");
  });

  test("of the environment only what it needs is passed on", async () => {
    process.env["SECRET_CANARY"] = "canary";
    await provider.provision(provisionRequest(session));
    delete process.env["SECRET_CANARY"];
    if (process.platform !== "linux") return;
    const environment = readFileSync(`/proc/${hostRecord(layout())?.pid}/environ`, "utf8");
    expect(environment).not.toContain("canary");
    expect(environment).not.toContain("NODE_OPTIONS");
  });
});

describe("a host that cannot start", () => {
  test("is a lost sandbox with the reason", async () => {
    const broken = join(dataDir, "broken.mjs");
    await writeFile(broken, "throw new Error('no such thing as a sandbox')");
    const failing = embeddedProvider({ dataDir, hostEntry: broken });
    const made = failing.provision(provisionRequest(session));
    await expect(made).rejects.toBeInstanceOf(SandboxLost);
    await expect(made).rejects.toThrow(/ended at its start .*no such thing as a sandbox/s);
  });

  test("a data directory that cannot be written is a lost sandbox", async () => {
    const file = join(dataDir, "file");
    await writeFile(file, "");
    const failing = embeddedProvider({ dataDir: file, hostEntry });
    await expect(failing.provision(provisionRequest(session))).rejects.toBeInstanceOf(SandboxLost);
  });

  test("a state that a power cut tore starts a shell without a past", async () => {
    await provider.provision(provisionRequest(session));
    await crash(hostRecord(layout())?.pid);
    await writeFile(layout().stateFile, '{"cwd":"/tmp","en');
    const { hand } = await embeddedProvider({ dataDir, hostEntry }).provision(provisionRequest(session));
    expect(await runTool(hand, "bash", { command: "pwd" })).toBe("/workspace");
  });

  test("a working directory that is gone is told by the command", async () => {
    const { hand } = await provider.provision(provisionRequest(session));
    await runTool(hand, "bash", { command: "mkdir gone; cd gone; rmdir /workspace/gone" });
    await crash(hostRecord(layout())?.pid);
    expect(await runTool(hand, "bash", { command: "cd /workspace && pwd" })).toBe("/workspace");
    await failureOf(runTool(hand, "bash", { command: "cd gone" }));
  });
});
