import { afterEach, expect, test } from "vitest";
import type { ScriptRequest, ScriptTurn } from "../../e2e/model_server/script.ts";
import type { StoredEvent } from "../contract/events.ts";
import { foldAll } from "../contract/fold.ts";
import { LedgerWriteError } from "../session/ledger.ts";
import { message, of, type Rig, snapshot, startRig } from "./testing/rig.ts";

let rig: Rig;
afterEach(() => rig.close());

const say = (text: string): ScriptTurn => ({ content: [{ type: "text", text }] });
const bash: ScriptTurn = { content: [{ type: "tool_use", name: "bash", input: { command: "ls" } }] };
const oneRound = (request: ScriptRequest): ScriptTurn => (request.results.size > 0 ? say("done") : bash);

test("one refused write neither strands the session nor loses the next wake", async () => {
  rig = await startRig([say("Hi."), say("Hi again.")]);
  const emitEvents = rig.ledger.emitEvents.bind(rig.ledger);
  let failed = false;
  rig.ledger.emitEvents = (id, events, lease) => {
    if (lease === undefined || failed) return emitEvents(id, events, lease);
    failed = true;
    return Promise.reject(new LedgerWriteError("the disk is full"));
  };
  const id = await rig.create("Hello.");
  await rig.orchestrator.settled(id);
  expect(rig.errors).toHaveLength(1);
  await rig.send(id, message("Still there?"));
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  const record = await rig.ledger.getSession(id);
  expect(record?.fold).toMatchObject({ phase: "idle", inputs: [], cut_offs: 0 });
  expect(record?.lease).toBeNull();
});

test("a process that dies while it loads a session is counted before anything is loaded", async () => {
  rig = await startRig([say("Hi.")]);
  const id = await rig.create();
  await rig.send(id, message("Hello."));
  const getEvents = rig.ledger.getEvents.bind(rig.ledger);
  for (let death = 1; death <= 3; death++) {
    const dead = { id: `lhh_${death}`, boot_id: "b", pid: 1, pid_started_at: 1 };
    await rig.ledger.acquireLease(id, dead, 30_000, "engine_start");
    // Loading the whole log is what kills it: only the short look at the log's end gets through.
    rig.ledger.getEvents = (session, range) => {
      if (range?.limit === undefined) throw new Error("killed");
      return getEvents(session, range);
    };
    await rig.restart().recover(true);
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.cut_offs).toBe(death);
  }
});

test("a message that was sent and stopped before its session started is not run", async () => {
  rig = await startRig([say("never")]);
  const id = await rig.create();
  await rig.send(id, message("Delete everything."), { type: "user.interrupt" });
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  expect(rig.server.requests).toHaveLength(0);
  const events = await rig.events(id);
  expect(of(events, "session.status_running")).toHaveLength(1);
  expect(of(events, "session.status_idle")).toMatchObject([{ stop_reason: { type: "end_turn" } }]);
  expect((await rig.ledger.getSession(id))?.fold.inputs).toEqual([]);
});

test("an answer with a tool call that cannot be read is a failed request, not the end of the turn", async () => {
  const broken: ScriptTurn = {
    content: [{ type: "tool_use", name: "bash", input: {}, partial_json: '{"command": oops' }],
    stop_reason: "tool_use",
  };
  rig = await startRig([broken, say("Better.")]);
  const id = await rig.create("Hello.");
  await expect.poll(async () => of(await rig.events(id), "agent.message").length, { timeout: 5_000 }).toBe(1);
  expect(of(await rig.events(id), "session.error")).toHaveLength(1);
});

test("the tool calls of a refused answer do not run", async () => {
  rig = await startRig([
    {
      content: [{ type: "tool_use", name: "bash", input: { command: "rm" } }],
      stop_reason: "refusal",
      stop_details: { type: "refusal", category: "cyber", explanation: null },
    },
  ]);
  const id = await rig.create("Hello.");
  await rig.orchestrator.settled(id);
  expect(rig.sandbox.executions).toEqual([]);
  expect(rig.server.requests).toHaveLength(1);
  const idle = of(await rig.events(id), "session.status_idle");
  expect(idle).toMatchObject([{ stop_reason: { type: "refusal" } }]);
});

test("after the limit of tool rounds a person's resume goes on", async () => {
  rig = await startRig((request) => (request.turn < 3 ? bash : say("At last.")), { max_rounds: 2 });
  const id = await rig.create("Go.");
  await rig.orchestrator.settled(id);
  expect(of(await rig.events(id), "session.error")[0]?.error.type).toBe("tool_use_limit_reached_error");
  await rig.send(id, { type: "longhaul.resume_requested", by: "user" });
  await rig.orchestrator.wake(id, "user");
  await rig.orchestrator.settled(id);
  expect(of(await rig.events(id), "agent.message")).toHaveLength(1);
});

test("an interrupt and a shutdown do not wait for a sandbox that is being made", async () => {
  rig = await startRig(oneRound);
  let ready: () => void = () => undefined;
  const provision = rig.sandbox.provision.bind(rig.sandbox);
  rig.sandbox.provision = async (request) => {
    await new Promise<void>((resolve) => {
      ready = resolve;
    });
    return provision(request);
  };
  const id = await rig.create("Look.");
  await expect.poll(() => rig.types(id)).toContain("longhaul.tool_started");
  await rig.send(id, { type: "user.interrupt" });
  await expect.poll(() => rig.types(id)).toContain("session.status_idle");
  expect(rig.sandbox.executions).toEqual([]);
  await rig.orchestrator.drain();
  ready();
});

test("the time in which no engine was there is not active time", () => {
  const at = (seconds: number): string => new Date(1_700_000_000_000 + seconds * 1000).toISOString();
  const log: [number, object][] = [
    [0, { type: "longhaul.session_created", session: snapshot() }],
    [0, { type: "session.status_running" }],
    [10, { type: "longhaul.cut_off", cause: "shutdown", last_event_at: at(10), noticed_at: at(10) }],
    [36_010, { type: "span.model_request_start" }],
    [36_020, { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null }],
  ];
  const events = log.map(([seconds, event], index) => ({
    seq: index + 1,
    session_id: "sesn_1",
    thread_id: "sthr_1",
    created_at: at(seconds),
    event: { id: `sevt_${index}`, processed_at: at(seconds), ...event } as StoredEvent["event"],
  }));
  expect(foldAll(events)?.active_ms).toBe(20_000);
});
