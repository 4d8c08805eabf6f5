/** Threads that stop each other, wait for each other, or are taken away: the session rests, and none of them waits for ever. */
import { afterEach, expect, test } from "vitest";
import { call, overloaded, type ScriptRequest, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import type { SessionSnapshot } from "../../contract/events.ts";
import type { SessionFold } from "../../contract/fold.ts";
import { newId } from "../../contract/ids.ts";
import { archivedReport } from "../../contract/threads/archived.ts";
import { ModelError } from "../../harness/model.ts";
import { withSessionStatus } from "../../harness/statuses.ts";
import { message, of, type Rig, type RigOptions, snapshot, startRig, toolset } from "../testing/rig.ts";

let rig: Rig;
afterEach(async () => {
  await rig.close();
  expect(rig.errors).toEqual([]);
});

const PRICED = { id: "claude-sonnet-4-6" } as const;
const limit = (amount: string) => ({ type: "limit", max_list_cost: { amount, currency: "USD" } }) as const;
type Play = (request: ScriptRequest) => ScriptTurn | Promise<ScriptTurn>;

async function start(parts: { lead: Play; worker?: Play; advisor?: Play }, options: RigOptions = {}): Promise<void> {
  rig = await startRig(
    (request) => {
      const system = JSON.stringify(request.body.system);
      const play = system.includes("You advise")
        ? parts.advisor
        : system.includes("worker")
          ? parts.worker
          : parts.lead;
      return (play ?? parts.lead)(request);
    },
    {},
    options,
  );
}

/** A session of a lead with a worker whose calls ask, and an advisor; begun with a message and run until it settles. */
async function run(budget: SessionSnapshot["budget"] = null, from = rig.orchestrator): Promise<string> {
  const { multiagent: _, ...worker } = snapshot({
    name: "worker",
    system: "You are worker.",
    model: PRICED,
    tools: [toolset("always_ask")],
  }).agent;
  const agents = [worker, { type: "advisor" as const, model: PRICED.id }];
  const lead = snapshot({ system: "Lead.", model: PRICED, multiagent: { type: "coordinator", agents } });
  const id = newId("session");
  await rig.ledger.createSession(id, [
    { type: "longhaul.session_created", session: { ...lead, budget } },
    message("Go."),
  ]);
  await from.wake(id, "client_event");
  await from.settled(id);
  return id;
}

async function foldOf(id: string): Promise<SessionFold> {
  const fold = (await rig.ledger.getSession(id))?.fold;
  if (fold === undefined) throw new Error("no session");
  return fold;
}

const spawn = { name: "send_to_agent", input: { agent: "worker", message: "Work." } };
const consult = { name: "consult_advisor", input: { question: "How?" } };
const asks = call({ name: "bash", input: { command: "make" } });
const heard = ({ results }: ScriptRequest): ScriptTurn => say(`heard ${[...results.values()][0]?.text}`);

test("a primary thread whose turn died stays dead when another thread waits for a person", async () => {
  let asked = 0;
  await start({
    lead: ({ turn }) => {
      if (turn === 0) return call(spawn);
      asked += 1;
      // Ends a test that would never end.
      if (asked > 20) void rig.orchestrator.drain();
      return { status: 400, error: { type: "invalid_request_error", message: "no" } };
    },
    worker: () => asks,
  });
  const id = await run();
  expect(asked).toBe(1);
  expect(await foldOf(id)).toMatchObject({
    stop_reason: { type: "requires_action" },
    primary: { stop_reason: { type: "retries_exhausted" } },
    stopped: true,
  });
});

test("a planned retry of the primary thread is not forgotten when another thread begins to run", async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let asked = 0;
  await start({
    lead: ({ turn }) => {
      if (turn === 0) return call(spawn);
      asked += 1;
      return overloaded(30);
    },
    worker: async ({ turn }) => {
      // Its end would be a message to the lead, which does not have to wait.
      if (turn > 0) return { kind: "hang" };
      await held;
      return asks;
    },
  });
  const running = run();
  await expect
    .poll(async () => (await rig.ledger.listSessions({ limit: 1 })).map(({ fold }) => fold.retry?.attempt))
    .toEqual([1]);
  release();
  const id = await running;
  expect(await foldOf(id)).toMatchObject({ phase: "rescheduling" });
  const [use] = of(await rig.events(id), "agent.tool_use").filter(({ name }) => name === "bash");
  const session_thread_id = (await foldOf(id)).threads[0]?.id ?? "";
  await rig.send(id, {
    type: "user.tool_confirmation",
    tool_use_id: use?.id ?? "",
    result: "allow",
    session_thread_id,
  });
  await rig.orchestrator.wake(id, "client_event");
  await expect.poll(async () => (await foldOf(id)).threads[0]?.model_request ?? null).not.toBeNull();
  expect(asked).toBe(1);
  expect(await foldOf(id)).toMatchObject({ phase: "running", retry: { attempt: 1 } });
});

