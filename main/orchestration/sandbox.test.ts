/** What the harness does around a sandbox: steps while it is built, what the model hears of a replaced one, checkpoints. */
import { afterEach, describe, expect, test } from "vitest";
import { call, say } from "../../e2e/model_server/script.ts";
import { NoSandboxImage, SandboxLost, SandboxRebuildable } from "../sandbox/port.ts";
import { of, type Rig, startRig } from "./testing/rig.ts";

let rig: Rig;
afterEach(() => rig.close());

const bash = (command: string) => call({ name: "bash", input: { command } });

async function untilIdle(id: string): Promise<void> {
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase, { timeout: 8_000 }).toBe("idle");
  await rig.orchestrator.settled(id);
}

async function texts(id: string): Promise<string[]> {
  return of(await rig.events(id), "agent.tool_result").map((event) => {
    const block = event.content?.[0];
    return block?.type === "text" ? block.text : "";
  });
}

describe("provisioning", () => {
  test("steps of a slow provisioning are in the ledger before it ends", async () => {
    rig = await startRig([bash("ls"), say("Done.")]);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    rig.sandbox.provisioning = async (request) => {
      request.onStep({ step: "pull the image", duration_ms: 5, error: null });
      await held;
      request.onStep({ step: "start the container", duration_ms: 6, error: null });
    };
    const id = await rig.create("Go.");
    await expect.poll(() => rig.types(id)).toContain("longhaul.sandbox_step");
    expect(await rig.types(id)).not.toContain("longhaul.sandbox_ready");
    release();
    await untilIdle(id);
    const steps = of(await rig.events(id), "longhaul.sandbox_step").map((event) => event.step);
    expect(steps).toEqual(["pull the image", "start the container"]);
  });

  test("a repository that cannot be brought in is an error of the contract, and nothing runs until it is there", async () => {
    rig = await startRig([bash("ls"), bash("ls"), say("Done.")]);
    const url = "https://github.com/a/b";
    const step = { step: "attach a/b", duration_ms: 5, error: "It does not exist." };
    rig.sandbox.provisioning = async (request) => {
      if (rig.sandbox.provisions > 1) return;
      request.onStep({ ...step, repository: { url, problem: "not_found" } });
    };
    const id = await rig.create("Go.");
    await untilIdle(id);
    const events = await rig.events(id);
    const [first, second] = await texts(id);
    expect(first).toMatch(/An attached repository is missing, so nothing was run\. It does not exist\./);
    expect(second).toContain("bash");
    expect(await rig.types(id)).not.toContain("longhaul.sandbox_lost");
    expect(of(events, "longhaul.sandbox_step")).toMatchObject([step]);
    expect(of(events, "longhaul.sandbox_step")[0]).not.toHaveProperty("repository");
    expect(of(events, "session.error").map(({ error }) => error)).toEqual([
      {
        type: "repository_not_found_error",
        message: "It does not exist.",
        repository_url: url,
        retry_status: { type: "retrying" },
      },
    ]);
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ error: null, stop_reason: { type: "end_turn" } });
  });

  test("a failing step is the tool's error, the session goes on and the next call tries again", async () => {
    rig = await startRig([bash("ls"), bash("ls"), say("Done.")]);
    rig.sandbox.provisioning = async (request) => {
      if (rig.sandbox.provisions > 1) return;
      request.onStep({ step: "pull the image", duration_ms: 5, error: "no such image" });
      throw new SandboxLost("The image nowhere:1 cannot be found. Correct longhaul.image.");
    };
    const id = await rig.create("Go.");
    await untilIdle(id);
    const [first, second] = await texts(id);
    expect(first).toContain("Correct longhaul.image");
    expect(second).toContain("bash");
    expect(of(await rig.events(id), "longhaul.sandbox_step")).toMatchObject([{ error: "no such image" }]);
    expect((await rig.ledger.getSession(id))?.fold.sandbox).toMatchObject({ state: "ready", made: true });
  });

  test("where our own image cannot be had, the embedded sandbox takes over and the model is told", async () => {
    rig = await startRig([bash("ls"), bash("ls"), say("Done.")]);
    rig.sandbox.broken = new NoSandboxImage("The sandbox image could not be built: no registry.\nLast output: …");
    const id = await rig.create("Go.");
    await untilIdle(id);
    const [first, second] = await texts(id);
    expect(first).toMatch(/^\[Containers cannot be used here now\. .*embedded sandbox/);
    expect(second).toMatch(/^bash/);
    expect([rig.sandbox.provisions, rig.instead.provisions]).toEqual([1, 1]);
    const types = (await rig.types(id)).filter((type) => /sandbox_(provisioning|lost|ready)/.test(type));
    const made = ["longhaul.sandbox_provisioning", "longhaul.sandbox_lost"];
    expect(types).toEqual([...made, "longhaul.sandbox_provisioning", "longhaul.sandbox_ready"]);
  });

  test("a session that has had a container does not change to the embedded sandbox", async () => {
    rig = await startRig([bash("1"), say("One."), bash("2"), say("Two.")]);
    const id = await rig.create("Go.");
    await untilIdle(id);
    rig.sandbox.broken = new NoSandboxImage("The sandbox image could not be built: no registry.");
    const next = rig.restart();
    await rig.ledger.emitEvent(id, { type: "user.message", content: [{ type: "text", text: "More." }] });
    await next.wake(id, "client_event");
    await next.settled(id);
    expect((await texts(id)).at(-1)).toBe("The sandbox image could not be built: no registry.");
    expect(rig.instead.provisions).toBe(0);
  });

  test("a provider is told whether the session had a sandbox before", async () => {
    rig = await startRig([bash("1"), say("One."), bash("2"), say("Two.")]);
    const told: boolean[] = [];
    rig.sandbox.provisioning = async (request) => {
      told.push(request.had_sandbox);
    };
    const id = await rig.create("Go.");
    await untilIdle(id);
    const next = rig.restart();
    await rig.ledger.emitEvent(id, { type: "user.message", content: [{ type: "text", text: "More." }] });
    await next.wake(id, "client_event");
    await expect.poll(() => told.length, { timeout: 8_000 }).toBe(2);
    expect(told).toEqual([false, true]);
  });
});

