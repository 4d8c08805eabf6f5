import { expect, test } from "vitest";
import { buildTimeline } from "./append.ts";
import { LogBuilder, sampleSnapshot } from "./testing/log_builder.ts";

const { multiagent: _, ...agent } = sampleSnapshot("sesn_threads").agent;
const USAGE = { input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };

/** Two threads ask the model at the same time, and each answers with a call of its own. */
function interleaved(): LogBuilder {
  const log = new LogBuilder("sesn_threads", Date.UTC(2026, 2, 1)).create().turn("Split it.");
  log.add({
    type: "longhaul.thread_created",
    spawned_thread_id: "sthr_child",
    parent_thread_id: "sthr_threads",
    agent: { ...agent, name: "tester" },
    tool_use_id: null,
  });
  const content = [{ type: "text" as const, text: "Test it.\nAll of it." }];
  log.add({ type: "agent.thread_message_sent", to_session_thread_id: "sthr_child", to_agent_name: "tester", content });
  log.add({ type: "span.model_request_start", id: "sevt_lead" });
  log.add({ type: "span.model_request_start", id: "sevt_child", thread_id: "sthr_child" });
  log.add({ type: "agent.tool_use", id: "sevt_of_lead", name: "bash", input: { command: "ls" } });
  log.add({
    type: "agent.tool_use",
    id: "sevt_of_child",
    thread_id: "sthr_child",
    name: "bash",
    input: { command: "npm test" },
  });
  for (const [span, thread_id] of [
    ["sevt_lead", "sthr_threads"],
    ["sevt_child", "sthr_child"],
  ] as const) {
    log.add({
      type: "span.model_request_end",
      thread_id,
      model_request_start_id: span,
      is_error: false,
      model_usage: USAGE,
    });
  }
  return log;
}

test("a call belongs to its own thread's request, and rows of a spawned thread name its agent", () => {
  const { rows } = buildTimeline(interleaved().events);
  expect(rows.get("sevt_of_lead")).toMatchObject({ parent: "sevt_lead", who: null });
  expect(rows.get("sevt_of_child")).toMatchObject({ parent: "sevt_child", who: "tester", thread: "sthr_child" });
  expect(rows.get("sevt_lead")).toMatchObject({ calls: ["bash"], who: null });
  expect(rows.get("sevt_child")).toMatchObject({ calls: ["bash"], who: "tester" });
});

test("a cut closes the requests of every thread that had one in flight", () => {
  const log = new LogBuilder("sesn_threads", Date.UTC(2026, 2, 1)).create().turn("Split it.");
  log.add({ type: "span.model_request_start", id: "sevt_lead" });
  log.add({ type: "span.model_request_start", id: "sevt_child", thread_id: "sthr_child" });
  const last_event_at = log.iso();
  log.wait(60_000);
  log.add({
    type: "longhaul.cut_off",
    cause: "engine_died",
    last_event_at,
    noticed_at: log.iso(),
    calls_in_flight: [],
    model_request_in_flight: "sevt_child",
  });
  const rows = [...buildTimeline(log.events).rows.values()];
  expect(rows.filter((row) => row.kind === "request").map(({ state }) => state)).toEqual(["cut_off", "cut_off"]);
  const cut = rows.find((row) => row.kind === "notice" && row.code === "cut_off");
  expect(cut).toMatchObject({ detail: "2\u00a0model requests in flight" });
});

test("a new thread and what agents say to each other are told in a line, the whole text on opening", () => {
  const notices = [...buildTimeline(interleaved().events).rows.values()].filter((row) => row.kind === "notice");
  expect(notices.find(({ code }) => code === "thread")?.what).toBe("tester was given a thread of its own");
  const said = notices.find(({ code }) => code === "thread_message");
  expect(said).toMatchObject({ what: "To tester: Test it.", detail: "Test it.\nAll of it." });
});