test("a session whose advisor is stopped by the budget rests, and goes on after a raise", async () => {
  await start({
    lead: (request) => (request.turn === 0 ? { ...call(consult), output_tokens: 10_000 } : heard(request)),
    advisor: () => say("Like this."),
  });
  const id = await run(limit("10"));
  expect(await foldOf(id)).toMatchObject({
    phase: "idle",
    stop_reason: { type: "budget_reached" },
    primary: { phase: "idle" },
  });
  expect((await rig.types(id)).slice(-3, -1)).toEqual(["session.usage", "session.status_idle"]);
  await rig.send(id, { type: "session.updated", budget: null });
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  expect(JSON.stringify(of(await rig.events(id), "agent.message").at(-1))).toContain("heard Like this.");
  expect(await foldOf(id)).toMatchObject({ phase: "idle", stop_reason: { type: "end_turn" } });
});

test.each([
  ["archived", "The user archived"],
  ["interrupted", "The user interrupted"],
])("the call of an advisor that the budget stopped is answered when it is %s", async (how, text) => {
  await start({
    lead: (request) => (request.turn === 0 ? { ...call(consult), output_tokens: 10_000 } : heard(request)),
  });
  const id = await run(limit("10"));
  const fold = await foldOf(id);
  const advisor = fold.threads[0]?.id ?? "";
  await rig.send(id, { type: "session.updated", budget: null });
  if (how === "archived") {
    const over = { type: "session.thread_status_terminated", agent_name: "anthropic.advisor" } as const;
    await rig.send(id, ...archivedReport(fold, advisor), { ...over, session_thread_id: advisor });
  } else {
    await rig.send(id, { type: "user.interrupt", session_thread_id: advisor });
  }
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  expect(JSON.stringify(of(await rig.events(id), "agent.message").at(-1))).toContain(`heard ${text}`);
  expect(await foldOf(id)).toMatchObject({ phase: "idle", stop_reason: { type: "end_turn" } });
});

test.each([
  ["advisor", consult],
  ["worker", spawn],
])("a thread (%s) that is interrupted before it began tells its parent", async (_, made) => {
  await start({ lead: (request) => (request.turn === 0 ? call(made) : say(`${heard(request)} ${request.lastText}`)) });
  // The process ends when the thread is there, before it has done anything.
  const unsubscribe = rig.ledger.subscribe((events) => {
    if (events.some(({ event }) => event.type === "longhaul.thread_created")) void rig.orchestrator.drain();
  });
  const id = await run();
  unsubscribe();
  const child = (await foldOf(id)).threads[0];
  expect(child).toMatchObject({ turns: 0, phase: "idle" });
  await rig.send(id, { type: "user.interrupt", session_thread_id: child?.id ?? "" });
  const next = rig.restart();
  await next.wake(id, "client_event");
  await next.settled(id);
  const bodies = rig.server.requests.map(({ raw }) => raw.toString());
  expect(bodies.at(-1)).toContain("The user interrupted this agent before it was done.");
  expect(await foldOf(id)).toMatchObject({ phase: "idle", calls: [], stop_reason: { type: "end_turn" } });
});

test("a thread that waits for the network goes on when it is back, also while another one runs", async () => {
  await start({ lead: ({ turn }) => (turn === 0 ? call(spawn) : { kind: "hang" }), worker: () => say("Done.") });
  const { model } = rig.ports;
  const online = model.stream.bind(model);
  let down = true;
  model.stream = (session, body, signal, betas) => {
    if (down && body.includes("You are worker.")) throw new ModelError("offline", "no network");
    return online(session, body, signal, betas);
  };
  const running = run();
  const worker = async () => (await rig.ledger.listSessions({ limit: 1 }))[0]?.fold.threads[0];
  await expect.poll(async () => (await worker())?.retry?.waits_for_network).toBe(true);
  down = false;
  await rig.orchestrator.networkIsBack("network");
  await expect.poll(async () => (await worker())?.stop_reason).toEqual({ type: "end_turn" });
  await rig.orchestrator.drain();
  await running;
});

test("a thread that comes to rest while another one's message to it comes in does not bring the session to rest", async () => {
  await start({ lead: ({ turn }) => (turn === 0 ? call(spawn) : say("waiting")), worker: () => say("Done.") });
  const id = await run();
  const { primary_thread_id, threads } = await foldOf(id);
  const content = [{ type: "text" as const, text: "Done." }];
  const from_session_thread_id = threads[0]?.id ?? "";
  const lead = { agent_name: "Coder", session_thread_id: primary_thread_id };
  await rig.send(
    id,
    { type: "session.status_running" },
    { type: "session.thread_status_running", ...lead },
    { type: "agent.thread_message_received", from_session_thread_id, content },
  );
  const reason = { stop_reason: { type: "end_turn" as const }, stop_details: null };
  const drafts = withSessionStatus(
    await foldOf(id),
    [{ type: "session.thread_status_idle", ...lead, ...reason }],
    Date.now(),
  );
  expect(drafts.map(({ type }) => type)).toEqual(["session.thread_status_idle"]);
});
