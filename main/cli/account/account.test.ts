import { describe, expect, test } from "vitest";
import type { TimelineFrame } from "../../contract/local_api.ts";
import { type AccountState, accountStep, EMPTY_ACCOUNT, whereItStands } from "./account.ts";
import { Recording } from "./testing/frames.ts";
import { styleFor } from "./words.ts";

const PLAIN = styleFor(false, "UTC");

function account(
  frames: readonly TimelineFrame[],
  from: AccountState = EMPTY_ACCOUNT,
): { text: string; state: AccountState } {
  let state = from;
  let text = "";
  for (const frame of frames) {
    const step = accountStep(state, frame, PLAIN);
    state = step.state;
    text += step.text;
  }
  return { text, state };
}

const lines = (recording: Recording) => account(recording.frames).text.trimEnd().split("\n");

describe("a task", () => {
  test("reads like a report: you, the model as it streams, calls with duration and outcome, tokens", () => {
    const recording = new Recording().task("Fix the bug").request("sp1").stream("m1", "Reading ", "the failing test…");
    recording.message("m1", "Reading the failing test…\nThen I fix it.", 2000);
    recording.call("t1", "bash", { command: "npm  test\n" }).answered("sp1", { stop_reason: "tool_use" });
    recording.add({ type: "longhaul.sandbox_provisioning", provider: "embedded", cause: "first_tool_call" }, 0);
    recording.add({ type: "longhaul.sandbox_ready", provider: "embedded", duration_ms: 130, adopted: false }, 130);
    recording.started("t1").result("t1", "1 failing\nAssertionError: 2 !== 3\n", true);
    recording.request("sp2").call("t2", "write", { file_path: "/workspace/a.js", content: "x" });
    recording
      .answered("sp2", { stop_reason: "tool_use" })
      .started("t2")
      .result("t2", "wrote 1 bytes to /workspace/a.js", false, 3);
    recording.request("sp3").message("m2", "Fixed.").answered("sp3").idle().released();
    expect(lines(recording)).toEqual([
      "10:00:02  you       Fix the bug",
      "10:00:02  model     Reading the failing test…",
      "                    Then I fix it.",
      "10:00:04  bash      npm test",
      "                    2.1 s, first token after 320 ms · 1.0 k tokens in (90 % cached) · 50 out",
      "10:00:04  sandbox   embedded: is made ready for the first tool call",
      "10:00:04  sandbox   embedded: ready · 130 ms",
      "10:00:08    failed  bash · 4.2 s",
      "                    1 failing",
      "                    AssertionError: 2 !== 3",
      "10:00:08  write     /workspace/a.js",
      "                    2.1 s, first token after 320 ms · 1.0 k tokens in (90 % cached) · 50 out",
      "10:00:08    ok      write · 3 ms · wrote 1 bytes to /workspace/a.js",
      "10:00:09  model     Fixed.",
      "                    2.1 s, first token after 320 ms · 1.0 k tokens in (90 % cached) · 50 out",
    ]);
    expect(account(recording.frames).state).toMatchObject({
      preview: null,
      calls: {},
      final_message: { seq: recording.last_seq - 4 },
    });
  });

  test("parallel calls: each result says whose it is", () => {
    const recording = new Recording()
      .task()
      .call("a", "bash", { command: "sleep 1" })
      .call("b", "grep", { pattern: "TODO" });
    recording.started("a").started("b").result("b", "x.ts:1:TODO\ny.ts:2:TODO").result("a", "");
    expect(lines(recording).slice(3)).toEqual([
      "10:00:06    ok      grep TODO · 4.2 s · 2 lines, last: y.ts:2:TODO",
      "10:00:10    ok      bash · 8.4 s",
    ]);
  });

  test("of a long failure the end is shown", () => {
    const output = Array.from({ length: 100 }, (_, n) => `line ${n}`).join("\n");
    const recording = new Recording()
      .task()
      .call("a", "bash", { command: "make" })
      .started("a")
      .result("a", output, true);
    expect(lines(recording).slice(2, 5)).toEqual([
      "10:00:06    failed  bash · 4.2 s",
      "                    … 94 lines before",
      "                    line 94",
    ]);
  });

  test("a second turn is announced, and a large body is shown as far as it goes", () => {
    const recording = new Recording().task().request("s").message("m", "One.").answered("s").idle().task("And now?");
    const marker = { longhaul_blob: "ab", bytes: 70_000, preview: "Begin" };
    recording.add({ type: "agent.message", content: [{ type: "text", text: marker as unknown as string }] });
    const text = account(recording.frames).text;
    expect(text).toContain("turn      2\n");
    expect(text).toContain("model     Begin… [70 k bytes in all]");
  });
});

