import { describe, expect, it } from "vitest";
import { buildTimeline } from "../../timeline/append.ts";
import type { Row } from "../../timeline/row.ts";
import { LogBuilder } from "../../timeline/testing/log_builder.ts";
import { activeMs, labelOf, lengthOf, outcomeOf, turnCells, whatOf } from "./cells.ts";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");
const texts = (row: Row, running: boolean): string[] => outcomeOf(row, running).map((cell) => plain(cell.text));

function started(): { builder: LogBuilder; call: string; span: string } {
  const builder = new LogBuilder("sesn_000001", 1_700_000_000_000).create().turn("go");
  const span = builder.request();
  const [call = ""] = builder.wait(900).answer(span, { calls: [{ name: "bash", input: { command: "make" } }] });
  builder.start(call);
  return { builder, call, span };
}

function rowOf(builder: LogBuilder, id: string): Row {
  const row = buildTimeline(builder.events).rows.get(id);
  if (row === undefined) throw new Error("the row must be there");
  return row;
}

describe("columns", () => {
  it("say that something runs only when the engine runs the session", () => {
    const { builder, call } = started();
    expect(texts(rowOf(builder, call), true)).toEqual(["running"]);
    expect(texts(rowOf(builder, call), false)).toEqual(["no result yet"]);
    const open = builder.request();
    expect(texts(rowOf(builder, open), true)).toEqual([]);
    expect(texts(rowOf(builder, open), false)).toEqual(["no answer yet"]);
  });

  it("tell the outcome of a call", () => {
    const { builder, call } = started();
    builder.wait(1200).result(call, "a\nb\nexit 2", true);
    expect(texts(rowOf(builder, call), false)).toEqual(["exit 2", "3 lines"]);
    expect(lengthOf(rowOf(builder, call))).toMatchObject({ to: builder.now });
    builder.add({ type: "longhaul.call_settled", tool_use_id: call, how: "outcome_unknown" });
    expect(texts(rowOf(builder, call), false)).toEqual(["outcome unknown", "3 lines"]);
  });

  it("name what a request without text did, and what it cost", () => {
    const { builder, span } = started();
    const row = rowOf(builder, span);
    expect([labelOf(row), whatOf(row)]).toEqual(["model", "Calls bash"]);
    expect(texts(row, false)).toEqual(["6.4 k in", "0 % cached", "247 out"]);
  });

  it("sum up a turn", () => {
    const { builder, call } = started();
    builder.wait(100).result(call, "ok");
    const turn = buildTimeline(builder.events).turns[1];
    if (turn === undefined) throw new Error("the turn must be there");
    expect(turnCells(turn).map((cell) => plain(cell.text))).toEqual([
      "1 request",
      "1 call",
      "6.7 k tokens",
      "0 % cached",
    ]);
    expect(activeMs(turn, builder.now)).toBe(1000);
  });
});
