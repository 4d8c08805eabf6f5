/** Which headers concern one connection only. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { Redactor } from "../redact.ts";

/** RFC 9110 §7.6.1: they concern one connection and must not pass a proxy. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The headers that `passes` lets through, without those of the connection and those that `Connection` names. */
export function endToEnd(headers: IncomingHttpHeaders, passes: (name: string) => boolean): IncomingHttpHeaders {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const out: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || named.includes(name) || !passes(name)) continue;
    out[name] = value;
  }
  return out;
}

/**
 * Headers for the caller, secrets masked.
 * @param decoded true when the body was decompressed on the way, so that its length and coding changed
 */
export function masked(headers: IncomingHttpHeaders, redactor: Redactor, decoded: boolean): OutgoingHttpHeaders {
  const out: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || (decoded && (name === "content-length" || name === "content-encoding"))) continue;
    out[name] = Array.isArray(value) ? value.map((item) => redactor.text(item)) : redactor.text(value);
  }
  return out;
}
