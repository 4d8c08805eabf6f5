import { afterEach, describe, expect, test } from "vitest";
import { overloaded, say } from "../../../e2e/model_server/script.ts";
import { newId } from "../../contract/ids.ts";
import { message, of, type Rig, snapshot, startRig } from "../../orchestration/testing/rig.ts";
import { rebuildRequest } from "../context/rebuild.ts";
import { bash, define, gradings, isGrading, outcomeOf, runOutcome, send, verdict } from "./testing/outcomes.ts";

let rig: Rig;
afterEach(() => rig.close());

async function run(...[answers, more]: Parameters<typeof runOutcome>): Promise<string> {
  const started = await runOutcome(answers, more);
  rig = started.rig;
  return started.id;
}

const text = (body: unknown): string => JSON.stringify(body);

describe("a grader that fails", () => {
  test("is asked again like any model, and the evaluation counts once", async () => {
    let asked = 0;
    const id = await run((request) => {
      if (!isGrading(request)) return say("Done.");
      asked += 1;
      return asked < 3 ? overloaded() : verdict("satisfied", "Yes.");
    });
    await expect.poll(async () => (await outcomeOf(rig, id))?.result).toBe("satisfied");
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    expect(of(events, "span.outcome_evaluation_start")).toHaveLength(1);
    expect(of(events, "span.outcome_evaluation_end")).toMatchObject([{ result: "satisfied", iteration: 0 }]);
    expect(of(events, "session.status_rescheduled")).toHaveLength(2);
    expect(of(events, "agent.message")).toHaveLength(1);
    const gradingBodies = gradings(rig);
    expect(gradingBodies[1]?.raw.equals(gradingBodies[0]?.raw ?? Buffer.alloc(0))).toBe(true);
    expect((await rig.ledger.getSession(id))?.fold.failures).toBe(0);
  });

  test("is given up after the set number of failures, and the session rests", async () => {
    const id = await run((request) => (isGrading(request) ? overloaded() : say("Done.")));
    await expect.poll(async () => (await outcomeOf(rig, id))?.result, { timeout: 10_000 }).toBe("failed");
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    expect(of(events, "span.outcome_evaluation_end")).toMatchObject([
      { result: "failed", explanation: expect.stringContaining("could not be evaluated. Overloaded") },
    ]);
    expect(of(events, "session.status_idle")).toMatchObject([{ stop_reason: { type: "end_turn" } }]);
    await send(rig, id, message("Thanks."));
    expect(of(await rig.events(id), "agent.message")).toHaveLength(2);
  });

  test("a refused request ends the outcome at once", async () => {
    const refusal = { status: 403, error: { type: "permission_error" as const, message: "No access." } };
    const id = await run((request) => (isGrading(request) ? refusal : say("Done.")));
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "failed" });
    expect(rig.server.requests).toHaveLength(2);
  });

  test("too large for the endpoint: less of the work is shown, once", async () => {
    let asked = 0;
    const tooLong = {
      status: 400,
      error: { type: "invalid_request_error" as const, message: "prompt is too long: 9 tokens > 8 maximum" },
    };
    const id = await run((request) => {
      if (!isGrading(request)) {
        return request.turn < 5 ? bash(`echo ${"x".repeat(20_000)}`) : say("Done.");
      }
      asked += 1;
      return asked === 1 ? tooLong : verdict("satisfied", "Yes.");
    });
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
    const [first, second] = gradings(rig);
    expect(second?.raw.length).toBeLessThan((first?.raw.length ?? 0) / 1.3);
    expect(await rig.types(id)).not.toContain("longhaul.compaction");
    for (const span of of(await rig.events(id), "span.model_request_start")) {
      expect((await rebuildRequest(rig.ports, id, span.id))?.matches).toBe(true);
    }
    await rig.close();
    const never = await run((request) => (isGrading(request) ? tooLong : say("Done.")));
    expect(await outcomeOf(rig, never)).toMatchObject({ result: "failed" });
    expect(rig.server.requests).toHaveLength(3);
  });

  test("an answer without a verdict is a failure whose tokens count; JSON in the text is a verdict", async () => {
    let asked = 0;
    const id = await run((request) => {
      if (!isGrading(request)) return say("Done.");
      asked += 1;
      return asked === 1
        ? say("Looks {fine} to me.")
        : say('Here:\n```json\n{"result":"satisfied","explanation":"All {three} met."}\n```');
    });
    await expect.poll(async () => (await outcomeOf(rig, id))?.result).toBe("satisfied");
    const events = await rig.events(id);
    const [end] = of(events, "span.outcome_evaluation_end");
    expect(end).toMatchObject({ explanation: "All {three} met." });
    const used = of(events, "span.model_request_end").slice(1);
    expect(used.map(({ is_error }) => is_error)).toEqual([true, false]);
    expect(end?.usage.output_tokens).toBe(used.reduce((sum, { model_usage }) => sum + model_usage.output_tokens, 0));
  });

  test("a message that comes while it is waited for goes to the agent first; then it is graded", async () => {
    let asked = 0;
    const id = await run((request) => {
      if (!isGrading(request)) return say(`Version ${request.turn + 1}.`);
      asked += 1;
      return asked === 1 ? overloaded(3600) : verdict("satisfied", "Yes.");
    });
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "evaluating" });
    await send(rig, id, message("Better do it again."));
    const events = await rig.events(id);
    expect(of(events, "agent.message")).toHaveLength(2);
    expect(of(events, "span.outcome_evaluation_start")).toHaveLength(1);
    expect(of(events, "span.outcome_evaluation_end")).toMatchObject([{ result: "satisfied", iteration: 0 }]);
    expect(text(rig.server.requests.at(-1)?.body?.messages)).toContain("Better do it again.");
  });
});

