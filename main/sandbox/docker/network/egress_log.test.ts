import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { EventDraft } from "../../../contract/events.ts";
import { type EgressDecision, EgressLog } from "./egress_log.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function rig() {
  const told: Extract<EventDraft, { type: "longhaul.egress" }>[] = [];
  const log = new EgressLog("sesn_1", (_session, event) => {
    if (event.type === "longhaul.egress") told.push(event);
  });
  return { log, told };
}

const seen = (host: string, decision: EgressDecision["decision"] = "allowed"): EgressDecision => ({
  host,
  port: 443,
  decision,
  reason: "a rule",
});

test("the same host, port and decision within a second are one event with their number", () => {
  const { log, told } = rig();
  for (let turn = 0; turn < 3; turn++) log.note(seen("a.test"));
  log.note(seen("a.test", "denied"));
  log.note({ ...seen("a.test"), port: 80 });
  expect(told).toEqual([]);
  vi.advanceTimersByTime(1_000);
  expect(told.map(({ port, decision, count }) => [port, decision, count])).toEqual([
    [443, "allowed", 3],
    [443, "denied", 1],
    [80, "allowed", 1],
  ]);
});

test("what goes on and on is told less and less often, and none is lost", () => {
  const { log, told } = rig();
  for (let second = 0; second < 3_600; second++) {
    log.note(seen("a.test", "denied"));
    vi.advanceTimersByTime(1_000);
  }
  log.flush();
  expect(told.length).toBeLessThan(80);
  expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(3_600);
});

test("ten thousand hosts do not make ten thousand events", () => {
  const { log, told } = rig();
  for (let index = 0; index < 10_000; index++) log.note(seen(`h${index}.test`, "denied"));
  log.flush();
  expect(told.length).toBeLessThanOrEqual(52);
  expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(10_000);
});

test("a host that was quiet for a while is told quickly again, and long texts are cut", () => {
  const { log, told } = rig();
  log.note(seen("a.test"));
  vi.advanceTimersByTime(10_000);
  log.note(seen("a.test"));
  vi.advanceTimersByTime(1_000);
  expect(told).toHaveLength(2);
  log.note({ ...seen("x".repeat(10_000)), reason: "y".repeat(10_000) });
  log.flush();
  expect(JSON.stringify(told.at(-1)).length).toBeLessThan(1_000);
});

test("a decision that falls after the end is told at once, and keeps nothing waiting", () => {
  const { log, told } = rig();
  log.note(seen("a.test"));
  log.close();
  log.note(seen("late.test", "denied"));
  expect(told.map(({ host, count }) => [host, count])).toEqual([
    ["a.test", 1],
    ["late.test", 1],
  ]);
  expect(vi.getTimerCount()).toBe(0);
  log.open();
  log.note(seen("a.test"));
  expect(told).toHaveLength(2);
  log.flush();
  expect(told).toHaveLength(3);
});
