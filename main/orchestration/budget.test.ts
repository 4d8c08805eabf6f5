/** Budgets stop a session between model requests, and a raise lets it go on by itself. */
import { afterEach, expect, test } from "vitest";
import { call, type ScriptRequest, say } from "../../e2e/model_server/script.ts";
import { newId } from "../contract/ids.ts";
import { message, of, type Rig, snapshot, startRig } from "./testing/rig.ts";

let rig: Rig;
afterEach(async () => {
  await rig.close();
  expect(rig.errors).toEqual([]);
});

const limit = (amount: string) => ({ type: "limit", max_list_cost: { amount, currency: "USD" } }) as const;

/** A session of a model with a price, begun with a message. */
async function start(amount: string, text = "Go."): Promise<string> {
  const id = newId("session");
  const session = { ...snapshot({ model: { id: "claude-sonnet-4-6" } }), budget: limit(amount) };
  await rig.ledger.createSession(id, [{ type: "longhaul.session_created", session }, message(text)]);
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  return id;
}

/** Each answer costs about 15 cents; the third one ends the turn. */
function script(request: ScriptRequest) {
  if (request.turn >= 2) return { ...say("done"), output_tokens: 10_000 };
  return { ...call({ name: "bash", input: { command: `step ${request.turn}` } }), output_tokens: 10_000 };
}

const types = async (id: string) => (await rig.types(id)).filter((type) => type.startsWith("session."));

test("at the cap: the call in flight ends, thread idle, usage, session idle, and nothing more is sent", async () => {
  rig = await startRig(script);
  const id = await start("20");
  expect(rig.server.requests).toHaveLength(2);
  expect(rig.sandbox.executions).toHaveLength(2);
  expect((await types(id)).slice(-3)).toEqual(["session.thread_status_idle", "session.usage", "session.status_idle"]);
  const fold = (await rig.ledger.getSession(id))?.fold;
  expect(fold).toMatchObject({ phase: "idle", stop_reason: { type: "budget_reached" }, awaiting_model: true });
  const usage = of(await rig.events(id), "session.usage").at(-1);
  expect(usage).toMatchObject({ budget: limit("20"), usage: { list_cost: { currency: "USD" } } });
  expect(Number(usage?.usage.list_cost?.amount)).toBeGreaterThanOrEqual(30);
  // A person's resume changes nothing while the budget is used up.
  await rig.send(id, { type: "longhaul.resume_requested", by: "user" });
  await rig.orchestrator.wake(id, "user");
  await rig.orchestrator.settled(id);
  expect(rig.server.requests).toHaveLength(2);
  expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "budget_reached" });
});

test.each([
  ["raised", limit("10000")],
  ["removed", null],
])("a budget that is %s lets the session go on where it stood, also after a restart", async (_, budget) => {
  rig = await startRig(script);
  const id = await start("20");
  await rig.send(id, { type: "session.updated", budget });
  // The engine dies between the update and its wake.
  await rig.restart().recover(true);
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.stop_reason?.type).toBe("end_turn");
  expect(rig.server.requests).toHaveLength(3);
  expect(rig.sandbox.executions).toHaveLength(2);
});

test("the cap holds for the threads together, and all of them go on after a raise", async () => {
  rig = await startRig((request) => {
    if (JSON.stringify(request.body.system).includes("You are worker.")) return script(request);
    if (request.turn === 0) return call({ name: "send_to_agent", input: { message: "Work." } });
    return say(request.lastText.includes("Message from") ? "heard" : "waiting");
  });
  const { multiagent: _, ...worker } = snapshot({
    name: "worker",
    system: "You are worker.",
    model: { id: "claude-sonnet-4-6" },
  }).agent;
  const lead = snapshot({
    system: "Lead.",
    model: { id: "claude-sonnet-4-6" },
    multiagent: { type: "coordinator", agents: [worker] },
  });
  const id = newId("session");
  await rig.ledger.createSession(id, [
    { type: "longhaul.session_created", session: { ...lead, budget: limit("10") } },
    message("Go."),
  ]);
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  const stopped = (await rig.ledger.getSession(id))?.fold;
  expect(stopped).toMatchObject({
    phase: "idle",
    stop_reason: { type: "budget_reached" },
    threads: [{ stopped: true }],
  });
  await rig.send(id, { type: "session.updated", budget: limit("1000") });
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  const fold = (await rig.ledger.getSession(id))?.fold;
  expect(fold).toMatchObject({
    phase: "idle",
    stop_reason: { type: "end_turn" },
    threads: [{ phase: "idle", turns: 1 }],
  });
  expect(fold?.cost.nanos).toBe((fold?.primary?.cost.nanos ?? 0) + (fold?.threads[0]?.cost.nanos ?? 0));
});
