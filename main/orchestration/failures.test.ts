import { afterEach, describe, expect, test } from "vitest";
import type { ScriptRequest, ScriptTurn } from "../../e2e/model_server/script.ts";
import { DEMO_MODEL } from "../contract/demo.ts";
import { retryDelayMs } from "../harness/steps/failure.ts";
import { CallInterrupted } from "../sandbox/port.ts";
import { message, of, type Rig, startRig } from "./testing/rig.ts";
import { Triggers } from "./triggers.ts";

let rig: Rig;
afterEach(() => rig.close());

const say = (text: string): ScriptTurn => ({ content: [{ type: "text", text }] });
const overloaded: ScriptTurn = { status: 529, error: { type: "overloaded_error", message: "Overloaded" } };

async function untilIdle(id: string): Promise<void> {
  await expect.poll(async () => (await rig.types(id)).at(-2), { timeout: 8_000 }).toBe("session.status_idle");
  await rig.orchestrator.settled(id);
}

describe("a model endpoint that fails", () => {
  test("transient errors are retried with a plan that everybody can see", async () => {
    rig = await startRig([overloaded, say("At last.")]);
    const id = await rig.create("Hello.");
    await expect.poll(() => rig.types(id)).toContain("session.status_rescheduled");
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "rescheduling", retry: { attempt: 1 } });
    await untilIdle(id);
    const events = await rig.events(id);
    expect(of(events, "session.error")).toMatchObject([
      { error: { type: "model_overloaded_error", retry_status: { type: "retrying" } } },
    ]);
    expect(of(events, "agent.message")).toHaveLength(1);
    expect((await rig.ledger.getSession(id))?.fold.error).toBeNull();
  });

  test.each([
    ["a cut stream", { content: [{ type: "text", text: "half" }], fault: { after: 3, kind: "end" } }],
    ["a reset in mid-stream", { content: [{ type: "text", text: "half" }], fault: { after: 3, kind: "reset" } }],
    [
      "garbage in the stream",
      {
        content: [{ type: "text", text: "x" }],
        fault: { after: 2, kind: "garbage", text: "event: content_block_delta\ndata: {oops\n\n" },
      },
    ],
    [
      "an error event",
      {
        content: [{ type: "text", text: "x" }],
        fault: { after: 2, kind: "error", error: { type: "api_error", message: "internal" } },
      },
    ],
    ["an HTML answer", { status: 502, body: "<html>bad gateway</html>" }],
    ["a dropped connection", { kind: "reset" }],
  ] as [string, ScriptTurn][])("recovers from %s without keeping half an answer", async (_name, fault) => {
    rig = await startRig([fault, say("Whole.")]);
    const id = await rig.create("Hello.");
    await untilIdle(id);
    const events = await rig.events(id);
    expect(of(events, "agent.message").map((event) => event.content)).toEqual([[{ type: "text", text: "Whole." }]]);
    expect(rig.server.requests.every((request) => request.rejected === null)).toBe(true);
  });

  test("gives the turn up after the set number of failures; Resume and a new message both go on", async () => {
    rig = await startRig([overloaded, overloaded, say("Back."), say("More.")], { max_failures: 1 });
    const id = await rig.create("Hello.");
    await untilIdle(id);
    const { fold } = (await rig.ledger.getSession(id)) ?? {};
    expect(fold).toMatchObject({ stopped: true, stop_reason: { type: "retries_exhausted" }, awaiting_model: true });
    await rig.send(id, { type: "longhaul.resume_requested", by: "user" });
    await rig.orchestrator.wake(id, "user");
    await rig.orchestrator.settled(id);
    await rig.send(id, message("More?"));
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(of(await rig.events(id), "agent.message")).toHaveLength(2);
    expect(rig.server.requests.every((request) => request.rejected === null)).toBe(true);
  });

  test.each([
    [401, "authentication_error", "model_request_failed_error"],
    [402, "billing_error", "billing_error"],
    [400, "invalid_request_error", "model_request_failed_error"],
  ] as const)("status %i is not repeated", async (status, type, shown) => {
    rig = await startRig([{ status, error: { type, message: "no" } }]);
    const id = await rig.create("Hello.");
    await untilIdle(id);
    expect(rig.server.requests).toHaveLength(1);
    expect(of(await rig.events(id), "session.error")).toMatchObject([
      { error: { type: shown, message: "no", retry_status: { type: "exhausted" } } },
    ]);
  });

  test("without an endpoint the demo does not go on with a session that a real model worked in", async () => {
    rig = await startRig([say("Real work."), say("I am a demo.")]);
    const id = await rig.create("Hello.");
    await untilIdle(id);
    rig.model.answersAs = DEMO_MODEL;
    await rig.send(id, message("Go on."));
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    expect(of(events, "agent.message")).toHaveLength(1);
    expect(of(events, "session.error").at(-1)?.error.message).toContain("longhaul model set");
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ stopped: true, awaiting_model: true });
  });

  test("retry delays grow, carry jitter, and honour what the endpoint asks for", () => {
    const failed = { kind: "failed" as const, retryAfterMs: null };
    expect([1, 2, 3, 20].map((attempt) => retryDelayMs(failed, attempt, 1))).toEqual([500, 1000, 2000, 60_000]);
    expect(retryDelayMs(failed, 1, 0)).toBe(250);
    expect(retryDelayMs({ kind: "rate_limited", retryAfterMs: 30_000 }, 1, 0)).toBe(30_000);
  });
});

