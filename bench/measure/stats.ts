/** Percentiles and tables for the benchmarks. */

export interface Spread {
  p50: number;
  p95: number;
  n: number;
}

/** p50 and p95 of a list of numbers; at least one is needed. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
  return { p50: at(0.5), p95: at(0.95), n: sorted.length };
}

/** Differences between two spreads, point by point: what ours costs over the baseline. */
export function over(ours: Spread, base: Spread): { p50: number; p95: number } {
  return { p50: ours.p50 - base.p50, p95: ours.p95 - base.p95 };
}

export function ms(value: number): string {
  return `${value.toFixed(2)} ms`;
}

/** Columns that line up; the first row is the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