test("a budget that is used up pauses before the evaluation; raised, it is made", async () => {
  let asked = 0;
  rig = await startRig((request) => {
    if (isGrading(request)) asked += 1;
    return isGrading(request) ? verdict("satisfied", "Yes.") : { ...say("Done."), output_tokens: 40_000 };
  });
  const limit = (amount: string) => ({ type: "limit" as const, max_list_cost: { amount, currency: "USD" as const } });
  const id = newId("session");
  const session = { ...snapshot({ model: { id: "claude-sonnet-4-6" } }), budget: limit("20") };
  await rig.ledger.createSession(id, [{ type: "longhaul.session_created", session }]);
  await send(rig, id, define());
  const paused = (await rig.ledger.getSession(id))?.fold;
  expect(paused).toMatchObject({ phase: "idle", stop_reason: { type: "budget_reached" }, awaiting_model: false });
  expect(asked).toBe(0);
  expect(await outcomeOf(rig, id)).toMatchObject({ result: "running" });
  // Neither a wake nor a person's resume makes a request that the budget does not allow.
  await send(rig, id, { type: "longhaul.resume_requested", by: "user" });
  expect(asked).toBe(0);
  expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "budget_reached" });
  await rig.send(id, { type: "session.updated", budget: limit("1000") });
  // Also for a process that finds it so.
  const next = rig.restart();
  await next.recover(true);
  await next.settled(id);
  expect(asked).toBe(1);
  expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
  expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "end_turn" });
  const costs = of(await rig.events(id), "longhaul.model_request").map(({ price }) => price);
  expect(costs).toEqual([expect.any(Object), expect.any(Object)]);
});

describe("an interrupt", () => {
  test("in the middle of an evaluation ends it, the outcome and the turn", async () => {
    rig = await startRig((request) => (isGrading(request) ? { kind: "hang" } : say("Done.")));
    const id = await rig.create();
    await rig.send(id, define());
    await rig.orchestrator.wake(id, "client_event");
    await expect.poll(() => rig.server.requests.length).toBe(2);
    expect((await rig.ledger.getSession(id))?.fold.phase).toBe("running");
    await rig.send(id, { type: "user.interrupt" });
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    const [start] = of(events, "span.outcome_evaluation_start");
    expect(of(events, "span.outcome_evaluation_end")).toMatchObject([
      { result: "interrupted", outcome_evaluation_start_id: start?.id, iteration: 0 },
    ]);
    expect(of(events, "session.status_idle")).toMatchObject([{ stop_reason: { type: "end_turn" } }]);
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "interrupted" });
    expect(of(events, "span.model_request_end")).toHaveLength(2);
    await expect.poll(() => rig.server.requests[1]?.aborted).toBe(true);
  });

  test("while the agent works ends the outcome with an end that has no start", async () => {
    rig = await startRig((request) => (request.turn === 0 ? { kind: "hang" } : say("Hello.")));
    const id = await rig.create();
    await rig.send(id, define());
    await rig.orchestrator.wake(id, "client_event");
    await expect.poll(() => rig.server.requests.length).toBe(1);
    await rig.send(id, { type: "user.interrupt" });
    await rig.orchestrator.settled(id);
    expect(of(await rig.events(id), "span.outcome_evaluation_end")).toMatchObject([
      { result: "interrupted", outcome_evaluation_start_id: "" },
    ]);
    expect(await rig.types(id)).not.toContain("span.outcome_evaluation_start");
    expect((await rig.types(id)).at(-2)).toBe("session.status_idle");
  });

  test("before it began drops it: the agent never hears of it", async () => {
    rig = await startRig([say("Just this.")]);
    const id = await rig.create();
    await send(rig, id, define(), { type: "user.interrupt" });
    expect(rig.server.requests).toHaveLength(0);
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "interrupted" });
    expect(of(await rig.events(id), "session.status_idle")).toHaveLength(1);
    await send(rig, id, message("Only this."));
    expect(text(rig.server.requests[0]?.body?.messages)).not.toContain("A greeting");
    await rig.send(id, { type: "user.interrupt" }, define({ outcome_id: "outc_02AFTER" }));
    expect(await outcomeOf(rig, id)).toMatchObject({ id: "outc_02AFTER", result: "pending" });
  });

  test("that came before the outcome leaves it alone", async () => {
    rig = await startRig((request) => (isGrading(request) ? verdict("satisfied", "Yes.") : say("Done.")));
    const id = await rig.create();
    await send(rig, id, { type: "user.interrupt" }, define());
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
  });
});
