/** Every way in which a sandbox dies or is held up, against a real engine. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { OutcomeUnknown, type ProvisionRequest, SandboxLost, type SandboxProvider } from "../../port.ts";
import { failureOf, newCallId, runTool, startCommand } from "../../testing/bench.ts";
import { type Install, limitedRequest, newInstall } from "../testing/install.ts";

let install: Install;
let provider: SandboxProvider;
let session: string;
let number = 0;

beforeAll(async () => {
  install = await newInstall();
});
afterAll(() => install.remove());
beforeEach(() => {
  number += 1;
  session = `sesn_death${number}`;
  provider = install.open({ pingMs: 200, silenceMs: 400 });
  install.told.length = 0;
});
afterEach(async () => {
  await provider.destroy(session);
  await provider.close();
});

const request = (metadata: Record<string, string> = {}, had_sandbox = false): ProvisionRequest =>
  limitedRequest(session, { metadata, had_sandbox });
const again = (): ProvisionRequest => request({}, true);
const container = async () => install.docker.getContainer((await install.containers(session))[0]!.Id);
const bash = async (hand: Parameters<typeof runTool>[0], command: string): Promise<string> =>
  runTool(hand, "bash", { command });
const toldSteps = (): string =>
  install.told.map((event) => (event.type === "longhaul.sandbox_step" ? event.step : event.type)).join("; ");

describe("stopped from outside", () => {
  test("a call starts it again, with its files, and the session is told", async () => {
    const { hand } = await provider.provision(request());
    await bash(hand, "cd /tmp; cd /workspace; echo kept > kept.txt; export ALSO=kept");
    await (await container()).stop();
    expect(await bash(hand, "cat kept.txt; echo $ALSO")).toBe("kept\nkept");
    expect(toldSteps()).toMatch(/start the container again: it had been killed/);
  });

  test("another process says that it was restarted, what is lost, and finds every result", async () => {
    const { hand } = await provider.provision(request());
    const done = newCallId();
    await runTool(hand, "bash", { command: "echo result" }, done);
    const cut = startCommand(hand, "sleep 60");
    await cut.begun;
    await provider.close();
    await install.kill(session);
    const other = install.open();
    expect(await other.callState(session, done)).toBe("done");
    expect(await other.callState(session, cut.id)).toBe("lost");
    expect(await other.callState(session, newCallId())).toBe("unknown");
    expect((await (await container()).inspect()).State.Running).toBe(false);
    const restarted = await other.provision(again());
    expect([restarted.how, restarted.adopted]).toEqual(["restarted", false]);
    expect(restarted.notice).toMatch(/started again.*processes that were running .* are lost/);
    expect(await runTool(restarted.hand, "bash", { command: "echo other" }, done)).toBe("result");
    await expect(runTool(restarted.hand, "bash", { command: "echo twice" }, cut.id)).rejects.toBeInstanceOf(
      OutcomeUnknown,
    );
  });
});

describe("paused from outside", () => {
  test("in the middle of a call: woken up, and the call goes on", async () => {
    const { hand } = await provider.provision(request());
    const { begun, result } = startCommand(hand, "sleep 1.5; echo on");
    await begun;
    await (await container()).pause();
    expect(await result).toBe("begun\non");
    expect(toldSteps()).toMatch(/wake up the container, which had been paused/);
  });

  test("before a process takes it on: woken up; what is known of its calls is known without", async () => {
    const { hand } = await provider.provision(request());
    const id = newCallId();
    await runTool(hand, "bash", { command: "echo result" }, id);
    await provider.close();
    await (await container()).pause();
    const other = install.open();
    expect(await other.callState(session, id)).toBe("done");
    expect((await (await container()).inspect()).State.Paused).toBe(true);
    const adopted = await other.provision(again());
    expect([adopted.how, adopted.notice]).toEqual(["adopted", null]);
    expect(await bash(adopted.hand, "echo awake")).toBe("awake");
  });
});

describe("removed from outside", () => {
  const remove = async () => (await container()).remove({ force: true });

  test("without a checkpoint: says so once, then there is a fresh one that says so, too", async () => {
    const { hand } = await provider.provision(request());
    const waiting = startCommand(hand, "sleep 60");
    await waiting.begun;
    const queued = runTool(hand, "bash", { command: "echo never" });
    queued.catch(() => undefined);
    await remove();
    await expect(waiting.result).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(queued).rejects.toBeInstanceOf(SandboxLost);
    await expect(queued).rejects.toThrow(/removed and its files with it.*no checkpoint.*next call starts with a fresh/);
    expect(await provider.callState(session, waiting.id)).toBe("lost");
    const fresh = await provider.provision(again());
    expect(fresh.how).toBe("created");
    expect(fresh.notice).toMatch(/no checkpoint: this is a fresh one/);
    expect(await bash(fresh.hand, "ls")).toBe("(no output)");
    // The new container never heard of it; this side did.
    await expect(runTool(fresh.hand, "bash", { command: "echo twice" }, waiting.id)).rejects.toThrow(OutcomeUnknown);
    expect(await runTool(fresh.hand, "glob", { pattern: "*" }, newCallId())).toBe("no matches");
  });

  test("found by another process without a checkpoint: the first provisioning says so, the second makes one", async () => {
    const { hand } = await provider.provision(request());
    const id = newCallId();
    await runTool(hand, "bash", { command: "echo x" }, id);
    await provider.close();
    await remove();
    const other = install.open();
    expect(await other.callState(session, id)).toBe("lost");
    const gone = other.provision(again());
    await expect(gone).rejects.toBeInstanceOf(SandboxLost);
    await expect(gone).rejects.toThrow(/no checkpoint.*The next call starts with a fresh/);
    const fresh = await other.provision(again());
    expect(await bash(fresh.hand, "ls")).toBe("(no output)");
    expect(await other.callState(session, id)).toBe("lost");
  });

  test("with a checkpoint: rebuilt, with what it held, and what came later is lost", async () => {
    const { hand } = await provider.provision(request());
    const before = newCallId();
    await runTool(hand, "bash", { command: "mkdir d; cd d; export V=1; echo one > f; echo result" }, before);
    const taken = await provider.checkpoint(session);
    expect(taken?.checkpoint).toMatch(/^longhaul-checkpoint:/);
    expect(await provider.checkpoint(session)).toBe(null);
    await bash(hand, "echo two > f");
    const cut = startCommand(hand, "sleep 60");
    await cut.begun;
    expect(await provider.checkpoint(session)).toBe(null);
    await remove();
    await expect(cut.result).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(bash(hand, "echo x")).rejects.toThrow(
      /removed from outside.*rebuilds it from the checkpoint taken at 20/,
    );
    const rebuilt = await provider.provision(again());
    expect(rebuilt.how).toBe("restored");
    expect(rebuilt.notice).toMatch(/rebuilt from a checkpoint taken at 20.*Changes since then.* are lost/);
    expect(await bash(rebuilt.hand, "cat /workspace/d/f; pwd; echo $V")).toBe("one\n/workspace/d\n1");
    expect(await runTool(rebuilt.hand, "bash", { command: "echo other" }, before)).toBe("result");
    expect(await provider.callState(session, before)).toBe("done");
    expect(await provider.callState(session, cut.id)).toBe("lost");
    await expect(runTool(rebuilt.hand, "bash", { command: "echo twice" }, cut.id)).rejects.toThrow(OutcomeUnknown);
    // A rebuilt sandbox can be copied and lost again.
    expect(await provider.checkpoint(session)).not.toBe(null);
  });

  test("while it is being removed, a new one is made after it", async () => {
    const { hand } = await provider.provision(request());
    await bash(hand, "echo x");
    await provider.checkpoint(session);
    const [, next] = await Promise.all([remove(), provider.provision(again())]);
    const last = next.how === "restored" ? next : await provider.provision(again());
    expect(await bash(last.hand, "echo here")).toBe("here");
  });
});

describe("out of memory", () => {
  const HUNGRY = "python3 -c 'x = bytearray(900 * 1024 * 1024); print(len(x))'";

  test("a command that is killed for it says so, with the limit and how to raise it", async () => {
    const { hand } = await provider.provision(request({ "longhaul.memory": "128m" }));
    await bash(hand, "export KEPT=1");
    const text = await failureOf(bash(hand, HUNGRY));
    expect(text).toMatch(/its limit is 128 MiB.*raise `longhaul\.memory`/s);
    expect(await bash(hand, "echo $KEPT")).toBe("1");
    // Not every later failure is one of memory.
    expect(await failureOf(bash(hand, "echo killed; false"))).toBe("killed");
  });

  test("memory that nothing gives back ends the container: it is started again, and the call says why", async () => {
    const { hand } = await provider.provision(request({ "longhaul.memory": "256m" }));
    await bash(hand, "echo kept > kept.txt");
    await (await container()).update({ Memory: 64 * 1024 ** 2, MemorySwap: 64 * 1024 ** 2 });
    const text = await failureOf(bash(hand, "head -c 120m /dev/zero > /tmp/full; sleep 5; echo $?"));
    expect(text).toMatch(/out of memory: its limit is/);
    expect(await bash(hand, "cat /workspace/kept.txt; ls /tmp")).toBe("kept");
  });

  test("a full /tmp leaves room for what runs", async () => {
    const { hand } = await provider.provision(request({ "longhaul.memory": "64m" }));
    expect(await failureOf(bash(hand, "head -c 400m /dev/zero > /tmp/full"))).toMatch(/No space left on device/);
    expect(await bash(hand, "rm /tmp/full; echo room")).toBe("room");
  });
});