describe("streaming", () => {
  test("text is printed as it arrives, and the rest of it when the whole is there", () => {
    const recording = new Recording().task().request("sp").stream("m", "One\ntw");
    expect(account(recording.frames).text).toMatch(/model {5}One\n {20}tw$/);
    recording.delta("m", "o").message("m", "One\ntwo\nthree");
    expect(account(recording.frames).text).toMatch(/model {5}One\n {20}two\n {20}three\n$/);
  });

  test("several content blocks stand on lines of their own", () => {
    const recording = new Recording().task().request("sp").stream("m", "first").delta("m", "second", 1);
    recording.add({
      type: "agent.message",
      id: "m",
      content: [
        { type: "text", text: "first" },
        { type: "text", text: "second" },
      ],
    });
    expect(account(recording.frames).text).toMatch(/model {5}first\n {20}second\n$/);
  });

  test("an answer that was cut off says so and is followed by the whole of the next", () => {
    const recording = new Recording().task().request("sp").stream("m", "Half an ans");
    recording.answered("sp", { error: true }).request("sp2").message("m2", "An answer.");
    expect(lines(recording).slice(1)).toEqual([
      "10:00:02  model     Half an ans",
      "                    (this answer was cut off; it is not part of the session)",
      "10:00:03  model     An answer.",
    ]);
  });

  test("after a new connection nothing is guessed: the message is printed in full", () => {
    const recording = new Recording()
      .task()
      .request("sp")
      .stream("m", "Some te")
      .caughtUp()
      .delta("m", "ng")
      .message("m", "Some text missing");
    const text = account(recording.frames).text;
    expect(text).not.toContain("Some teng");
    expect(text).toMatch(/Some te\n.*model {5}Some text missing\n$/);
  });

  test("rows that come between do not run into the text, which then goes on and is not repeated", () => {
    const recording = new Recording().task().request("sp").stream("m", "Thinking aloud");
    recording.add({ type: "longhaul.sandbox_ready", provider: "embedded", duration_ms: 3, adopted: false });
    expect(account(recording.frames).text).toMatch(/Thinking aloud\n10:00:03 {2}sandbox {3}embedded: ready · 3 ms\n$/);
    const silent = account(recording.frames);
    const end = account(new Recording().message("m", "Thinking aloud").frames.slice(1), silent.state);
    expect(end.text).toBe("");
    recording.delta("m", " more").message("m", "Thinking aloud more.");
    expect(account(recording.frames).text).toMatch(/ready · 3 ms\n.*model {6}more\.\n$/);
  });
});

