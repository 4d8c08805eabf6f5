import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildTimeline } from "../timeline/append.ts";
import { LogBuilder } from "../timeline/testing/log_builder.ts";
import { collectMarks } from "./marks.ts";
import { makeScale, mergeSpans, toTime, toX } from "./scale.ts";

const HOUR = 3_600_000;

describe("the scale", () => {
  it("gives a night a fixed width and the work the rest", () => {
    const busy = [
      { from: 0, to: 60_000 },
      { from: 8 * HOUR, to: 8 * HOUR + 60_000 },
    ];
    const scale = makeScale(busy, [{ kind: "sleep", from: 70_000, to: 8 * HOUR - 10_000 }], 1000);
    expect(scale.stretches.map((stretch) => stretch.kind)).toEqual(["busy", "sleep", "busy"]);
    expect(toX(scale, 60_000)).toBeCloseTo(456);
    expect(toX(scale, 8 * HOUR)).toBeCloseTo(544);
  });

  it("cuts what was under way when the machine slept", () => {
    const scale = makeScale([{ from: 0, to: 8 * HOUR }], [{ kind: "sleep", from: HOUR, to: 7 * HOUR }], 800);
    expect(scale.stretches.map((stretch) => stretch.kind)).toEqual(["busy", "sleep", "busy"]);
  });

  it("draws short pauses as they are", () => {
    const scale = makeScale(
      [
        { from: 0, to: 1000 },
        { from: 9000, to: 10_000 },
      ],
      [],
      100,
    );
    expect(scale.stretches).toHaveLength(1);
    expect(toX(scale, 5000)).toBeCloseTo(50);
  });

  it("is empty without events", () => {
    const scale = makeScale([], [], 500);
    expect(toX(scale, 12)).toBe(0);
    expect(toTime(scale, 12)).toBe(0);
  });

  const span = fc
    .tuple(fc.nat({ max: 100 * HOUR }), fc.nat({ max: HOUR }))
    .map(([from, length]) => ({ from, to: from + length }));
  const gap = span.map((value) => ({ ...value, kind: "sleep" as const }));

  it("never goes backwards, stays inside, and inverts", () => {
    fc.assert(
      fc.property(
        fc.array(span, { minLength: 1 }),
        fc.array(gap, { maxLength: 4 }),
        fc.array(fc.nat({ max: 101 * HOUR })),
        (busy, gaps, times) => {
          const scale = makeScale(busy, gaps, 900);
          let before = -1;
          for (const time of times.toSorted((a, b) => a - b)) {
            const x = toX(scale, time);
            expect(x).toBeGreaterThanOrEqual(Math.max(0, before) - 1e-6);
            expect(x).toBeLessThanOrEqual(900 + 1e-6);
            expect(toX(scale, toTime(scale, x))).toBeCloseTo(x, 3);
            before = x;
          }
        },
      ),
    );
  });

  it("merges spans into disjoint ones", () => {
    fc.assert(
      fc.property(fc.array(span), (spans) => {
        const merged = mergeSpans(spans);
        return merged.every((value, index) => index === 0 || value.from > (merged[index - 1]?.to ?? 0));
      }),
    );
  });
});

describe("marks", () => {
  it("hold a bar per request and call, a diamond for an approval, a boundary for a cut", () => {
    const builder = new LogBuilder("sesn_000001", 1_700_000_000_000).create().turn("go");
    const [call = ""] = builder.answer(builder.request(), {
      calls: [{ name: "bash", input: { command: "x" }, ask: true }],
    });
    builder.wait(5000);
    builder.add({
      type: "longhaul.cut_off",
      cause: "engine_died",
      last_event_at: builder.iso(-4000),
      noticed_at: builder.iso(),
      calls_in_flight: [],
      model_request_in_flight: null,
    });
    const { marks, boundaries } = collectMarks(buildTimeline(builder.events), builder.now, false);
    expect(boundaries.map((boundary) => boundary.label)).toEqual(["the engine died"]);
    expect(marks.filter((mark) => mark.lane === "model")).toHaveLength(1);
    expect(marks.find((mark) => mark.row === call)).toMatchObject({ shape: "diamond", tone: "waiting", lane: "you" });
  });
});
