/** Numbers as people read them: durations, tokens, bytes. A no-break space keeps the number with its unit. */

const NB = "\u00a0";

/** `3 ms`, `4.2 s`, `2 m 10 s`, `3 h 05 m`, `2 d 4 h`. Negative and unknown values count as 0. */
export function duration(ms: number): string {
  const value = Number.isFinite(ms) && ms > 0 ? ms : 0;
  if (value < 999.5) return `${Math.round(value)}${NB}ms`;
  if (value < 59_950) return `${(value / 1000).toFixed(1)}${NB}s`;
  const seconds = Math.round(value / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)}${NB}m${NB}${pad(seconds % 60)}${NB}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)}${NB}h${NB}${pad(minutes % 60)}${NB}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}${NB}d${NB}${hours % 24}${NB}h`;
}

/** `940`, `4.1 k`, `41 k`, `1.2 M`. */
export function tokens(count: number): string {
  return scaled(count, 1000, ["", "k", "M", "G"]);
}

/** `512 B`, `1.4 kB`, `64 kB`, `3.2 MB`. */
export function bytes(count: number): string {
  return scaled(count, 1000, ["B", "kB", "MB", "GB"]);
}

/** Nano-dollars as `$1.20`, and below a cent as tenths of one: `$0.003`. What is less than a tenth is not shown as nothing. */
export function money(nanos: number): string {
  const dollars = Number.isFinite(nanos) && nanos > 0 ? nanos / 1e9 : 0;
  if (dollars > 0 && dollars < 0.0005) return "<$0.001";
  return `$${dollars > 0 && dollars < 0.00995 ? dollars.toFixed(3) : dollars.toFixed(2)}`;
}

/** A limit in whole cents, as the API writes it: `$5.00`. */
export function cents(amount: string): string {
  return `$${(Number(amount) / 100).toFixed(2)}`;
}

/** Whole per cent of `part` in `whole`; null when there is no whole. */
export function percent(part: number, whole: number): string | null {
  if (!(whole > 0)) return null;
  return `${Math.round((part / whole) * 100)}${NB}%`;
}

/** `1 call`, `3 calls`. */
export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${count.toLocaleString("en-US")}${NB}${count === 1 ? noun : many}`;
}

function scaled(count: number, step: number, units: readonly string[]): string {
  let value = Number.isFinite(count) && count > 0 ? count : 0;
  let unit = 0;
  while (value >= step - 0.5 && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  const name = units[unit] ?? "";
  return name === "" ? value.toFixed(digits) : `${value.toFixed(digits)}${NB}${name}`;
}

function pad(value: number): string {
  return value.toString().padStart(2, "0");
}
