/** What of files below the outputs folder can be told: which paths, and times in which form. */

const MAX_LENGTH = 4096;

/** Relative, with slashes, without parts that climb and without control characters. */
export function isOutputPath(path: string): boolean {
  if (path === "" || path.length > MAX_LENGTH || /[\p{Cc}\ufffd]/u.test(path) || !path.isWellFormed()) return false;
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** RFC 3339. The agent can give a file any time, also one that no date can hold. @param ms milliseconds since the epoch */
export function outputTime(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), 8.64e15)).toISOString();
}
