import { describe, expect, it } from "vitest";
import { buildTimeline } from "./append.ts";
import type { NoticeRow, RequestRow, Row, ToolRow } from "./row.ts";
import { LogBuilder } from "./testing/log_builder.ts";
import type { Timeline } from "./timeline.ts";

const START = Date.parse("2026-11-22T14:00:00.000Z");
const log = (): LogBuilder => new LogBuilder("sesn_000001", START).create();

const rows = (timeline: Timeline, kind: Row["kind"]): Row[] =>
  [...timeline.rows.values()].filter((row) => row.kind === kind);
const tools = (timeline: Timeline): ToolRow[] => rows(timeline, "tool") as ToolRow[];
const notices = (timeline: Timeline): NoticeRow[] => rows(timeline, "notice") as NoticeRow[];

describe("a turn that rests for somebody", () => {
  const waits = (ask: boolean, custom: boolean): string | undefined => {
    const builder = log().turn("go");
    const own = builder.answer(builder.request(), { calls: [{ name: "bash", input: { command: "make" }, ask }] });
    const lookup = custom ? [builder.add({ type: "agent.custom_tool_use", name: "lookup", input: {} })] : [];
    if (custom && !ask) builder.result(own[0] ?? "", "made");
    builder.asks(custom && !ask ? lookup : [...own, ...lookup]);
    return buildTimeline(builder.events).turns.at(-1)?.state;
  };

  it("says for whom: a person before a worker and a program", () => {
    expect([waits(true, false), waits(true, true)]).toEqual(["waiting", "waiting"]);
    expect([waits(false, false), waits(false, true)]).toEqual(["worker", "program"]);
  });
});

describe("a turn", () => {
  const builder = log().wait(1000).turn("fix the flaky test\nplease").wait(10);
  const span = builder.request();
  builder.wait(2100);
  const [bash = "", edit = ""] = builder.answer(span, {
    text: "Reading the failing test…",
    calls: [
      { name: "bash", input: { command: "npm test -- ledger" } },
      { name: "edit", input: { file_path: "/workspace/src/a.ts", old_string: "a\nb\nc", new_string: "a\nx\ny\nc" } },
    ],
  });
  builder.start(bash).start(edit).wait(3).result(edit, "edited").wait(4197).result(bash, "boom\nexit 1", true);
  const second = builder.wait(5).request(6);
  builder.wait(900).answer(second, { text: "Done." });
  builder.idle();
  const timeline = buildTimeline(builder.events);
  const turn = timeline.turns[1];

  it("holds what was done for the message", () => {
    expect(timeline.turns).toHaveLength(2);
    expect(turn).toMatchObject({ number: 1, requests: 2, tools: 2, failures: 1, state: "done" });
    const first = timeline.children.get("turn-1")?.map((id) => timeline.rows.get(id));
    expect(first?.map((row) => row?.kind)).toEqual(["message", "notice", "request", "request"]);
    expect(first?.[0]?.what).toBe("fix the flaky test");
  });

  it("adds up tokens and the time it ran", () => {
    expect(turn?.usage.input_tokens).toBe(80);
    expect(turn?.usage.cache_creation_input_tokens).toBe(12_800);
    expect(turn?.activeMs).toBe(10 + 2100 + 3 + 4197 + 5 + 900);
  });

  it("describes calls, groups them under their request and times them from dispatch", () => {
    const [first, second] = tools(timeline);
    expect(first).toMatchObject({ name: "bash", what: "npm test -- ledger", state: "failed", exit: 1, parent: span });
    expect(first && first.end !== null && first.startedAt !== null && first.end - first.startedAt).toBe(4200);
    expect(second).toMatchObject({ what: "src/a.ts", state: "ok", delta: { added: 2, removed: 1 } });
    expect((timeline.rows.get(span) as RequestRow).calls).toEqual(["bash", "edit"]);
    expect((timeline.rows.get(span) as RequestRow).what).toBe("Reading the failing test…");
  });

  it("finds the row of any event", () => {
    const result = builder.events.find((stored) => stored.event.type === "agent.tool_result");
    expect(timeline.rowOf.get(result?.event.id ?? "")).toBe(edit);
  });

  it("ends the lease's row with its release", () => {
    const lease = notices(timeline).find((row) => row.code === "lease");
    expect(lease).toMatchObject({ turn: 1, end: builder.now });
  });
});

describe("messages", () => {
  it("stay queued until they are consumed, and open turns in the order of consumption", () => {
    const builder = log().turn("first");
    const late = builder.message("third");
    const early = builder.message("second");
    expect(buildTimeline(builder.events).queued).toEqual([late, early]);
    builder.add({ type: "longhaul.inputs_consumed", event_ids: [early] });
    builder.add({ type: "longhaul.inputs_consumed", event_ids: [late] });
    const timeline = buildTimeline(builder.events);
    expect(timeline.queued).toEqual([]);
    expect(timeline.children.get("turn-2")).toEqual([early]);
    expect(timeline.children.get("turn-3")).toEqual([late]);
    expect(timeline.turns[1]?.end).not.toBeNull();
  });
});

