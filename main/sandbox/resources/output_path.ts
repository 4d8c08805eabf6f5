/** Which paths below the outputs folder can be told and asked for. */

const MAX_LENGTH = 4096;

/** Relative, with slashes, without parts that climb and without control characters. */
export function isOutputPath(path: string): boolean {
  if (path === "" || path.length > MAX_LENGTH || /[\p{Cc}\ufffd]/u.test(path) || !path.isWellFormed()) return false;
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}
