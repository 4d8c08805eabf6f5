/** From bytes to JSON: what the API refuses before it looks at any field. */
import { Rejection, reject } from "./rejection.ts";

export const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Throws 413 for a body over 32 MB. */
export function checkSize(bytes: number): void {
  if (bytes > MAX_BODY_BYTES) throw new Rejection("Request exceeds the maximum size", 413, "request_too_large");
}

/** Parses a body; refuses invalid UTF-8, invalid JSON and escaped lone surrogates. */
export function parseBody(bytes: Buffer): unknown {
  checkSize(bytes.length);
  let source: string;
  try {
    source = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    reject("The request body is not valid JSON: invalid UTF-8 sequence");
  }
  let body: unknown;
  try {
    body = JSON.parse(source);
  } catch (error) {
    reject(`The request body is not valid JSON: ${error instanceof Error ? error.message : "unreadable"}`);
  }
  if (!wellFormed(body)) reject("The request body is not valid JSON: no low surrogate in string");
  return body;
}

/** True when no string or key inside `value` has a lone surrogate. */
function wellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (Array.isArray(value)) return value.every(wellFormed);
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, item]) => key.isWellFormed() && wellFormed(item));
}