describe("approvals", () => {
  const builder = log().turn("deploy");
  const [call = ""] = builder.answer(builder.request(), {
    calls: [{ name: "bash", input: { command: "./deploy" }, ask: true }],
  });
  builder.asks([call]);

  it("wait and keep the turn open", () => {
    const timeline = buildTimeline(builder.events);
    expect(tools(timeline)[0]).toMatchObject({ state: "waiting", asked: true });
    expect(timeline.turns[1]).toMatchObject({ state: "waiting", end: null, runningSince: null });
  });

  it("are settled by the first answer", () => {
    const answer = (result: "allow" | "deny", deny_message: string | null): void =>
      void builder.add({ type: "user.tool_confirmation", tool_use_id: call, result, deny_message });
    answer("deny", "not today");
    answer("allow", null);
    expect(tools(buildTimeline(builder.events))[0]).toMatchObject({
      state: "denied",
      confirmation: { result: "deny", message: "not today" },
    });
  });
});

describe("a cut", () => {
  const builder = log().turn("migrate");
  const [first = "", second = ""] = builder.answer(builder.request(), {
    calls: [
      { name: "bash", input: { command: "make" } },
      { name: "bash", input: { command: "curl -X POST x" } },
    ],
  });
  builder.start(first).start(second).wait(5000);
  const diedAt = builder.iso();
  builder.wait(60_000).wake("engine_start", 5000, "lhh_4121");
  const cut = builder.add({
    type: "longhaul.cut_off",
    cause: "engine_died",
    last_event_at: diedAt,
    noticed_at: builder.iso(),
    calls_in_flight: [first, second],
    model_request_in_flight: null,
  });
  const before = buildTimeline(builder.events);
  builder.start(first, 2).result(first, "built");
  builder.add({ type: "longhaul.call_settled", tool_use_id: first, how: "collected" });
  builder.result(second, "The run was cut off", true);
  builder.add({ type: "longhaul.call_settled", tool_use_id: second, how: "outcome_unknown" });
  builder.add({ type: "longhaul.outcome_unknown", tool_use_id: second, tool_name: "bash", message: "…" });
  const after = buildTimeline(builder.events);

  it("says when and why, and draws the time without an engine", () => {
    const row = before.rows.get(cut) as NoticeRow;
    expect(row).toMatchObject({ code: "cut_off", at: Date.parse(diedAt), detail: "2\u00a0calls in flight" });
    expect(before.gaps).toEqual([{ kind: "no_engine", from: row.at, to: row.end, row: cut }]);
    expect(tools(before).map((row) => row.state)).toEqual(["cut_off", "cut_off"]);
    expect(before.turns[1]?.activeMs).toBe(5000);
  });

  it("ends the dead engine's lease at its last sign of life", () => {
    const [old, fresh] = notices(before).filter((row) => row.code === "lease");
    expect(old).toMatchObject({ tone: "bad" });
    expect(old?.end).toBeLessThan(fresh?.at ?? 0);
    expect(fresh?.end).toBeNull();
  });

  it("shows what became of each call", () => {
    expect(tools(after).map((row) => [row.state, row.settled])).toEqual([
      ["ok", "collected"],
      ["unknown", "outcome_unknown"],
    ]);
    expect(notices(after).filter((row) => row.tone === "unknown")).toHaveLength(1);
  });
});

describe("failures", () => {
  it("keep a failed request, its error and the retry, and resume the same turn after a stop", () => {
    const builder = log().turn("go");
    const span = builder.request();
    builder.add({ type: "longhaul.model_request_abandoned", model_request_start_id: span, cause: "failed" });
    const error = {
      type: "model_overloaded_error" as const,
      message: "Overloaded",
      retry_status: { type: "exhausted" as const },
    };
    builder.add({ type: "session.error", error });
    builder.add({ type: "session.status_idle", stop_reason: { type: "retries_exhausted" }, stop_details: null });
    builder.rest();
    expect(buildTimeline(builder.events).turns[1]).toMatchObject({ state: "stopped" });
    builder.add({ type: "longhaul.resume_requested", by: "user" });
    builder.wake("user", 4121);
    builder.request();
    const timeline = buildTimeline(builder.events);
    expect(timeline.turns).toHaveLength(2);
    expect(timeline.turns[1]).toMatchObject({ state: "open", end: null, requests: 2 });
    expect((timeline.rows.get(span) as RequestRow).state).toBe("failed");
    expect(timeline.held).toEqual([]);
  });
});
