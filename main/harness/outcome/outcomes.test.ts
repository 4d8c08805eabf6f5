import { afterEach, describe, expect, test, vi } from "vitest";
import { say } from "../../../e2e/model_server/script.ts";
import { message, of, type Rig, snapshot, startRig, toolset } from "../../orchestration/testing/rig.ts";
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

describe("an outcome", () => {
  test("starts work without a message, is graded when the agent would end its turn, and ends the session's run", async () => {
    const id = await run((request) => {
      if (isGrading(request)) return verdict("satisfied", "It says hello.");
      return request.results.size === 0 ? bash("echo hello > hello.txt") : say("Done: hello.txt says hello.");
    });
    const types = (await rig.types(id)).filter((type) => !type.startsWith("longhaul."));
    expect(types).toEqual([
      "user.define_outcome",
      "session.status_running",
      "session.thread_status_running",
      "span.model_request_start",
      "agent.tool_use",
      "span.model_request_end",
      "agent.tool_result",
      "span.model_request_start",
      "agent.message",
      "span.model_request_end",
      "span.outcome_evaluation_start",
      "span.model_request_start",
      "span.model_request_end",
      "span.outcome_evaluation_end",
      "session.thread_status_idle",
      "session.usage",
      "session.status_idle",
    ]);
    const events = await rig.events(id);
    const [start] = of(events, "span.outcome_evaluation_start");
    const [end] = of(events, "span.outcome_evaluation_end");
    expect(start).toMatchObject({ outcome_id: "outc_01TEST", iteration: 0 });
    expect(end).toMatchObject({
      outcome_evaluation_start_id: start?.id,
      result: "satisfied",
      explanation: "It says hello.",
      iteration: 0,
    });
    expect(of(events, "session.status_idle").map(({ stop_reason }) => stop_reason.type)).toEqual(["end_turn"]);
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied", iteration: 0, evaluation: null });
    expect((await outcomeOf(rig, id))?.completed_at).not.toBeNull();
    expect(rig.server.requests.every(({ rejected }) => rejected === null)).toBe(true);
    expect(rig.errors).toEqual([]);
    // The agent was told the task and the rubric; the grader got both with the record of the work, and no other tools.
    expect(text(rig.server.requests[0]?.body?.messages)).toContain("The file says hello.");
    const grading = rig.server.requests.at(-1)?.body;
    expect(text(grading?.messages)).toContain("A greeting in hello.txt");
    expect(text(grading?.messages)).toContain("command: echo hello > hello.txt");
    expect(text(grading?.messages)).toContain("Done: hello.txt says hello.");
    expect(grading?.tools?.map(({ name }) => name)).toEqual(["report_verdict"]);
    expect(grading?.tool_choice).toBeUndefined();
    expect(grading?.model).toBe("claude-sonnet-5-5");
  });

  test("the grader's tokens count into the evaluation and into the session", async () => {
    const id = await run((request) => (isGrading(request) ? verdict("satisfied", "Yes.") : say("Done.")));
    const events = await rig.events(id);
    const used = of(events, "span.model_request_end").map(({ model_usage }) => model_usage);
    const [end] = of(events, "span.outcome_evaluation_end");
    expect(end?.usage).toEqual(used[1]);
    expect(end?.usage.output_tokens).toBeGreaterThan(0);
    const total = used.reduce((sum, { output_tokens }) => sum + output_tokens, 0);
    expect(of(events, "session.usage")[0]?.usage.output_tokens).toBe(total);
    expect((await rig.ledger.getSession(id))?.fold.usage.output_tokens).toBe(total);
  });

  test("each request, the grader's too, can be rebuilt from the events", async () => {
    const id = await run((request) => (isGrading(request) ? verdict("satisfied", "Yes.") : say("Done.")));
    const spans = of(await rig.events(id), "span.model_request_start");
    expect(spans).toHaveLength(2);
    for (const [index, span] of spans.entries()) {
      const rebuilt = await rebuildRequest(rig.ports, id, span.id);
      expect(rebuilt?.matches).toBe(true);
      expect(rebuilt?.request).toEqual(JSON.parse(rig.server.requests[index]?.raw.toString() ?? ""));
    }
  });

  test("a revision goes back to the agent with the explanation, and the bytes of its conversation stay", async () => {
    let asked = 0;
    const id = await run((request) => {
      if (!isGrading(request)) return say(`Version ${request.turn + 1}.`);
      asked += 1;
      return asked < 3 ? verdict("needs_revision", `Gap ${asked}.`) : verdict("satisfied", "All there.");
    });
    const events = await rig.events(id);
    expect(of(events, "span.outcome_evaluation_end").map(({ result, iteration }) => [result, iteration])).toEqual([
      ["needs_revision", 0],
      ["needs_revision", 1],
      ["satisfied", 2],
    ]);
    expect(of(events, "span.outcome_evaluation_start").map(({ iteration }) => iteration)).toEqual([0, 1, 2]);
    expect(of(events, "session.status_idle")).toHaveLength(1);
    expect(of(events, "session.status_running")).toHaveLength(1);
    const turns = rig.server.requests.filter((request) => !isGrading(request));
    expect(turns).toHaveLength(3);
    expect(text(turns[1]?.body?.messages.at(-1))).toContain("Gap 1.");
    expect(text(turns[1]?.body?.messages.at(-1))).toContain("Up to 2 more evaluations follow");
    expect(text(turns[2]?.body?.messages.at(-1))).toContain("One more evaluation follows");
    const head = turns[1]?.raw.subarray(0, -2) ?? Buffer.alloc(0);
    expect(turns[2]?.raw.subarray(0, head.length).equals(head)).toBe(true);
    // The next grading sees what the one before found.
    const second = gradings(rig)[1];
    expect(text(second?.body?.messages)).toContain("Gap 1.");
    // Its beginning is the first one's: served from the cache.
    const usage = of(events, "span.outcome_evaluation_end")[1]?.usage;
    expect(usage?.cache_read_input_tokens).toBeGreaterThan(0);
  });

  test("the last allowed evaluation that finds gaps is followed by one more turn and no evaluation", async () => {
    const id = await run((request) => (isGrading(request) ? verdict("needs_revision", "Still wrong.") : say("Here.")), {
      max_iterations: 2,
    });
    const events = await rig.events(id);
    expect(of(events, "span.outcome_evaluation_end").map(({ result }) => result)).toEqual([
      "needs_revision",
      "max_iterations_reached",
    ]);
    expect(of(events, "longhaul.continuation").map(({ cause }) => cause)).toEqual([
      "outcome_revision",
      "outcome_limit",
    ]);
    expect(of(events, "agent.message")).toHaveLength(3);
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "max_iterations_reached", iteration: 1 });
    expect(of(events, "session.status_idle")).toMatchObject([{ stop_reason: { type: "end_turn" } }]);
  });

  test("a rubric that does not apply ends the outcome", async () => {
    const id = await run((request) => (isGrading(request) ? verdict("failed", "They contradict.") : say("Here.")));
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "failed" });
    expect(of(await rig.events(id), "agent.message")).toHaveLength(1);
  });

  test("after one has ended another one is worked on, with the history before it", async () => {
    const id = await run((request) => (isGrading(request) ? verdict("satisfied", "Yes.") : say("Done.")));
    await send(rig, id, define({ outcome_id: "outc_02NEXT", description: "A farewell" }));
    const fold = (await rig.ledger.getSession(id))?.fold;
    expect(fold?.outcomes.map(({ id: outcome, result }) => [outcome, result])).toEqual([
      ["outc_01TEST", "satisfied"],
      ["outc_02NEXT", "satisfied"],
    ]);
    const grading = rig.server.requests.at(-1)?.body;
    expect(text(grading?.messages)).toContain("A farewell");
    expect(text(grading?.messages)).not.toContain("A greeting");
  });

  test("one that arrives in mid-turn waits for the open calls, and a message steers it", async () => {
    rig = await startRig((request) => {
      if (isGrading(request)) return verdict("satisfied", "Yes.");
      return request.results.size === 0 && request.turn === 0 ? bash("ls") : say("Done.");
    });
    const id = await rig.create();
    rig.sandbox.behaviour = async () => {
      await rig.send(id, define(), message("And be polite."));
      expect(await outcomeOf(rig, id)).toMatchObject({ result: "pending" });
      return "files";
    };
    await send(rig, id, message("Look around."));
    const second = rig.server.requests[1]?.body?.messages.at(-1)?.content as { type: string; content?: unknown }[];
    expect(second[0]).toMatchObject({ type: "tool_result", content: [{ text: "files" }] });
    expect(text(second)).toContain("A greeting in hello.txt");
    expect(text(second.at(-1))).toContain("And be polite.");
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
    expect(text(rig.server.requests.at(-1)?.body?.messages)).toContain("And be polite.");
  });

  test("a refused turn is not graded; the next message goes on with the outcome", async () => {
    let refused = false;
    const id = await run((request) => {
      if (isGrading(request)) return verdict("satisfied", "Yes.");
      if (refused) return say("Done.");
      refused = true;
      return { content: [{ type: "text", text: "I cannot." }], stop_reason: "refusal" };
    });
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "running", completed_at: null });
    expect(of(await rig.events(id), "session.status_idle")).toMatchObject([{ stop_reason: { type: "refusal" } }]);
    await send(rig, id, message("Try it differently."));
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
  });

  test("a compaction in between hides nothing from the grader", async () => {
    rig = await startRig(
      (request) => {
        if (isGrading(request)) return verdict("satisfied", "Yes.");
        if (request.lastText.includes("Write a summary")) return say("SUMMARY");
        if (request.results.size > 0 || request.lastText.includes("SUMMARY")) return say("Done.");
        return bash("echo evidence");
      },
      { compact_at_tokens: 100 },
    );
    const id = await rig.create();
    await send(rig, id, define());
    expect(await rig.types(id)).toContain("longhaul.compaction");
    expect(text(rig.server.requests.at(-1)?.body?.messages)).toContain("echo evidence");
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
    const last = of(await rig.events(id), "span.model_request_start").at(-1);
    expect((await rebuildRequest(rig.ports, id, last?.id ?? ""))?.matches).toBe(true);
  });

  test("a long evaluation gives signs of life, and none after its end", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      const id = await run(async (request) => {
        if (!isGrading(request)) return say("Done.");
        for (let beats = 0; beats < 2; beats++) vi.advanceTimersByTime(10_000);
        return verdict("satisfied", "Yes.");
      });
      vi.advanceTimersByTime(60_000);
      const types = await rig.types(id);
      expect(types.filter((type) => type === "span.outcome_evaluation_ongoing")).toHaveLength(2);
      expect(types.lastIndexOf("span.outcome_evaluation_ongoing")).toBeLessThan(
        types.indexOf("span.outcome_evaluation_end"),
      );
      expect(of(await rig.events(id), "span.outcome_evaluation_ongoing")[0]).toMatchObject({
        outcome_id: "outc_01TEST",
        iteration: 0,
      });
    } finally {
      vi.useRealTimers();
    }
  });

  test("nobody is shown the grader's words as if they were the agent's", async () => {
    const previews: string[] = [];
    rig = await startRig((request) => (isGrading(request) ? verdict("satisfied", "Yes.") : say("Done.")));
    const id = await rig.create();
    rig.ports.live.watch(id, (frame) => {
      if (frame.type === "preview" && frame.frame.type === "event_delta") previews.push(frame.frame.delta.content.text);
    });
    await send(rig, id, define());
    expect(previews.join("")).toBe("Done.");
    expect(of(await rig.events(id), "agent.message")).toHaveLength(1);
  });
});

