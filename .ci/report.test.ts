import { expect, test } from "vitest";
import { tally, total, type VitestReport } from "./report.ts";

function report(success: boolean, ...files: [status: string, ...tests: string[]][]): VitestReport {
  return {
    success,
    testResults: files.map(([status, ...tests], index) => ({
      name: `f${index}.test.ts`,
      status,
      assertionResults: tests.map((result, n) => ({ status: result, fullName: `t${n}` })),
    })),
  };
}

test("counts what passed, failed and was skipped, and names the skipped", () => {
  const sum = tally(report(false, ["failed", "passed", "failed", "pending"], ["passed", "passed", "todo"]), 1);
  expect(sum).toEqual({ passed: 2, failed: 1, skipped: 2, notRun: ["f0.test.ts: t2", "f1.test.ts: t1"] });
});

test("a file that does not load is a failure", () => {
  expect(tally(report(false, ["failed"], ["passed", "passed"]), 1)).toMatchObject({ passed: 1, failed: 1 });
});

test("a run that ended badly is a failure, whatever its tests say", () => {
  expect(tally(report(true, ["passed", "passed"]), 1).failed).toBe(1);
  expect(tally(report(false, ["passed", "passed"]), 0).failed).toBe(1);
  expect(tally(null, 0).failed).toBe(1);
  expect(tally(report(true, ["passed", "passed"]), 0).failed).toBe(0);
});

test("runs add up", () => {
  const one = tally(report(true, ["passed", "passed", "skipped"]), 0);
  expect(total([one, one])).toEqual({ passed: 2, failed: 0, skipped: 2, notRun: ["f0.test.ts: t1", "f0.test.ts: t1"] });
});
