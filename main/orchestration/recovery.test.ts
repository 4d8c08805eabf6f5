import { afterEach, describe, expect, test } from "vitest";
import type { ScriptRequest, ScriptTurn } from "../../e2e/model_server/script.ts";
import type { HarnessPorts } from "../harness/ports.ts";
import { SessionView } from "../harness/session_view.ts";
import { step } from "../harness/step.ts";
import { type Lease, StaleLeaseError } from "../session/ledger.ts";
import { message, of, type Rig, startRig } from "./testing/rig.ts";

let rig: Rig;
afterEach(() => rig.close());

const say = (text: string): ScriptTurn => ({ content: [{ type: "text", text }] });

function oneRound(request: ScriptRequest): ScriptTurn {
  if (request.results.size > 0) return say(`It said: ${[...request.results.values()][0]?.text}`);
  return { content: [{ type: "tool_use", name: "bash", input: { command: "make" } }] };
}

const DEAD = { id: "lhh_dead", boot_id: "earlier", pid: 7, pid_started_at: 7 };

/** Runs `steps` steps of a session as a process that then dies without a word: its lease stays unreleased. */
async function runAndDie(id: string, steps: number, ports: Partial<HarnessPorts> = {}): Promise<Lease> {
  const lease = await rig.ledger.acquireLease(id, DEAD, 30_000, "client_event");
  if (lease === null) throw new Error("the lease was not free");
  const view = await SessionView.open(rig.ledger, id);
  const never = new AbortController().signal;
  const signals = { interrupt: never, shutdown: never };
  for (let i = 0; i < steps; i++) {
    await step(view.primary, { ...rig.ports, ...ports }, (events) => view.emit(events, lease), signals);
  }
  view.close();
  return lease;
}

/** Dispatches a call as the dead process did; `result` settles when its sandbox has finished it. */
async function dispatch(id: string, callId = ""): Promise<{ result: Promise<string> }> {
  const { hand } = await rig.sandbox.provision();
  await rig.ledger.emitEvent(id, { type: "longhaul.tool_started", tool_use_id: callId, attempt: 1 });
  const call = { tool_use_id: callId, signal: new AbortController().signal };
  return { result: hand.execute("bash", { command: "make" }, call) };
}

