import { afterEach, expect, test } from "vitest";
import { call, say } from "../../e2e/model_server/script.ts";
import type { EventDraft } from "../contract/events.ts";
import { newId } from "../contract/ids.ts";
import { message, of, type Rig, snapshot, startRig, toolset } from "./testing/rig.ts";

let rig: Rig;
afterEach(async () => {
  expect(rig.errors).toEqual([]);
  await rig.close();
});

/** A session of a self-hosted environment that makes two calls and then reports. */
async function start(policy: "always_allow" | "always_ask" = "always_allow"): Promise<{ id: string; uses: string[] }> {
  rig = await startRig((request) =>
    request.results.size > 0
      ? say(`Report: ${[...request.results.values()].map(({ text }) => text).join(" and ")}`)
      : {
          content: [
            { type: "tool_use", name: "bash", input: { command: "a" } },
            { type: "tool_use", name: "read", input: { file_path: "b" } },
          ],
        },
  );
  const id = newId("session");
  const { environment, ...session } = snapshot({ tools: [toolset(policy)] });
  const hosted = { ...environment, config: { type: "self_hosted" as const } };
  await rig.ledger.createSession(id, [
    { type: "longhaul.session_created", session: { ...session, environment: hosted } },
    message("Go."),
  ]);
  await wake(id);
  return { id, uses: of(await rig.events(id), "agent.tool_use").map((use) => use.id) };
}

async function wake(id: string, ...drafts: EventDraft[]): Promise<void> {
  if (drafts.length > 0) await rig.send(id, ...drafts);
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
}

const answer = (tool_use_id: string, text: string): EventDraft => ({
  type: "user.tool_result",
  tool_use_id,
  content: [{ type: "text", text }],
});
const lastIdle = async (id: string) => of(await rig.events(id), "session.status_idle").at(-1)?.stop_reason;

test("calls wait for the worker's results, and no sandbox is ever made", async () => {
  const { id, uses } = await start();
  expect(await lastIdle(id)).toEqual({ type: "requires_action", event_ids: uses });
  await wake(id, answer(uses[1] ?? "", "two"));
  expect(await lastIdle(id)).toEqual({ type: "requires_action", event_ids: [uses[0]] });
  await wake(id, answer(uses[0] ?? "", "one"));
  expect(await lastIdle(id)).toEqual({ type: "end_turn" });
  expect(rig.server.requests[1]?.raw.toString()).toMatch(/one.*two/);
  expect([rig.sandbox.provisions, rig.sandbox.executions]).toEqual([0, []]);
  const types = await rig.types(id);
  expect(types.filter((type) => /sandbox|tool_started/.test(type))).toEqual([]);
});

test("the model is not told of an outputs folder that nobody collects", async () => {
  await start();
  const system = JSON.stringify(rig.server.requests[0]?.body?.["system"]);
  expect(system).not.toContain("/mnt/session/outputs");
  expect(system).toMatch(/working directory of its worker/);
});

test("a call that asks needs its yes first, and is announced until its result is there; a no is settled here", async () => {
  const { id, uses } = await start("always_ask");
  const [first = "", second = ""] = uses;
  await wake(id, { type: "user.tool_confirmation", tool_use_id: first, result: "allow" });
  expect(await lastIdle(id)).toEqual({ type: "requires_action", event_ids: uses });
  await wake(id, { type: "user.tool_confirmation", tool_use_id: second, result: "deny", deny_message: "not that" });
  expect(await lastIdle(id)).toEqual({ type: "requires_action", event_ids: [first] });
  await wake(id, answer(first, "done"));
  expect(await lastIdle(id)).toEqual({ type: "end_turn" });
  expect(rig.server.requests[1]?.raw.toString()).toMatch(/done.*not that/);
  expect(rig.server.requests.map(({ rejected }) => rejected)).toEqual([null, null]);
  const inputs = await rig.ledger.listPublicEvents(id, { types: ["user.tool_confirmation"], limit: 9 });
  expect(inputs.events.every(({ event }) => "processed_at" in event && event.processed_at !== null)).toBe(true);
});

test("an interrupt answers what waits, as a result that clients pair with the call, and ends the turn", async () => {
  const { id, uses } = await start();
  await wake(id, { type: "user.interrupt" });
  expect(await lastIdle(id)).toEqual({ type: "end_turn" });
  const results = of(await rig.events(id), "user.tool_result");
  expect(results.map(({ tool_use_id, is_error }) => [tool_use_id, is_error])).toEqual(uses.map((use) => [use, true]));
  await wake(id, message("Again."));
  expect(rig.server.requests.at(-1)?.rejected).toBeNull();
});

test("it waits as long as it takes, also over a restart", async () => {
  const { id, uses } = await start();
  const again = rig.restart();
  await again.recover(true);
  await again.settled(id);
  expect(rig.server.requests).toHaveLength(1);
  await rig.send(id, ...uses.map((use) => answer(use, "late")));
  await again.wake(id, "client_event");
  await again.settled(id);
  expect(await lastIdle(id)).toEqual({ type: "end_turn" });
});

test("a spawned thread's call is shown to the worker, which reads the session's stream, and so is its interruption", async () => {
  rig = await startRig((request) => {
    const child = JSON.stringify(request.body.system).includes("You are tester.");
    if (request.results.size > 0 && child) return say("Tested.");
    if (child) return call({ name: "bash", input: { command: "npm test" } });
    return request.turn === 0 ? call({ name: "send_to_agent", input: { agent: "tester", message: "Go." } }) : say("ok");
  });
  const { multiagent: _, ...tester } = snapshot({ name: "tester", system: "You are tester." }).agent;
  const lead = { multiagent: { type: "coordinator" as const, agents: [tester] } };
  const make = async (): Promise<{ id: string; thread: string; use: string }> => {
    const id = newId("session");
    const { environment, ...session } = snapshot(lead);
    const hosted = { ...environment, config: { type: "self_hosted" as const } };
    await rig.ledger.createSession(id, [
      { type: "longhaul.session_created", session: { ...session, environment: hosted } },
      message("Test it."),
    ]);
    await wake(id);
    const use = of(await rig.events(id), "agent.tool_use").find(({ name }) => name === "bash");
    const thread = (await rig.ledger.getSession(id))?.fold.threads[0]?.id ?? "";
    expect(use?.session_thread_id).toBe(thread);
    expect(await lastIdle(id)).toEqual({ type: "requires_action", event_ids: [use?.id] });
    return { id, thread, use: use?.id ?? "" };
  };

  const answered = await make();
  const result = answer(answered.use, "all green");
  await wake(answered.id, { ...result, session_thread_id: answered.thread } as EventDraft);
  expect(await lastIdle(answered.id)).toEqual({ type: "end_turn" });
  expect(rig.server.requests.some(({ raw }) => raw.includes("all green"))).toBe(true);

  const stopped = await make();
  await wake(stopped.id, { type: "user.interrupt" });
  const seen = await rig.ledger.listPublicEvents(stopped.id, { types: ["user.tool_result"], limit: 9 });
  expect(seen.events.map(({ event }) => event)).toMatchObject([
    { tool_use_id: stopped.use, is_error: true, session_thread_id: stopped.thread },
  ]);
  expect([rig.sandbox.provisions, rig.sandbox.executions]).toEqual([0, []]);
});