describe("what else happens", () => {
  test("a cut-off, what was in flight, and how it was settled", () => {
    const recording = new Recording()
      .task()
      .call("a", "bash", { command: "npm test" })
      .call("b", "bash", { command: "deploy" });
    recording.started("a").started("b");
    recording.add({
      type: "longhaul.cut_off",
      cause: "engine_died",
      last_event_at: "2026-11-22T10:00:02.000Z",
      noticed_at: "2026-11-22T11:00:00.000Z",
      calls_in_flight: ["a", "b"],
      model_request_in_flight: null,
    });
    recording.add({ type: "longhaul.call_settled", tool_use_id: "a", how: "collected" });
    recording.add({ type: "longhaul.call_settled", tool_use_id: "b", how: "outcome_unknown" });
    recording.add({
      type: "longhaul.outcome_unknown",
      tool_use_id: "b",
      tool_name: "bash",
      message: "It may have taken effect.",
    });
    recording.started("a", 2);
    const text = account(recording.frames).text;
    expect(text).toContain("cut off   the engine died after 10:00:02; noticed at 11:00:00. Everything before is safe.");
    expect(text).toContain("in flight: bash npm test\n");
    expect(text).toContain("settled   bash finished in the sandbox meanwhile; its result was collected");
    expect(text).toContain("unknown   bash: It may have taken effect.");
    expect(text).toContain("bash      attempt 2 of the same call: npm test");
  });

  test("errors, retries, sleep, compaction, a lost sandbox, approvals", () => {
    const recording = new Recording().task();
    const error = {
      type: "model_overloaded_error" as const,
      message: "Overloaded",
      retry_status: { type: "retrying" as const },
    };
    recording.add({ type: "session.error", error });
    recording.add({
      type: "longhaul.retry_scheduled",
      attempt: 1,
      at: "2026-11-22T10:00:08.000Z",
      error_type: "model_overloaded_error",
      waits_for_network: false,
    });
    recording.add({
      type: "longhaul.sleep_gap",
      from: "2026-11-22T10:00:10.000Z",
      to: "2026-11-22T12:05:10.000Z",
      seconds: 7500,
    });
    recording.add({ type: "longhaul.sandbox_lost", provider: "embedded", reason: "its process was killed" });
    recording.add({
      type: "longhaul.compaction",
      model_request_start_id: "s",
      summary: "…",
      through_seq: 3,
      tokens_before: 150_000,
    });
    recording.call("t", "bash", { command: "rm -rf build" }, "ask");
    recording.add({ type: "user.tool_confirmation", tool_use_id: "t", result: "deny", deny_message: "too much" });
    expect(lines(recording).slice(1)).toEqual([
      "10:00:03  error     Overloaded (it is tried again)",
      "10:00:04  retry     attempt 2 in 4.0 s",
      "10:00:10  asleep    2 h 5 m, until 12:05:10",
      "10:00:06  sandbox   embedded is gone: its process was killed",
      "10:00:07  context   150 k tokens were summed up; the session itself stays complete",
      "10:00:07  bash      rm -rf build",
      "                    waits for your approval",
      "10:00:08  you       denied bash: too much",
    ]);
  });

  test("unknown events and a second result print nothing and break nothing", () => {
    const recording = new Recording().task().call("a", "bash", { command: "x" }).result("a", "done");
    const before = account(recording.frames).text;
    recording.result("a", "done again");
    recording.add({ type: "longhaul.of_a_later_version", payload: 1 } as unknown as Parameters<Recording["add"]>[0]);
    expect(account(recording.frames).text).toBe(before);
  });

  test("escape sequences of a model or a tool never reach the terminal", () => {
    const evil = "\u001b[2J\u001b]0;owned\u0007ok\u009b31m\rfake\u0000";
    const recording = new Recording().task(evil).request("sp").stream("m", evil).message("m", evil);
    recording.call("t", "bash", { command: evil }).result("t", evil, true);
    const codes = [...account(recording.frames).text].map((character) => character.charCodeAt(0));
    expect(codes.filter((code) => (code < 32 && code !== 10) || (code >= 127 && code < 160))).toEqual([]);
  });
});

test("before it goes on, a session that was cut off says by what; once it went on, no more", () => {
  const recording = new Recording().task().request("s");
  recording.add({
    type: "longhaul.cut_off",
    cause: "engine_died",
    last_event_at: "2026-11-22T10:00:02.000Z",
    noticed_at: "2026-11-22T11:00:00.000Z",
    calls_in_flight: [],
    model_request_in_flight: "s",
  });
  recording.released();
  const text = whereItStands(account(recording.frames).state, PLAIN);
  expect(text).toContain("cut off   the engine died after 10:00:02; noticed at 11:00:00. Everything before is safe.\n");
  expect(text).toContain("In flight: a model request since 10:00:02; it is sent again, unchanged.");
  recording.add({ type: "longhaul.resume_requested", by: "user" });
  expect(whereItStands(account(recording.frames).state, PLAIN)).not.toContain("cut off");
});

test("where a session stands: what is in flight and what never began", () => {
  const recording = new Recording()
    .task()
    .call("a", "bash", { command: "npm test" })
    .call("b", "edit", { file_path: "x" });
  recording.started("a");
  expect(whereItStands(account(recording.frames).state, PLAIN)).toBe(
    [
      "                    1 turn, 0 model requests, 2 tool calls so far; last event at 10:00:02.",
      "                    In flight: bash npm test (started 10:00:02); the sandbox is asked what became of it.",
      "                    Not started: edit x.",
      "",
    ].join("\n"),
  );
});

test("colours change nothing but colours", () => {
  const recording = new Recording()
    .task()
    .request("sp")
    .message("m", "Hi")
    .answered("sp")
    .call("t", "bash", {})
    .result("t", "x", true);
  let state = EMPTY_ACCOUNT;
  let text = "";
  for (const frame of recording.frames) {
    const step = accountStep(state, frame, styleFor(true, "UTC"));
    state = step.state;
    text += step.text;
  }
  expect(text).toContain("\u001b[");
  const introducer = String.fromCharCode(27);
  expect(text.replaceAll(new RegExp(`${introducer}\\[[0-9;]*m`, "g"), "")).toBe(account(recording.frames).text);
});