describe("after a process died", () => {
  test("a finished call's result is collected, not made again", async () => {
    rig = await startRig(oneRound);
    const id = await rig.create();
    await rig.send(id, message("Build it."));
    await runAndDie(id, 1);
    const [use] = of(await rig.events(id), "agent.tool_use");
    // The call was dispatched and finished in its sandbox; its process died before the result was committed.
    await (await dispatch(id, use?.id)).result;
    await rig.restart().recover(true);
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
    const events = await rig.events(id);
    expect(rig.sandbox.executions).toHaveLength(1);
    expect(of(events, "longhaul.call_settled")).toMatchObject([{ how: "collected" }]);
    expect(of(events, "agent.tool_result")).toHaveLength(1);
    expect(of(events, "longhaul.cut_off")).toMatchObject([{ cause: "engine_died", calls_in_flight: [use?.id] }]);
  });

  test("a call that still runs is attached to", async () => {
    rig = await startRig(oneRound);
    let finish: (text: string) => void = () => undefined;
    rig.sandbox.behaviour = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const id = await rig.create();
    await rig.send(id, message("Build it."));
    await runAndDie(id, 1);
    const [use] = of(await rig.events(id), "agent.tool_use");
    await dispatch(id, use?.id);
    await rig.restart().recover(true);
    await expect.poll(() => rig.types(id)).toContain("longhaul.cut_off");
    finish("built");
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
    expect(rig.sandbox.executions).toHaveLength(1);
    expect(of(await rig.events(id), "longhaul.call_settled")).toMatchObject([{ how: "reattached" }]);
  });

  test("where the sandbox died too, the model and the person are told that nobody knows", async () => {
    rig = await startRig(oneRound);
    rig.sandbox.behaviour = () => new Promise(() => undefined);
    const id = await rig.create();
    await rig.send(id, message("Build it."));
    await runAndDie(id, 1);
    const [use] = of(await rig.events(id), "agent.tool_use");
    await dispatch(id, use?.id);
    rig.sandbox.die();
    await rig.restart().recover(true);
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
    const events = await rig.events(id);
    expect(rig.sandbox.executions).toHaveLength(1);
    expect(of(events, "longhaul.outcome_unknown")).toMatchObject([{ tool_use_id: use?.id, tool_name: "bash" }]);
    const [result] = of(events, "agent.tool_result");
    expect(result?.is_error).toBe(true);
    expect(JSON.stringify(result?.content)).toContain("may or may not have taken effect");
    expect(rig.server.requests.at(-1)?.rejected).toBeNull();
  });

  test("a model request that was in flight is closed and made again with the same bytes", async () => {
    rig = await startRig([{ kind: "hang" }, say("Here I am.")]);
    const id = await rig.create();
    await rig.send(id, message("Hello."));
    const lease = await rig.ledger.acquireLease(id, DEAD, 30_000, "client_event");
    const view = await SessionView.open(rig.ledger, id);
    const never = new AbortController().signal;
    const emit = (events: Parameters<SessionView["emit"]>[0]) => view.emit(events, lease as Lease);
    const dying = new AbortController();
    const request = step(view.primary, rig.ports, emit, { interrupt: never, shutdown: dying.signal });
    await expect.poll(() => rig.server.requests.length).toBe(1);
    dying.abort();
    await request;
    view.close();
    await rig.restart().recover(true);
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
    const events = await rig.events(id);
    expect(of(events, "span.model_request_end")).toMatchObject([{ is_error: true }, { is_error: false }]);
    expect(rig.server.requests[1]?.raw.equals(rig.server.requests[0]?.raw ?? Buffer.alloc(0))).toBe(true);
  });

  test("the late writes of the dead holder are refused", async () => {
    rig = await startRig([say("Hi.")]);
    const id = await rig.create();
    await rig.send(id, message("Hello."));
    const lease = await runAndDie(id, 1);
    await rig.restart().recover(true);
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
    const late = rig.ledger.emitEvent(id, { type: "longhaul.continuation", text: "late", cause: "max_tokens" }, lease);
    await expect(late).rejects.toThrow(StaleLeaseError);
  });

  test("a session that was being run at every death is left to the person after three of them", async () => {
    rig = await startRig([say("Hi.")]);
    const id = await rig.create();
    await rig.send(id, message("Hello."));
    for (let death = 0; death < 3; death++) {
      const lease = await runAndDie(id, 0);
      await rig.ledger.emitEvents(
        id,
        [
          {
            type: "longhaul.cut_off",
            cause: "engine_died",
            last_event_at: "2026-01-01T00:00:00.000Z",
            noticed_at: "2026-01-01T00:00:00.000Z",
            calls_in_flight: [],
            model_request_in_flight: null,
          },
        ],
        lease,
      );
      if (death < 2) await rig.ledger.releaseLease(lease, "shutdown");
    }
    const next = rig.restart();
    await next.recover(true);
    await next.settled(id);
    expect(rig.server.requests).toHaveLength(0);
    await rig.send(id, { type: "longhaul.resume_requested", by: "user" });
    await next.wake(id, "user");
    await next.settled(id);
    expect(rig.server.requests).toHaveLength(1);
  });

  test("without auto-resume only the cut is written down, and Resume goes on", async () => {
    rig = await startRig([say("Hi.")]);
    const id = await rig.create();
    await rig.send(id, message("Hello."));
    await runAndDie(id, 0);
    const next = rig.restart();
    await next.recover(false);
    expect(of(await rig.events(id), "longhaul.cut_off")).toHaveLength(1);
    expect(rig.server.requests).toHaveLength(0);
    expect((await rig.ledger.getSession(id))?.lease).toBeNull();
    await next.wake(id, "user");
    await next.settled(id);
    expect((await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
  });
});

describe("wake", () => {
  test("two wakes race: one runner, one request", async () => {
    rig = await startRig([{ content: [{ type: "text", text: "Once." }], first_byte_ms: 20 }]);
    const id = await rig.create();
    await rig.send(id, message("Hello."));
    const other = rig.orchestrator;
    await Promise.all([other.wake(id, "user"), other.wake(id, "client_event"), other.wake(id, "retry")]);
    await other.settled(id);
    expect(rig.server.requests).toHaveLength(1);
    expect((await rig.types(id)).filter((type) => type === "longhaul.lease_acquired")).toHaveLength(2);
  });

  test("two orchestrators on one ledger: the one without the lease leaves the session alone", async () => {
    rig = await startRig([{ content: [{ type: "text", text: "Once." }], first_byte_ms: 50 }]);
    const id = await rig.create();
    await rig.send(id, message("Hello."));
    const second = rig.restart();
    await second.wake(id, "user");
    await expect.poll(() => rig.server.requests.length).toBe(1);
    await rig.orchestrator.wake(id, "user");
    await Promise.all([second.settled(id), rig.orchestrator.settled(id)]);
    expect(rig.server.requests).toHaveLength(1);
  });

  test("at most the set number of sessions runs at once, in order of arrival", async () => {
    let running = 0;
    let most = 0;
    rig = await startRig(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 15));
      running -= 1;
      return say("ok");
    });
    const ids = await Promise.all(Array.from({ length: 6 }, () => rig.create("Go.")));
    expect(ids.some((id) => rig.orchestrator.activity(id) === "queued")).toBe(true);
    await Promise.all(ids.map((id) => rig.orchestrator.settled(id)));
    expect(most).toBe(2);
    expect(rig.server.requests).toHaveLength(6);
  });

  test("a shutdown leaves calls running in their sandbox and the next start collects them", async () => {
    rig = await startRig(oneRound);
    let finish: (text: string) => void = () => undefined;
    rig.sandbox.behaviour = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    const id = await rig.create("Build it.");
    await expect.poll(() => rig.sandbox.executions.length).toBe(1);
    await rig.orchestrator.drain();
    expect((await rig.types(id)).at(-1)).toBe("longhaul.lease_released");
    expect(of(await rig.events(id), "longhaul.cut_off")).toMatchObject([{ cause: "shutdown" }]);
    const next = rig.restart();
    await next.recover(true);
    finish("built");
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
    expect(rig.sandbox.executions).toHaveLength(1);
  });
});
