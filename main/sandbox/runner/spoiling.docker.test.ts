/** What a command may do to the runner's own files and processes, by accident or on purpose: no call waits for ever. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Install, limitedRequest, newInstall } from "../docker/testing/install.ts";
import { BUSYBOX_IMAGE, SANDBOX_IMAGE } from "../docker/testing/real_engine.ts";
import { type Hand, ToolFailure } from "../port.ts";
import { failureOf, runTool } from "../testing/bench.ts";
import { BareHand } from "./testing/bare_provider.ts";
import { RunnerContainer } from "./testing/containers.ts";

const S = "/var/lib/longhaul";
/** Well below the limit of a call that none of them may use up. */
const SOON_MS = 25_000;

/** What is done, and the command that does it. */
const SPOILED: readonly [string, string][] = [
  ["everything is removed", `rm -rf ${S} ${S}/* 2>/dev/null; echo done`],
  ["everything is removed, and the command goes on", `rm -rf ${S}/* 2>/dev/null; sleep 3; echo done`],
  ["the journal is removed", `rm -rf ${S}/calls; echo done`],
  ["nothing may be read", `chmod -R 000 ${S} 2>/dev/null; echo done`],
  ["it is renamed", `mv ${S} ${S}2 2>/dev/null; mv ${S}/req ${S}/r2 2>/dev/null; mv ${S}/calls ${S}/c2; echo done`],
  ["the folder of commands is removed", "rm -rf /dev/shm/longhaul; echo done"],
  ["the folder of commands is full", "dd if=/dev/zero of=/dev/shm/fill bs=1M count=3000 2>/dev/null; echo done"],
  ["files hold nonsense", `for f in ready shell.pid slot.0 watcher.calls; do echo x > ${S}/$f; done; echo done`],
  ["somebody else reads the shell's pipe", `(cat ${S}/req >/dev/null 2>&1 &); echo done`],
  ["somebody else reads a channel's pipe", `(cat ${S}/bell.0 >/dev/null 2>&1 &) ; echo done`],
  ["the shell's pipe is filled", `(yes > ${S}/req 2>/dev/null &); echo done`],
  ["the watchers are killed", "pkill -9 -f watch.sh; echo done"],
  ["everything is stopped", "kill -STOP -1; echo done"],
  ["everything is killed", "kill -9 -1; echo done"],
  ["everything is ended", "kill -TERM -1; sleep 1; echo done"],
  ["the shell is stopped a moment later", "(sleep 0.3; kill -STOP $$) & echo done"],
  ["no file may be written", "ulimit -f 0; echo done"],
  ["no file may be opened", "ulimit -n 3; echo done"],
];

describe.each([
  ["with bash", SANDBOX_IMAGE],
  ["with busybox alone", BUSYBOX_IMAGE],
])("a sandbox %s", (name, image) => {
  let install: Install;
  let hand: Hand;
  const session = `sesn_spoiled_${name.slice(-4)}`;
  beforeAll(async () => {
    install = await newInstall();
    const provider = install.open();
    ({ hand } = await provider.provision(limitedRequest(session, { metadata: { "longhaul.image": image } })));
    await runTool(hand, "bash", { command: "echo kept > kept.txt" });
  });
  // What was left running would spoil the next one, too.
  afterEach(() => install.kill(session));
  afterAll(() => install.remove());

  test.each(SPOILED)("goes on when %s", { timeout: 90_000 }, async (_, command) => {
    const started = performance.now();
    // Its own result may be lost with the files, but not for ever waited for.
    await runTool(hand, "bash", { command, timeout_ms: 60_000 }).catch((error: Error) => error.message);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await runTool(hand, "bash", { command: "cat /workspace/kept.txt", timeout_ms: 60_000 })).toBe("kept");
    const took = performance.now() - started;
    expect(took).toBeLessThan(SOON_MS);
    // What is spoiled does not stay so.
    await runTool(hand, "write", { file_path: "after.txt", content: "x" });
    const again = performance.now();
    expect(await runTool(hand, "bash", { command: "cat after.txt" })).toBe("x");
    expect(performance.now() - again).toBeLessThan(SOON_MS);
  });
});

test("watchers that were killed are there again after the next call that takes its time", {
  timeout: 60_000,
}, async () => {
  const container = await RunnerContainer.create(SANDBOX_IMAGE);
  const hand = new BareHand(container);
  const bash = (command: string): Promise<string> => runTool(hand, "bash", { command });
  try {
    await bash("pkill -9 -f watch.sh; sleep 3; ! pgrep -f watch.sh");
    await expect
      .poll(() => bash("pgrep -fc '^sh /opt/longhaul/watch.sh'").catch(() => "0"), { timeout: 15_000 })
      .toBe("2");
  } finally {
    await hand.close();
    await container.remove();
  }
});

test("a call that uses up the disk is ended while something is left, and one that does not is not", async () => {
  const floor = ["LONGHAUL_DISK_FLOOR_MIB=99999999"];
  for (const image of [SANDBOX_IMAGE, BUSYBOX_IMAGE]) {
    const container = await RunnerContainer.create(image, {}, floor);
    const hand = new BareHand(container);
    const bash = (command: string): Promise<string> => runTool(hand, "bash", { command, timeout_ms: 30_000 });
    try {
      expect(await bash("sleep 2.5; echo quiet")).toBe("quiet");
      const eats = bash("echo begun; while :; do head -c 8000000 /dev/zero >> /workspace/fill; sleep 0.1; done");
      await expect(eats).rejects.toBeInstanceOf(ToolFailure);
      expect(await failureOf(eats)).toMatch(/only \d+ MB are left on the disk that holds all sandboxes.*begun/s);
      expect(await bash("rm fill; echo on")).toBe("on");
    } finally {
      await hand.close();
      await container.remove();
    }
  }
});
