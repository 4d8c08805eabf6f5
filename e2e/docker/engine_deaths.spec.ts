/** The container engine itself stops, is killed, or its disk is full: the sessions on it come to rest and go on. */
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PrivateEngine, privateEngine } from "../../main/sandbox/docker/testing/private_engine.ts";
import { BUSYBOX_IMAGE } from "../../main/sandbox/docker/testing/real_engine.ts";
import { startModelServer } from "../model_server/server.ts";
import { removeDir, tempDir, until } from "../product/serve.ts";
import { summaryOf } from "../product/sessions.ts";
import { Plans } from "./plans.ts";
import { serveOnDocker } from "./product.ts";

const SMALL = { "longhaul.image": BUSYBOX_IMAGE };

/** Starts a product on an engine of its own. */
async function onEngine(engine: PrivateEngine): Promise<Plans> {
  const plans = new Plans();
  plans.model = await startModelServer({ script: plans.script });
  plans.product = await serveOnDocker({ model: plans.model, host: engine.host });
  return plans;
}

async function end(plans: Plans): Promise<void> {
  await plans.product.stop();
  await plans.model.close();
  removeDir(plans.product.data_dir);
}

async function callStarted(plans: Plans, id: string, calls: number): Promise<void> {
  await until("the call to run", async () => (await plans.of(id, "longhaul.tool_started")).length >= calls);
  // The command itself begins a moment after the call is written down.
  await new Promise((resolve) => setTimeout(resolve, 1500));
}

describe("an engine", () => {
  let engine: PrivateEngine;
  let plans: Plans;
  beforeAll(async () => {
    engine = await privateEngine([BUSYBOX_IMAGE]);
    await engine.start();
    plans = await onEngine(engine);
  });
  afterAll(async () => {
    await end(plans);
    await engine.remove();
  });

  test("that is stopped under a command is an error that names it; back again, the session goes on with its files", async () => {
    const id = await plans.start(
      ["echo kept > kept.txt", "sleep 100", "echo after", async () => null, "cat kept.txt"],
      SMALL,
      true,
    );
    await callStarted(plans, id, 2);
    await engine.stop("SIGTERM");
    const stopped = await plans.atRest(id);
    expect(stopped.slice(1).every(({ is_error }) => is_error)).toBe(true);
    expect(stopped[1]?.text).toContain("may or may not have taken effect");
    expect(stopped[2]?.text).toContain("engine.sock");
    expect((await summaryOf(plans.product, id)).fold.sandbox?.state).toBe("lost");
    await engine.start();
    await plans.say(id, "go on");
    const all = await plans.atRest(id);
    expect(all.at(-1)?.text).toMatch(/kept$/);
  });

  test("that is killed and restarted under a command loses the command at most, and never repeats it", async () => {
    const id = await plans.start(["echo once >> effects.txt; sleep 8; echo end", "cat effects.txt"], SMALL, true);
    await callStarted(plans, id, 1);
    await engine.stop("SIGKILL");
    await engine.start();
    const [first, second] = await plans.atRest(id);
    expect(first?.text).toMatch(/^end$|may or may not have taken effect/m);
    expect(second?.text).toMatch(/(^|\n)once$/);
    expect(second?.text).not.toMatch(/once\nonce/);
  });
});

test("a full disk fails what writes to it, and the session goes on when there is room again", async () => {
  const place = join(tempDir(), "small-disk");
  mkdirSync(place);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=300m", "none", place]);
  const engine = await privateEngine([BUSYBOX_IMAGE], place);
  await engine.start();
  const plans = await onEngine(engine);
  try {
    const id = await plans.start(
      [
        "echo before > before.txt",
        "dd if=/dev/zero of=fill bs=1M count=1000; echo status $?",
        "echo during > during.txt && cat during.txt",
        "rm -f fill; echo room",
        "echo after > after.txt; cat before.txt after.txt",
      ],
      SMALL,
      true,
    );
    const all = await plans.atRest(id);
    expect(all).toHaveLength(5);
    expect(all[1]?.text).toMatch(/disk is full.*KB are free.*Remove files|No space left on device/s);
    expect(all.at(-1)?.text).toMatch(/before\nafter$/);
  } finally {
    await end(plans);
    await engine.remove();
    execFileSync("umount", ["-l", place]);
  }
});
