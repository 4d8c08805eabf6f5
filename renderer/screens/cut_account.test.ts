import { describe, expect, it } from "vitest";
import { foldAll } from "../../main/contract/fold.ts";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { unfinishedWork } from "../../main/contract/work.ts";
import { buildTimeline } from "../timeline/append.ts";
import { LogBuilder } from "../timeline/testing/log_builder.ts";
import { accountOf, type CutAccount } from "./cut_account.ts";

function tell(builder: LogBuilder): CutAccount {
  const fold = foldAll(builder.events);
  if (fold === null) throw new Error("the log must begin with its creation");
  const summary: SessionSummary = {
    id: builder.sessionId,
    fold,
    activity: null,
    work: unfinishedWork(fold, builder.now),
  };
  return accountOf(summary, buildTimeline(builder.events));
}

function working(): { builder: LogBuilder; first: string; second: string } {
  const builder = new LogBuilder("sesn_000001", Date.parse("2026-11-22T14:00:00Z")).create().turn("go");
  const calls = [
    { name: "bash", input: { command: "make" } },
    { name: "bash", input: { command: "deploy" } },
  ];
  const [first = "", second = ""] = builder.answer(builder.request(), { calls });
  return { builder, first, second };
}

function cut(builder: LogBuilder, calls: string[]): void {
  const last_event_at = builder.iso();
  builder.wait(60_000).wake("engine_start", 99, "lhh_4121");
  builder.add({
    type: "longhaul.cut_off",
    cause: "engine_died",
    last_event_at,
    noticed_at: builder.iso(),
    calls_in_flight: calls,
    model_request_in_flight: null,
  });
}

describe("the account of a cut", () => {
  it("promises nothing about a call that was in flight", () => {
    const { builder, first, second } = working();
    builder.start(first);
    cut(builder, [first]);
    const account = tell(builder);
    expect(account.cause).toMatch(/^Cut off: the engine died at /);
    expect(account.known.map((item) => [item.id, item.state])).toEqual([
      [first, "It was in flight. The sandbox is asked what became of it."],
      [second, "It had not started."],
    ]);
    expect(account.plan).toContain("re-attaches");
    expect(account.plan).toContain("runs the call that had not started");
  });

  it("tells what was settled since the cut, and what stays unknown", () => {
    const { builder, first, second } = working();
    builder.result(first, "early");
    builder.start(second);
    cut(builder, [second]);
    builder.result(second, "?", true);
    builder.add({ type: "longhaul.call_settled", tool_use_id: second, how: "outcome_unknown" });
    builder.add({ type: "longhaul.outcome_unknown", tool_use_id: second, tool_name: "bash", message: "?" });
    const account = tell(builder);
    expect(account.known.map((item) => [item.id, item.unknown])).toEqual([[second, true]]);
    expect(account.plan).toBe("asks the model to go on.");
  });

  it("gives the reason of a turn that died", () => {
    const { builder, first, second } = working();
    builder.result(first, "a").result(second, "b");
    const retry_status = { type: "exhausted" as const };
    builder.add({
      type: "session.error",
      error: { type: "billing_error", message: "No credit is left.", retry_status },
    });
    builder.add({ type: "session.status_idle", stop_reason: { type: "retries_exhausted" }, stop_details: null });
    expect(tell(builder).cause).toMatch(/^Stopped at .*retries were used up\. No credit is left\.$/);
  });

  it("promises nothing about calls that wait for somebody else", () => {
    const builder = new LogBuilder("sesn_000001", Date.parse("2026-11-22T14:00:00Z")).create().turn("go");
    const calls = [
      { name: "bash", input: { command: "deploy" }, ask: true },
      { name: "web_search", input: { query: "news" } },
    ];
    const [asked = "", search = ""] = builder.answer(builder.request(), { calls });
    builder.start(search);
    const account = tell(builder);
    const states = account.known.map(({ id, state }) => [id, state]);
    expect(states).toEqual([
      [asked, "It waits for your yes or no."],
      [search, "It was in flight. It changes nothing, so it is made again."],
    ]);
    expect(account.plan).not.toContain("had not started");
  });

  it("names the agents whose calls were in flight, and counts the answers that are asked for again", () => {
    const { builder, first } = working();
    const agent = foldAll(builder.events)?.agent;
    if (agent === undefined) throw new Error("the log must begin with its creation");
    const { multiagent: _, ...child } = agent;
    for (const name of ["tester", "writer"]) {
      const spawned_thread_id = `sthr_${name}`;
      builder.add({
        type: "longhaul.thread_created",
        spawned_thread_id,
        parent_thread_id: `sthr_${builder.sessionId}`,
        agent: { ...child, name },
        tool_use_id: null,
      });
      builder.add({ type: "span.model_request_start", thread_id: spawned_thread_id });
    }
    const input = { command: "npm test" };
    const theirs = builder.add({ type: "agent.tool_use", thread_id: "sthr_tester", name: "bash", input });
    builder.start(first);
    const account = tell(builder);
    expect(account.known.find(({ id }) => id === theirs)?.who).toBe("tester");
    expect(account.known.find(({ id }) => id === first)?.who).toBeNull();
    expect(account.plan).toContain("asks the model again for 2 agents");
  });

  it("copes with a log that has no word of the cut", () => {
    const { builder } = working();
    expect(tell(builder).cause).toMatch(/^Nothing has run it since /);
  });
});