describe("interrupt", () => {
  test("stops a streaming answer at once and keeps what was written", async () => {
    const words = "word ".repeat(200);
    rig = await startRig([{ content: [{ type: "text", text: words }], between_events_ms: 20 }, say("Next.")]);
    const id = await rig.create("Talk.");
    await new Promise<void>((resolve) => {
      rig.ports.live.join(id, (shown) => {
        if (shown.type === "preview" && shown.frame.type === "event_delta") resolve();
      });
    });
    await rig.send(id, { type: "user.interrupt" });
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    const [kept] = of(events, "agent.message");
    expect(words.startsWith(JSON.parse(JSON.stringify(kept?.content))[0].text)).toBe(true);
    expect(of(events, "session.status_idle")).toMatchObject([{ stop_reason: { type: "end_turn" } }]);
    await expect.poll(() => rig.server.requests[0]?.aborted).toBe(true);
    await rig.send(id, message("And now?"));
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.server.requests[1]?.rejected).toBeNull();
  });

  test("gives every running call one error result and starts no request", async () => {
    rig = await startRig((request: ScriptRequest) =>
      request.turn > 0 ? say("never") : { content: [{ type: "tool_use", name: "bash", input: { command: "sleep" } }] },
    );
    rig.sandbox.behaviour = () => new Promise(() => undefined);
    const id = await rig.create("Wait.");
    await expect.poll(() => rig.sandbox.executions.length).toBe(1);
    await rig.send(id, { type: "user.interrupt" });
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    expect(of(events, "agent.tool_result")).toMatchObject([{ is_error: true }]);
    expect(JSON.stringify(of(events, "agent.tool_result"))).toContain("interrupted before completion");
    expect(rig.server.requests).toHaveLength(1);
    expect((await rig.ledger.getSession(id))?.fold).toMatchObject({ phase: "idle", awaiting_model: false, calls: [] });
  });

  test("on an idle session it is a no-op, also when repeated", async () => {
    rig = await startRig([say("Hi.")]);
    const id = await rig.create("Hello.");
    await rig.orchestrator.settled(id);
    await rig.send(id, { type: "user.interrupt" }, { type: "user.interrupt" });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(of(await rig.events(id), "session.status_idle")).toHaveLength(1);
    expect((await rig.ledger.getSession(id))?.fold.inputs).toEqual([]);
  });
});

describe("compaction", () => {
  const long = (request: ScriptRequest): ScriptTurn => {
    if (request.lastText.includes("Write a summary")) return say("SUMMARY: the file is half done.");
    if (request.results.size > 0 && request.body.messages.length > 2) {
      return request.turn < 4
        ? { content: [{ type: "tool_use", name: "bash", input: { command: "more" } }] }
        : say("end");
    }
    if (request.lastText.includes("SUMMARY")) return say("Finished.");
    return { content: [{ type: "tool_use", name: "bash", input: { command: "start" } }] };
  };

  test("runs between tool rounds, keeps the ledger whole, and offers the way back", async () => {
    rig = await startRig(long, { compact_at_tokens: 300 });
    rig.sandbox.behaviour = async () => "x".repeat(2_000);
    const id = await rig.create("A long task.");
    await untilIdle(id);
    const events = await rig.events(id);
    expect(of(events, "agent.thread_context_compacted")).toHaveLength(1);
    expect(rig.server.requests.map((request) => request.rejected)).toEqual(rig.server.requests.map(() => null));
    const last = rig.server.requests.at(-1);
    expect(last?.body?.messages).toHaveLength(1);
    expect(last?.raw.toString()).toContain("SUMMARY: the file is half done.");
    expect(last?.body?.tools?.map((tool) => tool["name"])).toContain("session_events");
    expect(of(events, "agent.tool_result").length).toBeGreaterThan(0);
  });

  test("an answer that the context is too long leads to a shortened compaction, then goes on", async () => {
    let refused = 0;
    rig = await startRig((request) => {
      if (request.lastText.includes("Write a summary")) return say("SUMMARY");
      if (request.lastText.includes("SUMMARY")) return say("Finished.");
      if (request.results.size === 0)
        return { content: [{ type: "tool_use", name: "bash", input: { command: "cat" } }] };
      refused += 1;
      return {
        status: 400,
        error: { type: "invalid_request_error", message: "prompt is too long: 9 tokens > 5 maximum" },
      };
    });
    rig.sandbox.behaviour = async () => "y".repeat(50_000);
    const id = await rig.create("Read it all.");
    await untilIdle(id);
    expect(refused).toBe(1);
    const compaction = rig.server.requests.find((request) => request.raw.includes("Write a summary"));
    expect(compaction?.raw.length).toBeLessThan(20_000);
    expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "end_turn" });
  });
});

