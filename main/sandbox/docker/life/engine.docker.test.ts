/** The engine itself goes away, comes back, or hangs, in the middle of calls. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { OutcomeUnknown, type ProvisionRequest, SandboxLost } from "../../port.ts";
import { newCallId, runTool, startCommand } from "../../testing/bench.ts";
import { EngineLink } from "../find_engine.ts";
import { type Install, limitedRequest, newInstall } from "../testing/install.ts";
import { type PrivateEngine, privateEngine } from "../testing/private_engine.ts";
import { BUSYBOX_IMAGE } from "../testing/real_engine.ts";

let engine: PrivateEngine;
let install: Install;
beforeAll(async () => {
  engine = await privateEngine([BUSYBOX_IMAGE]);
  install = await newInstall(engine.host);
});
afterAll(async () => {
  await install.remove();
  await engine.remove();
});
afterEach(() => engine.start());

const request = (session: string, had_sandbox = false): ProvisionRequest =>
  limitedRequest(session, { had_sandbox, metadata: { "longhaul.image": BUSYBOX_IMAGE } });
const open = (patienceMs: number) => {
  const link = new EngineLink({ DOCKER_HOST: engine.host }, null, { limitMs: 1000 });
  return install.open({ engine: () => link.engine(), patienceMs, pingMs: 200, silenceMs: 500 });
};

test("restarted in the middle of a call: what ran is accounted for, and the next call goes on with its files", async () => {
  const provider = open(20_000);
  const { hand } = await provider.provision(request("sesn_restart"));
  const done = newCallId();
  await runTool(hand, "bash", { command: "echo one >> f; echo result" }, done);
  const cut = startCommand(hand, "echo two >> f; sleep 60");
  await cut.begun;
  await engine.stop("SIGTERM");
  const next = runTool(hand, "bash", { command: "cat f" });
  await engine.start();
  await expect(cut.result).rejects.toBeInstanceOf(OutcomeUnknown);
  expect(await next).toBe("one\ntwo");
  expect(await runTool(hand, "bash", { command: "no" }, done)).toBe("result");
});

test("gone for good: in words, and it goes on when the engine is back", async () => {
  const provider = open(300);
  const { hand } = await provider.provision(request("sesn_gone"));
  const done = newCallId();
  await runTool(hand, "bash", { command: "echo kept > f" }, done);
  const cut = startCommand(hand, "sleep 60");
  await cut.begun;
  await engine.stop("SIGTERM");
  await expect(cut.result).rejects.toBeInstanceOf(OutcomeUnknown);
  const refused = runTool(hand, "bash", { command: "echo x" });
  await expect(refused).rejects.toBeInstanceOf(SandboxLost);
  await expect(refused).rejects.toThrow(engine.host);
  await expect(provider.provision(request("sesn_gone", true))).rejects.toThrow(engine.host);
  await expect(provider.callState("sesn_gone", done)).rejects.toBeInstanceOf(OutcomeUnknown);
  expect(await provider.callState("sesn_gone", newCallId())).toBe("unknown");
  await engine.start();
  expect(await provider.callState("sesn_gone", done)).toBe("done");
  const back = await provider.provision(request("sesn_gone", true));
  expect(back.how).toBe("restarted");
  expect(await runTool(back.hand, "bash", { command: "cat f" })).toBe("kept");
});

test("an engine that hangs is noticed: the call ends in words, and what it did is found later", async () => {
  const provider = open(300);
  const { hand } = await provider.provision(request("sesn_hang"));
  const cut = startCommand(hand, "sleep 3; echo finished");
  await cut.begun;
  engine.process.kill("SIGSTOP");
  try {
    await expect(cut.result).rejects.toBeInstanceOf(OutcomeUnknown);
  } finally {
    engine.process.kill("SIGCONT");
  }
  const again = await provider.provision(request("sesn_hang", true));
  expect(again.how).toBe("adopted");
  expect(await runTool(again.hand, "bash", { command: "no" }, cut.id)).toBe("begun\nfinished");
});
