import type { BetaManagedAgentsStreamSessionThreadEvents } from "@anthropic-ai/sdk/resources/beta/sessions/threads";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EventDraft } from "../../../contract/events.ts";
import { newId } from "../../../contract/ids.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const IDLE = { stop_reason: { type: "end_turn" }, stop_details: null } as const;
const USAGE = { input_tokens: 5, output_tokens: 7, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };

/** A session whose primary thread has spawned `count` others. */
async function spawned(count = 1): Promise<{ id: string; primary: string; children: string[] }> {
  const id = await rig.session();
  const fold = (await rig.ledger.getSession(id))?.fold;
  const { multiagent: _, ...agent } = fold!.agent;
  const children = Array.from({ length: count }, () => newId("thread"));
  for (const thread of children) {
    await rig.emit(
      id,
      {
        type: "longhaul.thread_created",
        spawned_thread_id: thread,
        parent_thread_id: fold!.primary_thread_id,
        agent: { ...agent, name: "worker" },
        tool_use_id: null,
      },
      { type: "session.thread_created", agent_name: "worker", session_thread_id: thread, workflow_run_id: null },
    );
  }
  return { id, primary: fold!.primary_thread_id, children };
}

const text = (said: string): EventDraft => ({ type: "agent.message", content: [{ type: "text", text: said }] });

async function typesIn(id: string, thread: string): Promise<string[]> {
  const types: string[] = [];
  for await (const event of rig.client.beta.sessions.threads.events.list(thread, { session_id: id }))
    types.push(event.type);
  return types;
}

test("threads are listed with the primary one first, by status and in pages", async () => {
  const { id, primary, children } = await spawned(3);
  const threads = rig.client.beta.sessions.threads;
  const all = [];
  for await (const thread of threads.list(id, { limit: 2 })) all.push(thread);
  expect(all.map((thread) => thread.id)).toEqual([primary, ...children]);
  expect(all[1]).toMatchObject({
    type: "session_thread",
    parent_thread_id: primary,
    status: "idle",
    workflow_run_id: null,
    agent: { name: "worker" },
    stats: null,
    usage: null,
  });
  expect(all[1]?.agent).not.toHaveProperty("multiagent");
  expect((await threads.list(id, { statuses: ["running"] })).data).toEqual([]);
  expect((await refusalOf(threads.list(id, { page: "nonsense" }))).status).toBe(400);
  expect(await threads.retrieve(children[0]!, { session_id: id })).toMatchObject({ id: children[0] });
  expect((await refusalOf(threads.retrieve("sthr_none", { session_id: id }))).status).toBe(404);
});

test("each thread lists its own events; the session's list has the primary's and what is cross-posted", async () => {
  const { id, primary, children } = await spawned();
  const child = children[0]!;
  const names = { agent_name: "worker", session_thread_id: child };
  await rig.emit(
    id,
    text("of the primary thread"),
    { ...text("of the child"), thread_id: child },
    {
      type: "agent.tool_use",
      id: "sevt_ask",
      thread_id: child,
      name: "bash",
      input: {},
      evaluated_permission: "ask",
      session_thread_id: child,
    },
    {
      type: "session.thread_status_idle",
      ...names,
      stop_reason: { type: "requires_action", event_ids: ["sevt_ask"] },
      stop_details: null,
    },
  );
  expect(await typesIn(id, child)).toEqual([
    "session.thread_created",
    "agent.message",
    "agent.tool_use",
    "session.thread_status_idle",
  ]);
  const listed = [];
  for await (const event of rig.client.beta.sessions.events.list(id)) listed.push(event);
  expect(listed.map(({ type }) => type)).toEqual([
    "session.thread_created",
    "agent.message",
    "agent.tool_use",
    "session.thread_status_idle",
  ]);
  expect(listed[2]).toMatchObject({ session_thread_id: child });
  expect(await typesIn(id, primary)).toEqual(listed.map(({ type }) => type));
  const own = await rig.client.beta.sessions.threads.events.list(child, { session_id: id });
  expect(own.data.find(({ type }) => type === "agent.tool_use")).not.toHaveProperty("session_thread_id");
});

test("a confirmation is routed to the thread that asked, and is shown on both streams", async () => {
  const { id, children } = await spawned();
  const child = children[0]!;
  await rig.emit(id, {
    type: "agent.tool_use",
    id: "sevt_ask",
    thread_id: child,
    name: "bash",
    input: {},
    evaluated_permission: "ask",
    session_thread_id: child,
  });
  const confirm = { type: "user.tool_confirmation", tool_use_id: "sevt_ask", result: "allow" } as const;
  const sent = await rig.client.beta.sessions.events.send(id, { events: [confirm] });
  expect(sent.data).toMatchObject([{ type: "user.tool_confirmation", session_thread_id: child, processed_at: null }]);
  expect(await typesIn(id, child)).toContain("user.tool_confirmation");
  const fold = (await rig.ledger.getSession(id))?.fold;
  expect(fold?.threads[0]?.calls[0]).toMatchObject({ confirmation: { result: "allow" } });
  const twice = await refusalOf(rig.client.beta.sessions.events.send(id, { events: [confirm] }));
  expect(twice.message).toContain("was confirmed already");
});