test("an outcome waits for the agents that still work on it", async () => {
  const graded: number[] = [];
  rig = await startRig(async (request) => {
    if (isGrading(request)) {
      graded.push(request.index);
      return verdict("satisfied", "Yes.");
    }
    if (text(request.body.system).includes("You are the agent")) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return say("The child is done.");
    }
    if (request.lastText.includes("The child is done.")) return say("All done.");
    if (request.results.size > 0) return say("I wait.");
    return { content: [{ type: "tool_use", name: "send_to_agent", input: { agent: "Coder", message: "Help." } }] };
  });
  const { agent } = snapshot();
  const { multiagent: _, ...self } = agent;
  const id = await rig.create(undefined, {
    ...agent,
    tools: [toolset("always_allow")],
    multiagent: { type: "coordinator", agents: [{ ...self, type: "agent" }] } as never,
  });
  await rig.send(id, define());
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  expect(rig.errors).toEqual([]);
  const events = await rig.events(id);
  expect(of(events, "agent.message").map(({ content }) => text(content))).toEqual([
    expect.stringContaining("I wait."),
    expect.stringContaining("The child is done."),
    expect.stringContaining("All done."),
  ]);
  expect(graded).toHaveLength(1);
  expect(await outcomeOf(rig, id)).toMatchObject({ result: "satisfied" });
});
