/** Every way a sandbox dies under a session: the session comes to rest, with a transcript that tells the truth. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StoredEvent } from "../../main/contract/events.ts";
import { BUSYBOX_IMAGE, SHELLLESS_IMAGE } from "../../main/sandbox/docker/testing/real_engine.ts";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, until } from "../product/serve.ts";
import { eventsOf, problemsIn, summaryOf, untilRests } from "../product/sessions.ts";
import { containerOf, containersOf, docker, removeInstall, serveOnDocker } from "./product.ts";

type Act = string | (() => Promise<string | null>);

/** What the model does in a session: commands, or a wait for the test, which may give the next command. */
const plans = new Map<string, Act[]>();
let model: ModelServer;
let product: Product;

async function script(request: ScriptRequest): Promise<Reply> {
  const first = JSON.stringify(request.body.messages[0]);
  const name = /plan-\d+/.exec(first)?.[0] ?? "";
  const act = plans.get(name)?.[request.turn];
  const command = typeof act === "function" ? await act() : act;
  if (command === undefined || command === null) return { content: [{ type: "text", text: "I am done." }] };
  return { content: [{ type: "tool_use", name: "bash", input: { command } }] };
}

beforeAll(async () => {
  model = await startModelServer({ script });
  product = await serveOnDocker({ model });
});
afterAll(async () => {
  await product.stop();
  await removeInstall(product.data_dir);
  await model.close();
  removeDir(product.data_dir);
});

/** Starts a session that follows the plan; metadata are sandbox settings. */
async function start(plan: Act[], metadata: Record<string, string> = {}): Promise<string> {
  const name = `plan-${plans.size}`;
  plans.set(name, plan);
  const { beta } = product.client;
  const agent = await beta.agents.create({
    name,
    model: "claude-sonnet-5-5",
    tools: [
      {
        type: "agent_toolset_20260401",
        default_config: { enabled: true, permission_policy: { type: "always_allow" } },
      },
    ],
  });
  const environment = await beta.environments.create({ name, metadata });
  const session = await beta.sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: name }] }],
  });
  return session.id;
}

async function results(id: string): Promise<{ text: string; is_error: boolean }[]> {
  return (await eventsOf(product, id)).flatMap(({ event }) => {
    if (event.type !== "agent.tool_result") return [];
    const block = event.content?.[0];
    return [{ text: block?.type === "text" ? block.text : "", is_error: event.is_error === true }];
  });
}

/** Waits until the session rests and checks what must hold whatever happened. Returns its tool results. */
async function atRest(id: string): Promise<{ text: string; is_error: boolean }[]> {
  await untilRests(product, id, 90_000);
  const events = await eventsOf(product, id);
  expect(problemsIn(events)).toEqual([]);
  expect((await summaryOf(product, id)).fold.stop_reason).toEqual({ type: "end_turn" });
  expect(model.requests.filter((request) => request.rejected !== null)).toEqual([]);
  return results(id);
}

async function say(id: string, text: string): Promise<void> {
  await product.client.beta.sessions.events.send(id, {
    events: [{ type: "user.message", content: [{ type: "text", text }] }],
  });
}

function of<T extends StoredEvent["event"]["type"]>(events: readonly StoredEvent[], type: T) {
  return events.flatMap(({ event }) =>
    event.type === type ? [event as Extract<StoredEvent["event"], { type: T }>] : [],
  );
}

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
    const id = await start([
      "mkdir -p deep; cd deep; echo kept > kept.txt; export NAME=value",
      async () => {
        await docker("kill", await containerOf(id));
        return "pwd; cat kept.txt; echo $NAME";
      },
    ]);
    const [, second] = await atRest(id);
    expect(second?.is_error).toBe(false);
    expect(second?.text).toMatch(/\/workspace\/deep\nkept\nvalue$/);
    const ready = of(await eventsOf(product, id), "longhaul.sandbox_ready");
    expect(ready.length).toBeGreaterThan(0);
    expect(await containersOf(id)).toHaveLength(1);
  });

  test("under a command leaves a call whose outcome nobody knows, and says so", async () => {
    const id = await start([
      "echo effect >> effects.txt; echo so far; touch begun; sleep 60; echo effect >> effects.txt",
      "cat effects.txt",
    ]);
    await begun(id);
    await docker("kill", await containerOf(id));
    const [first, second] = await atRest(id);
    expect(first).toMatchObject({ is_error: true });
    expect(first?.text).toContain("it may or may not have taken effect");
    expect(second?.text).toMatch(/(^|\n)effect$/);
    expect((await summaryOf(product, id)).fold.outcomes_unknown).toBe(1);
  });
});

