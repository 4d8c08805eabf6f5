/** Every way a sandbox dies under a session: the session comes to rest, with a transcript that tells the truth. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX_IMAGE, SHELLLESS_IMAGE } from "../../main/sandbox/docker/testing/real_engine.ts";
import { startModelServer } from "../model_server/server.ts";
import { removeDir, until } from "../product/serve.ts";
import { summaryOf } from "../product/sessions.ts";
import { Plans } from "./plans.ts";
import { containerOf, containersOf, docker, removeInstall, serveOnDocker } from "./product.ts";

const plans = new Plans();

beforeAll(async () => {
  plans.model = await startModelServer({ script: plans.script });
  plans.product = await serveOnDocker({ model: plans.model });
});
afterAll(async () => {
  await plans.product.stop();
  await removeInstall(plans.product.data_dir);
  await plans.model.close();
  removeDir(plans.product.data_dir);
});

/** Resolves once the command of the call `n` (0-based) has written its first output to the file `begun`. */
async function begun(id: string): Promise<void> {
  await until("the command to begin", async () => {
    const [container] = await containersOf(id);
    if (container === undefined) return false;
    return docker("exec", container, "test", "-e", "/workspace/begun").then(
      () => true,
      () => false,
    );
  });
}

describe("a container that is killed", () => {
  test("between calls is started again with its files", async () => {
    const id = await plans.start([
      "mkdir -p deep; cd deep; echo kept > kept.txt; export NAME=value",
      async () => {
        await docker("kill", await containerOf(id));
        return "pwd; cat kept.txt; echo $NAME";
      },
    ]);
    const [, second] = await plans.atRest(id);
    expect(second?.is_error).toBe(false);
    expect(second?.text).toMatch(/\/workspace\/deep\nkept\nvalue$/);
    expect(second?.text).toMatch(/^\[The sandbox had stopped and was started again\. Its files are kept/);
    expect((await plans.of(id, "longhaul.sandbox_ready")).map(({ how }) => how)).toEqual(["created", "restarted"]);
    expect(await plans.of(id, "longhaul.sandbox_lost")).toMatchObject([{ reason: expect.stringContaining("killed") }]);
    expect(await containersOf(id)).toHaveLength(1);
  });

  test("under a command leaves a call whose outcome nobody knows, and says so", async () => {
    const id = await plans.start([
      "echo effect >> effects.txt; echo so far; touch begun; sleep 60; echo effect >> effects.txt",
      "cat effects.txt",
    ]);
    await begun(id);
    await docker("kill", await containerOf(id));
    const [first, second] = await plans.atRest(id);
    expect(first).toMatchObject({ is_error: true });
    expect(first?.text).toContain("it may or may not have taken effect");
    expect(second?.text).toMatch(/(^|\n)effect$/);
    expect((await summaryOf(plans.product, id)).fold.outcomes_unknown).toBe(1);
  });
});

test("a command that needs more memory than there is fails with the limit's name, and the session goes on", async () => {
  const id = await plans.start(
    ["echo before > file; python3 -c 'b = bytearray(600 * 1024 * 1024); print(len(b))'", "cat file"],
    {
      "longhaul.memory": "256m",
    },
  );
  const [first, second] = await plans.atRest(id);
  expect(first?.is_error).toBe(true);
  expect(first?.text).toMatch(/memory/i);
  expect(first?.text).toContain("longhaul.memory");
  expect(second?.text).toMatch(/before$/);
});

test("a container that is paused under a command goes on, and the command ends as it should", async () => {
  const id = await plans.start(["touch begun; sleep 1; echo slept", "echo next"]);
  await begun(id);
  await docker("pause", await containerOf(id));
  const [first, second] = await plans.atRest(id);
  expect(first).toEqual({ text: "slept", is_error: false });
  expect(second?.text).toBe("next");
});

describe("a container that is removed", () => {
  test("is rebuilt from the last checkpoint, and the model is told what was lost", async () => {
    const id = await plans.start([
      "echo one > file.txt; echo made",
      async () => null,
      "cat file.txt; ls",
      async () => null,
    ]);
    await plans.atRest(id);
    await until("the checkpoint", async () => (await plans.of(id, "longhaul.sandbox_checkpoint")).length > 0);
    const [taken] = await plans.of(id, "longhaul.sandbox_checkpoint");
    expect(taken).toMatchObject({ error: null, provider: "docker" });
    await docker("rm", "-f", await containerOf(id));
    await plans.say(id, "go on");
    const all = await plans.atRest(id);
    const last = all.at(-1);
    expect(last?.is_error).toBe(false);
    expect(last?.text).toMatch(/^\[.*checkpoint.*\]\n\n/s);
    expect(last?.text).toMatch(/one\nfile\.txt$/);
    expect((await plans.of(id, "longhaul.sandbox_ready")).at(-1)).toMatchObject({ how: "restored" });
  });

  test("without a checkpoint says that the files are gone; the next call has a fresh one", async () => {
    const id = await plans.start([
      "echo one > file.txt; echo made",
      async () => {
        await docker("rm", "-f", await containerOf(id));
        return "cat file.txt";
      },
      "ls; echo fresh",
    ]);
    const [, second, third] = await plans.atRest(id);
    expect(second?.is_error).toBe(true);
    expect(second?.text).toMatch(/removed|gone/);
    expect(third?.text).toMatch(/(^|\n)fresh$/);
    expect(third?.text).not.toContain("file.txt\n");
  });

  test("under a command is a call whose outcome nobody knows", async () => {
    const id = await plans.start(["touch begun; sleep 60", "echo alive"]);
    await begun(id);
    await docker("rm", "-f", await containerOf(id));
    const [first, ...rest] = await plans.atRest(id);
    expect(first?.is_error).toBe(true);
    expect(first?.text).toContain("may or may not have taken effect");
    expect(rest.at(-1)).toBeDefined();
  });
});

describe("an image", () => {
  test("that cannot be had is a tool error that names it and the setting", async () => {
    const id = await plans.start(["echo hello"], { "longhaul.image": "nowhere.invalid/nothing:1" });
    const [first] = await plans.atRest(id);
    expect(first?.is_error).toBe(true);
    expect(first?.text).toContain("nowhere.invalid/nothing:1");
    expect(first?.text).toContain("longhaul.image");
  });

  test("without a shell is a tool error that says so", async () => {
    const id = await plans.start(["echo hello"], { "longhaul.image": SHELLLESS_IMAGE });
    const [first] = await plans.atRest(id);
    expect(first?.is_error).toBe(true);
    expect(first?.text).toMatch(/shell/);
    expect(first?.text).toContain(SHELLLESS_IMAGE);
  });

  test("with nothing but a POSIX shell works", async () => {
    const id = await plans.start(["cd /tmp; X=1; echo hello from $(id -u)", "pwd; echo $X"], {
      "longhaul.image": BUSYBOX_IMAGE,
    });
    const [first, second] = await plans.atRest(id);
    expect(first?.text).toMatch(/^hello from /);
    expect(second?.text).toBe("/tmp\n1");
  });
});