test("streams show a thread its own events and previews, and the session what is cross-posted", async () => {
  const { id, primary, children } = await spawned();
  const child = children[0]!;
  const { sessions } = rig.client.beta;
  const event_deltas = ["agent.message" as const];
  const ofSession = await sessions.events.stream(id, { event_deltas });
  const ofChild = await sessions.threads.events.stream(child, { session_id: id, event_deltas });
  const [a, b] = [newId("event"), newId("event")];
  for (const [thread, event] of [
    [primary, a],
    [child, b],
  ] as const) {
    rig.live.publish(id, {
      type: "preview",
      thread_id: thread,
      frame: { type: "event_start", event: { type: "agent.message", id: event } },
    });
  }
  await rig.emit(
    id,
    {
      type: "span.model_request_end",
      thread_id: child,
      model_request_start_id: "s",
      is_error: false,
      model_usage: USAGE,
    },
    { ...text("child"), id: b, thread_id: child },
    { ...text("primary"), id: a },
    { type: "session.thread_status_idle", agent_name: "worker", session_thread_id: child, ...IDLE },
  );
  const until = async (stream: AsyncIterable<BetaManagedAgentsStreamSessionThreadEvents>) => {
    const seen: string[] = [];
    for await (const event of stream) {
      seen.push(event.type === "agent.message" ? event.id : event.type);
      if (event.type === "session.thread_status_idle") break;
    }
    return seen;
  };
  expect(await until(ofSession)).toEqual(["event_start", a, "session.thread_status_idle"]);
  expect(await until(ofChild)).toEqual(["event_start", "span.model_request_end", b, "session.thread_status_idle"]);
});

test("an idle thread is archived once and takes no more interrupts; the primary one and running ones are refused", async () => {
  const { id, primary, children } = await spawned();
  const child = children[0]!;
  const { threads, events } = rig.client.beta.sessions;
  const names = { agent_name: "worker", session_thread_id: child };
  expect((await refusalOf(threads.archive(primary, { session_id: id }))).message).toContain("Archive the session");
  await rig.emit(id, { type: "session.status_running" }, { type: "session.thread_status_running", ...names });
  rig.orchestrator.set(id, "running");
  expect(await threads.retrieve(child, { session_id: id })).toMatchObject({ status: "running" });
  expect((await refusalOf(threads.archive(child, { session_id: id }))).message).toContain("while it is running");
  rig.orchestrator.set(id, null);
  await rig.emit(
    id,
    { type: "session.thread_status_idle", ...names, ...IDLE },
    { type: "session.status_idle", ...IDLE },
  );
  const archived = await threads.archive(child, { session_id: id });
  expect(archived).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
  expect(await threads.archive(child, { session_id: id })).toEqual(archived);
  const stop = events.send(id, { events: [{ type: "user.interrupt", session_thread_id: child }] });
  expect((await refusalOf(stop)).status).toBe(400);
});

test("archiving the session ends every thread", async () => {
  const { id, children } = await spawned(2);
  await rig.client.beta.sessions.archive(id);
  const threads = await rig.client.beta.sessions.threads.list(id);
  expect(threads.data.map(({ status }) => status)).toEqual(["terminated", "terminated", "terminated"]);
  expect(await typesIn(id, children[1]!)).toContain("session.thread_status_terminated");
});

test("a thread that is archived before its task was done tells its parent so, and the session is woken", async () => {
  const { id, primary, children } = await spawned();
  const [child = ""] = children;
  const use = newId("event");
  await rig.emit(
    id,
    { type: "agent.tool_use", id: use, name: "bash", input: {}, evaluated_permission: "ask", session_thread_id: child },
    {
      type: "session.thread_status_idle",
      agent_name: "worker",
      session_thread_id: child,
      stop_reason: { type: "requires_action", event_ids: [use] },
      stop_details: null,
    },
  );
  await rig.client.beta.sessions.threads.archive(child, { session_id: id });
  expect((await rig.ledger.getSession(id))?.fold.inputs).toMatchObject([{ type: "agent.thread_message_received" }]);
  expect(rig.orchestrator.wakes.at(-1)).toEqual({ sessionId: id, reason: "client_event" });
  expect(await typesIn(id, primary)).toContain("agent.thread_message_received");

  // One that waited for nothing ends without a word.
  const quiet = await spawned();
  await rig.client.beta.sessions.threads.archive(quiet.children[0] ?? "", { session_id: quiet.id });
  expect((await rig.ledger.getSession(quiet.id))?.fold.inputs).toEqual([]);
});
