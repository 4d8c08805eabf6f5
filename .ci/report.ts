/** Counts what vitest reports, so that `npm test` ends with a line that is true. Pure. */

/** The part of vitest's JSON report that is read here. */
export interface VitestReport {
  success: boolean;
  testResults: {
    name: string;
    status: string;
    message?: string;
    assertionResults: { status: string; fullName: string }[];
  }[];
}

export interface Tally {
  passed: number;
  failed: number;
  skipped: number;
  /** Names of tests that did not run, with their file. */
  notRun: string[];
}

/**
 * Adds up one run. A file that did not even load counts as one failure, and so does a run that ended badly
 * (`exitCode` not 0, or no report) without any failed test to blame.
 */
export function tally(report: VitestReport | null, exitCode: number): Tally {
  const sum: Tally = { passed: 0, failed: 0, skipped: 0, notRun: [] };
  for (const file of report?.testResults ?? []) {
    const before = sum.failed;
    for (const { status, fullName } of file.assertionResults) {
      if (status === "passed") sum.passed += 1;
      else if (status === "failed") sum.failed += 1;
      else {
        sum.skipped += 1;
        sum.notRun.push(`${file.name}: ${fullName}`);
      }
    }
    if (file.status === "failed" && sum.failed === before) sum.failed += 1;
  }
  if (sum.failed === 0 && (exitCode !== 0 || report === null || !report.success)) sum.failed = 1;
  return sum;
}

/** The sum of several runs. */
export function total(tallies: readonly Tally[]): Tally {
  return tallies.reduce(
    (sum, next) => ({
      passed: sum.passed + next.passed,
      failed: sum.failed + next.failed,
      skipped: sum.skipped + next.skipped,
      notRun: [...sum.notRun, ...next.notRun],
    }),
    { passed: 0, failed: 0, skipped: 0, notRun: [] },
  );
}
