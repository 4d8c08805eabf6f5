/** The promises of the view-model for logs that nobody thought of: any prefix, any suffix, any batches. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EventDraft, StoredEvent } from "../../main/contract/events.ts";
import { appendEvents, buildTimeline } from "./append.ts";
import { Flattener, type Shape } from "./flatten.ts";
import { LogBuilder, sampleUsage } from "./testing/log_builder.ts";
import { emptyTimeline, type Timeline } from "./timeline.ts";

const id = fc.integer({ min: 1, max: 30 }).map((n) => `sevt_000001${n.toString().padStart(20, "0")}`);
const iso = fc.integer({ min: 0, max: 100_000 }).map((ms) => new Date(1_700_000_000_000 + ms).toISOString());
const pick = <T extends string>(...values: T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const text = [{ type: "text" as const, text: "some text\nmore" }];

const drafts: fc.Arbitrary<EventDraft>[] = [
  fc.record({ type: fc.constant("user.message"), content: fc.constant(text) }),
  fc.record({ type: fc.constant("user.interrupt") }),
  fc.record({ type: fc.constant("user.tool_confirmation"), tool_use_id: id, result: pick("allow", "deny") }),
  fc.record({ type: fc.constant("longhaul.inputs_consumed"), event_ids: fc.array(id, { maxLength: 4 }) }),
  fc.record({ type: fc.constant("span.model_request_start") }),
  fc.record({
    type: fc.constant("span.model_request_end"),
    model_request_start_id: id,
    is_error: fc.boolean(),
    model_usage: fc.constant(sampleUsage(2)),
  }),
  fc.record({
    type: fc.constant("longhaul.model_request_abandoned"),
    model_request_start_id: id,
    cause: pick("cut_off", "failed"),
  }),
  fc.record({ type: fc.constant("agent.message"), content: fc.constant(text) }),
  fc.record({
    type: fc.constant("agent.tool_use"),
    name: pick("bash", "edit", "odd"),
    input: fc.dictionary(pick("command", "file_path", "old_string", "x"), fc.jsonValue()),
    evaluated_permission: pick("allow", "ask", "deny"),
  }),
  fc.record({ type: fc.constant("longhaul.tool_started"), tool_use_id: id, attempt: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    type: fc.constant("agent.tool_result"),
    tool_use_id: id,
    content: fc.constant(text),
    is_error: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("longhaul.call_settled"),
    tool_use_id: id,
    how: pick("collected", "outcome_unknown", "denied"),
  }),
  fc.record({
    type: fc.constant("longhaul.outcome_unknown"),
    tool_use_id: id,
    tool_name: fc.constant("bash"),
    message: fc.string(),
  }),
  fc.record({
    type: fc.constant("longhaul.lease_acquired"),
    holder: fc.constant("lhh_1"),
    token: fc.constant(1),
    boot_id: fc.constant("b"),
    pid: fc.constant(1),
    reason: pick("client_event", "engine_start"),
    taken_over_from: fc.constantFrom(null, "lhh_0"),
  }),
  fc.record({
    type: fc.constant("longhaul.cut_off"),
    cause: pick("engine_died", "shutdown"),
    last_event_at: iso,
    noticed_at: iso,
    calls_in_flight: fc.array(id, { maxLength: 2 }),
    model_request_in_flight: fc.oneof(id, fc.constant(null)),
  }),
  fc.record({
    type: fc.constant("longhaul.sandbox_provisioning"),
    provider: fc.constant("docker"),
    cause: pick("replaced"),
  }),
  fc.record({
    type: fc.constant("longhaul.sandbox_step"),
    step: fc.string(),
    duration_ms: fc.nat(),
    error: fc.constantFrom(null, "x"),
  }),
  fc.record({
    type: fc.constant("longhaul.sandbox_ready"),
    provider: fc.constant("docker"),
    duration_ms: fc.nat(),
    adopted: fc.boolean(),
  }),
  fc.record({
    type: fc.constant("longhaul.sandbox_lost"),
    provider: fc.constant("docker"),
    reason: fc.string(),
  }),
  fc.record({
    type: fc.constant("longhaul.sandbox_checkpoint"),
    provider: fc.constant("docker"),
    checkpoint: fc.constantFrom(null, "copy:1"),
    size_bytes: fc.nat(),
    duration_ms: fc.nat({ max: 5000 }),
    error: fc.constantFrom(null, "no space left"),
  }),
  fc.record({
    type: fc.constant("longhaul.egress"),
    host: pick("a.example", "b.example"),
    port: fc.constantFrom(443, 80),
    decision: pick("allowed", "denied"),
    reason: fc.string(),
    count: fc.nat(),
  }),
  fc.record({
    type: fc.constant("longhaul.credential_used"),
    vault_id: fc.string(),
    credential_id: pick("vcrd_1", "vcrd_2"),
    route: pick("mcp", "git", "egress"),
    host: pick("a.example", "b.example"),
    decision: pick("allowed", "refused"),
    reason: fc.string(),
    count: fc.nat(),
  }),
  fc.record({
    type: fc.constant("longhaul.changes_brought_back"),
    mount_path: fc.string(),
    path: fc.string(),
    branch: fc.string(),
    commit: fc.string(),
  }),
  fc.record({ type: fc.constant("session.status_running") }),
  fc.record({
    type: fc.constant("session.status_idle"),
    stop_reason: fc.constantFrom({ type: "end_turn" as const }, { type: "retries_exhausted" as const }),
    stop_details: fc.constant(null),
  }),
  fc.constant({ type: "longhaul.of_a_later_version", surprise: { deep: [1] } } as unknown as EventDraft),
] as fc.Arbitrary<EventDraft>[];

const anyLog: fc.Arbitrary<StoredEvent[]> = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(fc.oneof(...drafts), fc.nat({ max: 5000 })), { maxLength: 60 }))
  .map(([created, steps]) => {
    const builder = new LogBuilder("sesn_000001", 1_700_000_000_000);
    if (created) builder.create();
    for (const [draft, ms] of steps) builder.wait(ms).add(draft);
    return builder.events;
  });

const SHAPE: Shape = { collapsed: new Set(), hiddenLanes: new Set() };
const picture = (timeline: Timeline): unknown => [
  timeline.turns,
  [...timeline.rows],
  timeline.queued,
  timeline.held,
  timeline.gaps,
];

describe("any log", () => {
  it("gives the same picture in whatever batches it arrives, repeated events included", () => {
    fc.assert(
      fc.property(anyLog, fc.nat(), fc.nat(), (events, a, b) => {
        const cut = events.length === 0 ? 0 : a % (events.length + 1);
        const overlap = Math.max(0, cut - (b % 4));
        const timeline = emptyTimeline();
        appendEvents(timeline, events.slice(0, cut));
        appendEvents(timeline, events.slice(overlap));
        expect(picture(timeline)).toEqual(picture(buildTimeline(events)));
      }),
    );
  });

  it("shows every row exactly once, under a turn that exists, for any slice", () => {
    fc.assert(
      fc.property(anyLog, fc.nat(), fc.nat(), (events, a, b) => {
        const [from = 0, to = 0] = [a % (events.length + 1), b % (events.length + 1)].sort((x, y) => x - y);
        const timeline = buildTimeline(events.slice(from, to));
        const lines = new Flattener().lines(timeline, SHAPE).filter((line) => line.kind === "row");
        expect(lines.map((line) => line.id).toSorted()).toEqual([...timeline.rows.keys()].toSorted());
        for (const row of timeline.rows.values()) {
          const loose = timeline.queued.includes(row.id) || timeline.held.includes(row.id);
          expect(loose || timeline.turns[row.turn] !== undefined).toBe(true);
        }
      }),
    );
  });

  it("flattens the same with and without its cache", () => {
    fc.assert(
      fc.property(anyLog, (events) => {
        const timeline = emptyTimeline();
        const flattener = new Flattener();
        for (const stored of events) {
          appendEvents(timeline, [stored]);
          flattener.lines(timeline, SHAPE);
        }
        expect(flattener.lines(timeline, SHAPE)).toEqual(new Flattener().lines(timeline, SHAPE));
      }),
    );
  });
});