describe("a replaced sandbox", () => {
  test("the model hears with the next result what was lost, once", async () => {
    rig = await startRig([bash("1"), bash("2"), say("Done.")]);
    rig.sandbox.notice = "The sandbox was rebuilt from a checkpoint.";
    const id = await rig.create("Go.");
    await untilIdle(id);
    const [first, second] = await texts(id);
    expect(first).toMatch(/^\[The sandbox was rebuilt from a checkpoint\.\]\n\nbash/);
    expect(second).not.toContain("checkpoint");
    expect((await rig.ledger.getSession(id))?.fold.sandbox?.notice).toBeNull();
  });

  test("a result that no sandbox made does not use the notice up", async () => {
    rig = await startRig([bash("1"), call({ name: "unknown_tool", input: {} }), bash("2"), say("Done.")]);
    const id = await rig.create("Go.");
    let calls = 0;
    rig.sandbox.behaviour = async () => {
      calls += 1;
      if (calls > 1) return "text";
      await rig.ledger.emitEvent(id, {
        type: "longhaul.sandbox_ready",
        provider: "embedded",
        duration_ms: 1,
        adopted: false,
        how: "restored",
        notice: "Restored.",
      });
      throw new SandboxLost("It went away.");
    };
    await untilIdle(id);
    const all = await texts(id);
    expect(all[0]).toBe("It went away.");
    expect(all.filter((text) => text.includes("[Restored.]"))).toHaveLength(1);
  });
});

test("calls that find the sandbox gone run in the one that is rebuilt, which tells what was lost", async () => {
  const two = call({ name: "bash", input: { command: "1" } }, { name: "bash", input: { command: "2" } });
  rig = await startRig([two, say("Done.")]);
  let refused = 0;
  rig.sandbox.behaviour = async (_name, input) => {
    if (rig.sandbox.provisions > 1) return `ran ${JSON.stringify(input)}`;
    refused += 1;
    rig.sandbox.notice = "Rebuilt.";
    throw new SandboxRebuildable("It is gone; a copy is there.");
  };
  const id = await rig.create("Go.");
  await untilIdle(id);
  expect(refused).toBe(2);
  expect(rig.sandbox.provisions).toBe(2);
  const all = await texts(id);
  expect(all.every((text) => text.includes("ran "))).toBe(true);
  expect(all.some((text) => text.startsWith("[Rebuilt.]"))).toBe(true);
});

describe("checkpoints", () => {
  const taken = { checkpoint: "copy-1", size_bytes: 12, duration_ms: 3 };

  test("one is taken when the session comes to rest, and is an event", async () => {
    rig = await startRig([bash("ls"), say("Done.")]);
    rig.sandbox.checkpoints = [taken];
    const id = await rig.create("Go.");
    await expect.poll(() => rig.types(id), { timeout: 8_000 }).toContain("longhaul.sandbox_checkpoint");
    expect(of(await rig.events(id), "longhaul.sandbox_checkpoint")).toMatchObject([{ ...taken, error: null }]);
    expect((await rig.types(id)).indexOf("longhaul.sandbox_checkpoint")).toBeGreaterThan(
      (await rig.types(id)).indexOf("session.status_idle"),
    );
  });

  test("one that fails is an event that says why; the session is as idle as before", async () => {
    rig = await startRig([bash("ls"), say("Done.")]);
    rig.sandbox.checkpoints = [new Error("The sandbox has 9 GB; checkpoints end at 4 GB.")];
    const id = await rig.create("Go.");
    await expect.poll(() => rig.types(id), { timeout: 8_000 }).toContain("longhaul.sandbox_checkpoint");
    expect(of(await rig.events(id), "longhaul.sandbox_checkpoint")).toMatchObject([
      { checkpoint: null, error: "The sandbox has 9 GB; checkpoints end at 4 GB." },
    ]);
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", error: null });
    expect(rig.errors).toEqual([]);
  });

  test("a session that never used a sandbox is not asked for one", async () => {
    rig = await startRig([say("Hello.")]);
    rig.sandbox.checkpoints = [taken];
    const id = await rig.create("Go.");
    await untilIdle(id);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await rig.types(id)).not.toContain("longhaul.sandbox_checkpoint");
    expect(rig.sandbox.provisions).toBe(0);
  });
});
