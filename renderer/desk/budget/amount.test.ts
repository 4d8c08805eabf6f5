import { expect, test } from "vitest";
import type { SessionFold } from "../../../main/contract/fold.ts";
import { foldAll } from "../../../main/contract/fold.ts";
import { LogBuilder } from "../../timeline/testing/log_builder.ts";
import { centsOf, limitProblem, suggestedLimit } from "./amount.ts";

test.each([
  ["5", 500],
  [" $5.5 ", 550],
  ["0.50", 50],
  ["0", 0],
  ["", null],
  ["5,00", null],
  ["-1", null],
  ["1.005", null],
  ["1e9", null],
  ["9".repeat(13), null],
])("%j is %s cents", (text, wanted) => expect(centsOf(text)).toBe(wanted));

/** A session that may cost two cents and has cost three and a bit. */
function spent(): SessionFold {
  const fold = foldAll(new LogBuilder("sesn_000001", 0).create().events);
  if (fold === null) throw new Error("a created session has a fold");
  const budget = { type: "limit", max_list_cost: { amount: "2", currency: "USD" } } as const;
  return { ...fold, budget, cost: { nanos: 31_746_600, unpriced: 0 } };
}

test("a limit must be above what was spent, and the suggested one is", () => {
  expect(limitProblem("0.03", spent(), 0)).toContain("has cost $0.03 already");
  expect(limitProblem("lots", spent(), 0)).toContain("for example 5");
  expect(suggestedLimit(spent(), 0)).toBe("0.06");
  expect(limitProblem(suggestedLimit(spent(), 0), spent(), 0)).toBeNull();
});
