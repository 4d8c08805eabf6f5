import { describe, expect, it } from "vitest";
import { foldAll } from "../../main/contract/fold.ts";
import type { Activity, SessionSummary } from "../../main/contract/local_api.ts";
import { unfinishedWork } from "../../main/contract/work.ts";
import { LogBuilder } from "../timeline/testing/log_builder.ts";
import { approvals, canResume, groupOf, groupSessions, reasonOf, titleOf } from "./groups.ts";

function summarise(builder: LogBuilder, activity: Activity): SessionSummary {
  const fold = foldAll(builder.events);
  if (fold === null) throw new Error("the log must begin with its creation");
  return { id: builder.sessionId, fold, activity, work: unfinishedWork(fold, builder.now) };
}

const start = (): LogBuilder => new LogBuilder("sesn_000001", Date.parse("2026-11-22T14:00:00Z")).create();

function running(): LogBuilder {
  const builder = start().turn("go");
  builder.request();
  return builder;
}

function asking(): LogBuilder {
  const builder = start().turn("deploy");
  const calls = builder.answer(builder.request(), { calls: [{ name: "bash", input: { command: "x" }, ask: true }] });
  return builder.asks(calls);
}

describe("groups", () => {
  it("are running only while the engine says so", () => {
    expect(groupOf(summarise(running(), "running"))).toBe("running");
    expect(groupOf(summarise(running(), "queued"))).toBe("waiting");
  });

  it("need a person when work is left and nobody does it", () => {
    const cut = summarise(running(), null);
    expect([groupOf(cut), canResume(cut), reasonOf(cut)]).toEqual(["needs_you", true, "cut off"]);
  });

  it("need a person for an approval, not for a program's result", () => {
    const asked = summarise(asking(), null);
    expect([groupOf(asked), canResume(asked), reasonOf(asked)]).toEqual(["needs_you", false, "approve bash"]);
    expect(approvals(asked)).toHaveLength(1);
    const custom = start().turn("x");
    custom.request();
    const call = custom.add({ type: "agent.custom_tool_use", name: "lookup", input: {} });
    const waiting = summarise(custom.asks([call]), null);
    waiting.fold = { ...waiting.fold, model_request: null };
    expect(groupOf({ ...waiting, work: "client" })).toBe("waiting");
  });

  it("offer no Resume for a reached budget, and only a higher one is wanted", () => {
    const builder = running();
    builder.add({ type: "session.status_idle", stop_reason: { type: "budget_reached" }, stop_details: null });
    const stopped = { ...summarise(builder, null), work: "stopped" as const };
    const budget = { type: "limit", max_list_cost: { amount: "2", currency: "USD" } } as const;
    const spent = { ...stopped, fold: { ...stopped.fold, budget, cost: { nanos: 30_000_000, unpriced: 0 } } };
    expect([groupOf(spent), canResume(spent), reasonOf(spent)]).toEqual(["needs_you", false, "budget reached"]);
    const raised = { ...spent, fold: { ...spent.fold, budget: null } };
    expect(canResume(raised)).toBe(true);
  });

  it("wait for a planned retry, which a person may hasten", () => {
    const builder = running();
    const later = { ...summarise(builder, null), work: "later" as const };
    expect([groupOf(later), canResume(later)]).toEqual(["waiting", true]);
  });

  it("keep finished and archived sessions apart", () => {
    const done = start().turn("go");
    done.answer(done.request(), { text: "All done" });
    done.idle();
    const idle = summarise(done, null);
    expect([groupOf(idle), reasonOf(idle), titleOf(idle)]).toEqual(["idle", "All done", "go"]);
    done.add({ type: "longhaul.session_archived" });
    expect(groupOf(summarise(done, null))).toBe("archived");
  });

  it("filter by every word and sort by the last change", () => {
    const older = { ...summarise(running(), "running"), id: "sesn_a" };
    const newer = {
      ...older,
      id: "sesn_b",
      fold: { ...older.fold, title: "Port to v2", updated_at: "2027-01-01T00:00:00Z" },
    };
    const ids = (filter: string): string[] =>
      groupSessions([older, newer], filter).flatMap((group) => group.sessions.map((session) => session.id));
    expect(ids("")).toEqual(["sesn_b", "sesn_a"]);
    expect(ids("v2 PORT")).toEqual(["sesn_b"]);
    expect(ids("v2 nothing")).toEqual([]);
  });
});