describe("hands that fail", () => {
  test("a call that its sandbox says was stopped gets a result and is not dispatched again", async () => {
    rig = await startRig((request) =>
      request.results.size > 0
        ? say("I see.")
        : { content: [{ type: "tool_use", name: "bash", input: { command: "ls" } }] },
    );
    rig.sandbox.behaviour = async () => {
      throw new CallInterrupted("stopped");
    };
    const id = await rig.create("Look.");
    await rig.orchestrator.settled(id);
    expect(of(await rig.events(id), "agent.tool_result")).toMatchObject([{ is_error: true }]);
    expect(rig.sandbox.executions).toHaveLength(1);
  });

  test("a sandbox that cannot be provisioned is a tool error, and the session goes on", async () => {
    rig = await startRig((request) =>
      request.results.size > 0
        ? say("I see.")
        : { content: [{ type: "tool_use", name: "bash", input: { command: "ls" } }] },
    );
    rig.sandbox.broken = new Error("no space left");
    const id = await rig.create("Look.");
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    expect(of(events, "agent.tool_result")).toMatchObject([{ is_error: true }]);
    expect(of(events, "longhaul.sandbox_lost")[0]?.reason).toContain("no space left");
    expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "end_turn" });
  });
});

describe("sleep", () => {
  test("a late timer is a gap: connections are dropped and running sessions are told", async () => {
    rig = await startRig((request) =>
      request.results.size > 0 ? say("ok") : { content: [{ type: "tool_use", name: "bash", input: { command: "x" } }] },
    );
    let finish: (text: string) => void = () => undefined;
    rig.sandbox.behaviour = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    let now = Date.parse("2026-01-01T00:00:00Z");
    const triggers = new Triggers({ orchestrator: rig.orchestrator, model: rig.model, now: () => now });
    const id = await rig.create("Wait.");
    await expect.poll(() => rig.sandbox.executions.length).toBe(1);
    now += 5_000;
    await triggers.check();
    expect(rig.model.dropped).toBe(0);
    now += 3_600_000;
    await triggers.check();
    expect(rig.model.dropped).toBe(1);
    expect(of(await rig.events(id), "longhaul.sleep_gap")).toMatchObject([{ seconds: 3600 }]);
    finish("done");
    await rig.orchestrator.settled(id);
  });

  test("a locked keychain is waited for, for ever and in pauses of a minute at most, and counts as no failure", async () => {
    const details = { error_code: "keychain_locked" };
    const error = { type: "api_error" as const, message: "The Secret Service is locked.", details };
    const locked = { status: 503, error };
    rig = await startRig([...Array.from({ length: 6 }, () => locked), say("Unlocked.")], { max_failures: 2 });
    const id = await rig.create("Hello.");
    for (let asked = 1; asked <= 6; asked++) {
      await expect.poll(() => rig.server.requests.length).toBe(asked);
      await rig.orchestrator.settled(id);
      const fold = (await rig.ledger.getSession(id))?.fold;
      expect(fold).toMatchObject({ phase: "rescheduling", failures: 1, retry: { waits_for_keychain: true } });
      await rig.orchestrator.networkIsBack("network");
    }
    await untilIdle(id);
    const events = await rig.events(id);
    const pauses = events.flatMap(({ created_at, event }) =>
      event.type === "longhaul.retry_scheduled"
        ? [Math.round((Date.parse(event.at) - Date.parse(created_at)) / 1000)]
        : [],
    );
    expect(pauses).toEqual([15, 30, 60, 60, 60, 60]);
    expect(of(events, "agent.message")).toHaveLength(1);
    expect(of(events, "session.error").map(({ error }) => error.retry_status.type)).toEqual(Array(6).fill("retrying"));
  });

  test("sessions that wait for the network go on when it is back, without waiting out their plan", async () => {
    rig = await startRig([
      {
        status: 502,
        error: { type: "api_error", message: "no route", details: { error_code: "endpoint_unreachable" } },
      },
      say("Online."),
    ]);
    const id = await rig.create("Hello.");
    await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.retry?.waits_for_network).toBe(true);
    await rig.orchestrator.settled(id);
    await rig.orchestrator.networkIsBack("network");
    await untilIdle(id);
    expect(of(await rig.events(id), "agent.message")).toHaveLength(1);
  });
});
