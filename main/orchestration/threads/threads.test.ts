/** Sessions with spawned threads: each runs its own conversation, and all of them end as one. */
import { afterEach, describe, expect, test } from "vitest";
import { call, overloaded, type ScriptRequest, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import type { SessionSnapshot, StoredEvent } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import { message, of, type Rig, snapshot, startRig, toolset } from "../testing/rig.ts";

let rig: Rig;
afterEach(async () => {
  await rig.close();
  expect(rig.errors).toEqual([]);
});

type Agent = SessionSnapshot["agent"];
type Definition = Extract<
  Extract<NonNullable<Agent["multiagent"]>, { type: "coordinator" }>["agents"][number],
  { type: "agent" }
>;

function member(name: string, more: Partial<Definition> = {}): Definition {
  const { multiagent: _, ...agent } = snapshot({ name, system: `You are ${name}.` }).agent;
  return { ...agent, id: newId("agent"), description: `Does ${name} work.`, ...more };
}

function coordinator(...agents: Definition[]): Partial<Agent> {
  return { name: "lead", system: "You are lead.", multiagent: { type: "coordinator", agents } };
}

/** Answers by who is asked: the first line of the system prompt. */
function byAgent(scripts: Record<string, (request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn>>) {
  return (request: ScriptRequest): ScriptTurn | Promise<ScriptTurn> => {
    const system = JSON.stringify(request.body.system);
    const name = Object.keys(scripts).find((each) => system.includes(`You are ${each}.`)) ?? "";
    const script = scripts[name];
    if (script === undefined) throw new Error(`nobody plays ${system}`);
    return script(request);
  };
}

const send = (agent: string, text: string) => ({ name: "send_to_agent", input: { agent, message: text } });

const inThread = (events: StoredEvent[], thread: string) => events.filter(({ thread_id }) => thread_id === thread);
const types = (events: StoredEvent[]) => events.map(({ event }) => event.type);

async function threadsOf(id: string) {
  return (await rig.ledger.getSession(id))?.fold.threads ?? [];
}

/** A lead that gives one task to tester, and ends when it has heard from it. */
function leadAsks(text: string) {
  return (request: ScriptRequest): ScriptTurn => {
    if (request.turn === 0) return call(send("tester", text));
    return request.lastText.includes("Message from the agent") ? say(`heard: ${request.lastText}`) : say("waiting");
  };
}

describe("a spawned thread", () => {
  test("has its own context, and its final message comes back to its parent", async () => {
    rig = await startRig(byAgent({ lead: leadAsks("Test it."), tester: () => say("All green.") }));
    const id = await rig.create("Ship it.", coordinator(member("tester")));
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    const [thread] = await threadsOf(id);
    const child = inThread(events, thread?.id ?? "");
    expect(types(child).filter((type) => !type.startsWith("longhaul."))).toEqual([
      "agent.thread_message_received",
      "session.thread_status_running",
      "span.model_request_start",
      "agent.message",
      "span.model_request_end",
      "agent.thread_message_sent",
      "session.thread_status_idle",
    ]);
    // The parent's stream tells that it was created; messages do not name the primary agent.
    expect(types(inThread(events, (await rig.ledger.getSession(id))?.fold.primary_thread_id ?? ""))).toContain(
      "session.thread_created",
    );
    expect(of(child, "agent.thread_message_received")[0]).not.toHaveProperty("from_agent_name");
    expect(of(child, "agent.thread_message_sent")[0]).not.toHaveProperty("to_agent_name");
    const [first] = rig.server.requests.filter(({ raw }) => raw.includes("You are tester."));
    expect(first?.raw.toString()).toContain("Test it.");
    expect(first?.raw.toString()).not.toContain("Ship it.");
    expect(first?.raw.toString()).not.toContain("send_to_agent");
    const said = of(events, "agent.message").map(({ content }) => content[0]?.type === "text" && content[0].text);
    expect(said.at(-1)).toMatch(/^heard: \[Message from the agent "tester" in thread sthr_/);
    expect(said.at(-1)).toContain("All green.");
    expect(thread).toMatchObject({ phase: "idle", turns: 1, report_due: false, stop_reason: { type: "end_turn" } });
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", turns: 2, task: "Ship it." });
  });

  test("keeps the session running until the last thread rests: one status_running, one idle with usage before it", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    rig = await startRig(
      byAgent({
        lead: leadAsks("Go."),
        tester: async () => {
          await held;
          return say("Done.");
        },
      }),
    );
    const id = await rig.create("Start.", coordinator(member("tester")));
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.primary?.phase).toBe("idle");
    const fold = (await rig.ledger.getSession(id))?.fold;
    expect(fold).toMatchObject({ phase: "running", primary: { phase: "idle" }, threads: [{ phase: "running" }] });
    release();
    await rig.orchestrator.settled(id);
    const all = (await rig.types(id)).filter((type) => type.startsWith("session.") && !type.includes("thread"));
    expect(all).toEqual(["session.status_running", "session.usage", "session.status_idle"]);
    const end = await rig.types(id);
    expect(end.slice(end.lastIndexOf("session.usage"))).toMatchObject([
      "session.usage",
      "session.status_idle",
      "longhaul.lease_released",
    ]);
  });

  test("ten of them work side by side and each answers its own task", async () => {
    const names = Array.from({ length: 10 }, (_, n) => `W${n}`);
    const workers = Object.fromEntries(
      names.map((name) => [
        name,
        (request: ScriptRequest) =>
          request.turn === 0
            ? call({ name: "bash", input: { command: `work ${name}` } })
            : say(`${name}: ${[...request.results.values()][0]?.text}`),
      ]),
    );
    const heard = new Set<string>();
    rig = await startRig(
      byAgent({
        ...workers,
        lead: (request) => {
          if (request.turn === 0) return call(...names.map((name) => send(name, `do ${name}`)));
          for (const name of names) if (request.lastText.includes(`"${name}"`)) heard.add(name);
          return say(`heard ${heard.size}`);
        },
      }),
    );
    const id = await rig.create("Split it.", coordinator(...names.map((name) => member(name))));
    await rig.orchestrator.settled(id);
    const threads = await threadsOf(id);
    expect(threads.map(({ name }) => name)).toEqual(names);
    expect(threads.every(({ phase, calls, report_due }) => phase === "idle" && calls.length === 0 && !report_due)).toBe(
      true,
    );
    expect(rig.sandbox.executions).toHaveLength(10);
    const events = await rig.events(id);
    expect(of(events, "agent.thread_message_received").filter(({ from_agent_name }) => from_agent_name)).toHaveLength(
      10,
    );
  });

  test("is sent further messages, by its id, and refuses what does not exist", async () => {
    let thread = "";
    rig = await startRig(
      byAgent({
        lead: (request) => {
          if (request.turn === 0)
            return call(send("tester", "One."), send("Nobody", "?"), { name: "list_agents", input: {} });
          const results = [...request.results.values()];
          if (request.turn === 1) {
            thread = /sthr_\w+/.exec(results[0]?.text ?? "")?.[0] ?? "";
            expect(results[1]).toMatchObject({ is_error: true, text: expect.stringContaining('There are: "tester"') });
            expect(results[2]?.text).toContain("Does tester work.");
            return say("wait");
          }
          if (request.lastText.includes("first"))
            return call({ name: "send_to_agent", input: { thread_id: thread, message: "Two." } });
          return say("ok");
        },
        tester: (request) => say(request.lastText.includes("Two.") ? "second" : "first"),
      }),
    );
    const id = await rig.create("Go.", coordinator(member("tester")));
    await rig.orchestrator.settled(id);
    expect(await threadsOf(id)).toMatchObject([{ id: thread, turns: 2 }]);
  });

  test("at most 25 are there at once, also when one answer asks for more", async () => {
    rig = await startRig(
      byAgent({
        lead: (request) =>
          request.turn === 0
            ? call(...Array.from({ length: 27 }, (_, n) => send("tester", `task ${n}`)))
            : say([...request.results.values()].filter(({ is_error }) => is_error).length === 2 ? "two refused" : "?"),
        tester: () => say("done"),
      }),
    );
    const id = await rig.create("Go.", coordinator(member("tester")));
    await rig.orchestrator.settled(id);
    expect(await threadsOf(id)).toHaveLength(25);
    expect(JSON.stringify(await rig.events(id))).toContain("two refused");
  });

  test("that fails for good tells its parent why", async () => {
    rig = await startRig(
      byAgent({
        lead: leadAsks("Go."),
        tester: () => ({ status: 400, error: { type: "invalid_request_error", message: "no such model" } }),
      }),
    );
    const id = await rig.create("Go.", coordinator(member("tester")));
    await rig.orchestrator.settled(id);
    const last = of(await rig.events(id), "agent.message").at(-1)?.content[0];
    expect(last?.type === "text" && last.text).toContain("stopped before it was done: ");
    expect(await threadsOf(id)).toMatchObject([{ phase: "idle", stop_reason: { type: "retries_exhausted" } }]);
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", stop_reason: { type: "end_turn" } });
  });

  test("retries while the others go on; the session waits only when all do", async () => {
    let asked = 0;
    rig = await startRig(
      byAgent({
        lead: leadAsks("Go."),
        tester: () => {
          asked += 1;
          return asked === 1 ? overloaded() : say("Recovered.");
        },
      }),
    );
    const id = await rig.create("Go.", coordinator(member("tester")));
    await expect.poll(async () => JSON.stringify(await rig.events(id)), { timeout: 5000 }).toContain("heard: ");
    await rig.orchestrator.settled(id);
    const all = await rig.types(id);
    expect(all).toContain("session.thread_status_rescheduled");
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", stop_reason: { type: "end_turn" } });
  });
});

describe("approvals and interrupts", () => {
  test("what blocks a spawned thread is cross-posted, answered by the call's id, and the session says what it needs", async () => {
    rig = await startRig(
      byAgent({
        lead: leadAsks("Go."),
        tester: (request) =>
          request.turn === 0
            ? call({ name: "bash", input: { command: "rm" } })
            : say(`got ${[...request.results.values()][0]?.text}`),
      }),
    );
    const id = await rig.create("Go.", coordinator(member("tester", { tools: [toolset("always_ask")] })));
    await rig.orchestrator.settled(id);
    const [thread] = await threadsOf(id);
    const [use] = of(await rig.events(id), "agent.tool_use").filter(({ name }) => name === "bash");
    expect(use).toMatchObject({ session_thread_id: thread?.id, evaluated_permission: "ask" });
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({
      phase: "idle",
      stop_reason: { type: "requires_action", event_ids: [use?.id] },
    });
    const page = await rig.ledger.listPublicEvents(id, { limit: 100 });
    expect(page.events.map(({ event }) => event.id)).toContain(use?.id);
    const confirmation = { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "allow" } as const;
    await rig.send(id, { ...confirmation, session_thread_id: thread?.id ?? "" });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(JSON.stringify(await rig.events(id))).toContain("got bash");
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", stop_reason: { type: "end_turn" } });
  });

  test("an interrupt of the session stops every thread, one with a thread's id only that one", async () => {
    const hang: ScriptTurn = { kind: "hang" };
    rig = await startRig(byAgent({ lead: leadAsks("Go."), tester: () => hang }));
    const whole = await rig.create("Go.", coordinator(member("tester")));
    await expect.poll(async () => (await threadsOf(whole))[0]?.model_request ?? null).not.toBeNull();
    await rig.send(whole, { type: "user.interrupt" });
    await rig.orchestrator.settled(whole);
    expect((await rig.ledger.getSession(whole))?.fold).toMatchObject({
      phase: "idle",
      stop_reason: { type: "end_turn" },
      threads: [{ phase: "idle", model_request: null, inputs: [] }],
      inputs: [],
    });
    expect(of(await rig.events(whole), "agent.thread_message_sent").map(({ to_agent_name }) => to_agent_name)).toEqual([
      "tester",
    ]);

    const one = await rig.create("Go.", coordinator(member("tester")));
    await expect.poll(async () => (await threadsOf(one))[0]?.model_request ?? null).not.toBeNull();
    await rig.send(one, { type: "user.interrupt", session_thread_id: (await threadsOf(one))[0]?.id ?? "" });
    await rig.orchestrator.settled(one);
    expect(JSON.stringify(of(await rig.events(one), "agent.message"))).toContain("The user interrupted this agent");
  });
});

describe("an advisor", () => {
  test("answers a call in a thread that ends with its answer", async () => {
    rig = await startRig((request) => {
      if (JSON.stringify(request.body.system).includes("You advise another agent")) {
        expect(request.body.model).toBe("claude-opus-5-5");
        return say(`Advice on ${request.lastText.split("\n").at(-1)}`);
      }
      if (request.turn === 0) return call({ name: "consult_advisor", input: { question: "Why?" } });
      return say([...request.results.values()][0]?.text ?? "");
    });
    const id = await rig.create("Go.", {
      multiagent: { type: "coordinator", agents: [member("tester"), { type: "advisor", model: "claude-opus-5-5" }] },
    });
    await rig.orchestrator.settled(id);
    const [thread] = await threadsOf(id);
    expect(thread).toMatchObject({ name: "anthropic.advisor", phase: "terminated", archived_at: expect.any(String) });
    const last = of(await rig.events(id), "agent.message").at(-1)?.content[0];
    expect(last?.type === "text" && last.text).toContain("Advice on");
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", stop_reason: { type: "end_turn" } });
  });
});

test("an agent that may define others spawns one inline, with its own tools", async () => {
  rig = await startRig(
    byAgent({
      lead: (request) =>
        request.turn === 0
          ? call({
              name: "send_to_agent",
              input: { inline_agent: { name: "poet", system: "You are poet." }, message: "Rhyme." },
            })
          : say("ok"),
      poet: (request) => {
        expect(JSON.stringify(request.body.tools)).toContain('"bash"');
        return say("Time, dime.");
      },
    }),
  );
  const enabled = { type: "enabled", inline_agents: { type: "enabled" }, predefined_agents: [] } as const;
  const id = await rig.create("Go.", {
    system: "You are lead.",
    multiagent: {
      type: "multiagent_20261001",
      advisor: { type: "disabled" },
      subagents: { ...enabled, predefined_agents: [] },
      workflows: { type: "disabled" },
    },
  });
  await rig.orchestrator.settled(id);
  expect(await threadsOf(id)).toMatchObject([{ name: "poet", agent: { type: "inline" } }]);
});

test("a message to the session while a child works is the primary thread's alone", async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  rig = await startRig(
    byAgent({
      lead: leadAsks("Go."),
      tester: async () => {
        await held;
        return say("Done.");
      },
    }),
  );
  const id = await rig.create("Start.", coordinator(member("tester")));
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.primary?.phase).toBe("idle");
  await rig.send(id, message("Anything new?"));
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.turns).toBe(2);
  release();
  await rig.orchestrator.settled(id);
  const bodies = rig.server.requests.map(({ raw }) => raw.toString()).filter((raw) => raw.includes("You are tester."));
  expect(bodies.join()).not.toContain("Anything new?");
});