test("a command that needs more memory than there is fails with the limit's name, and the session goes on", async () => {
  const id = await start(
    ["echo before > file; python3 -c 'b = bytearray(600 * 1024 * 1024); print(len(b))'", "cat file"],
    {
      "longhaul.memory": "256m",
    },
  );
  const [first, second] = await atRest(id);
  expect(first?.is_error).toBe(true);
  expect(first?.text).toMatch(/memory/i);
  expect(first?.text).toContain("longhaul.memory");
  expect(second?.text).toMatch(/before$/);
});

test("a container that is paused under a command goes on, and the command ends as it should", async () => {
  const id = await start(["touch begun; sleep 1; echo slept", "echo next"]);
  await begun(id);
  await docker("pause", await containerOf(id));
  const [first, second] = await atRest(id);
  expect(first).toEqual({ text: "slept", is_error: false });
  expect(second?.text).toBe("next");
});

describe("a container that is removed", () => {
  test("is rebuilt from the last checkpoint, and the model is told what was lost", async () => {
    const id = await start(["echo one > file.txt; echo made", async () => null, "cat file.txt; ls", async () => null]);
    await atRest(id);
    await until(
      "the checkpoint",
      async () => of(await eventsOf(product, id), "longhaul.sandbox_checkpoint").length > 0,
    );
    const [taken] = of(await eventsOf(product, id), "longhaul.sandbox_checkpoint");
    expect(taken).toMatchObject({ error: null, provider: "docker" });
    await docker("rm", "-f", await containerOf(id));
    await say(id, "go on");
    const all = await atRest(id);
    const last = all.at(-1);
    expect(last?.is_error).toBe(false);
    expect(last?.text).toMatch(/^\[.*checkpoint.*\]\n\n/s);
    expect(last?.text).toMatch(/one\nfile\.txt$/);
    expect(of(await eventsOf(product, id), "longhaul.sandbox_ready").at(-1)).toMatchObject({ how: "restored" });
  });

  test("without a checkpoint says that the files are gone; the next call has a fresh one", async () => {
    const id = await start([
      "echo one > file.txt; echo made",
      async () => {
        await docker("rm", "-f", await containerOf(id));
        return "cat file.txt";
      },
      "ls; echo fresh",
    ]);
    const [, second, third] = await atRest(id);
    expect(second?.is_error).toBe(true);
    expect(second?.text).toMatch(/removed|gone/);
    expect(third?.text).toMatch(/(^|\n)fresh$/);
    expect(third?.text).not.toContain("file.txt\n");
  });

  test("under a command is a call whose outcome nobody knows", async () => {
    const id = await start(["touch begun; sleep 60", "echo alive"]);
    await begun(id);
    await docker("rm", "-f", await containerOf(id));
    const [first, ...rest] = await atRest(id);
    expect(first?.is_error).toBe(true);
    expect(first?.text).toContain("may or may not have taken effect");
    expect(rest.at(-1)).toBeDefined();
  });
});

describe("an image", () => {
  test("that cannot be had is a tool error that names it and the setting", async () => {
    const id = await start(["echo hello"], { "longhaul.image": "nowhere.invalid/nothing:1" });
    const [first] = await atRest(id);
    expect(first?.is_error).toBe(true);
    expect(first?.text).toContain("nowhere.invalid/nothing:1");
    expect(first?.text).toContain("longhaul.image");
  });

  test("without a shell is a tool error that says so", async () => {
    const id = await start(["echo hello"], { "longhaul.image": SHELLLESS_IMAGE });
    const [first] = await atRest(id);
    expect(first?.is_error).toBe(true);
    expect(first?.text).toMatch(/shell/);
    expect(first?.text).toContain(SHELLLESS_IMAGE);
  });

  test("with nothing but a POSIX shell works", async () => {
    const id = await start(["cd /tmp; X=1; echo hello from $(id -u)", "pwd; echo $X"], {
      "longhaul.image": BUSYBOX_IMAGE,
    });
    const [first, second] = await atRest(id);
    expect(first?.text).toMatch(/^hello from /);
    expect(second?.text).toBe("/tmp\n1");
  });
});
