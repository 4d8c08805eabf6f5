/** Which headers pass the broker, in each direction. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { Redactor } from "../redact.ts";
import type { EndpointSource } from "./endpoint.ts";

/** RFC 9110 §7.6.1: they concern one connection and must not pass a proxy. */
const HOP_BY_HOP = [
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** The caller's own credentials are a capability for this broker, of no use and no business elsewhere. */
const NOT_UPSTREAM = [
  "host",
  "content-length",
  "authorization",
  "x-api-key",
  "cookie",
  "origin",
  "referer",
  "expect",
  "forwarded",
  "x-forwarded-for",
  "x-real-ip",
  "accept-encoding",
];

const NOT_DOWNSTREAM = ["set-cookie", "location", "longhaul-endpoint", "longhaul-refused"];

function without(headers: IncomingHttpHeaders, dropped: readonly string[]): IncomingHttpHeaders {
  const named = (headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase());
  const out: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.includes(name) || dropped.includes(name) || named.includes(name)) continue;
    out[name] = value;
  }
  return out;
}

/** Headers of the request to the endpoint: the caller's, with the endpoint's credential in place of the caller's. */
export function upstreamHeaders(
  headers: IncomingHttpHeaders,
  credentials: Record<string, string>,
  bodyBytes: number | null,
): OutgoingHttpHeaders {
  return {
    ...without(headers, NOT_UPSTREAM),
    // Compressed bodies could not be searched for an echoed key, and compression delays the first byte of a stream.
    "accept-encoding": "identity",
    ...(bodyBytes === null ? {} : { "content-length": bodyBytes }),
    ...credentials,
  };
}

/**
 * Headers of the response to the caller, secrets masked.
 * @param decoded true when the body was decompressed on the way, so that its length and coding changed
 * @param source where the endpoint comes from
 */
export function downstreamHeaders(
  headers: IncomingHttpHeaders,
  redactor: Redactor,
  decoded: boolean,
  source: EndpointSource,
): OutgoingHttpHeaders {
  const out: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(without(headers, NOT_DOWNSTREAM))) {
    if (value === undefined || (decoded && (name === "content-length" || name === "content-encoding"))) continue;
    out[name] = Array.isArray(value) ? value.map((item) => redactor.text(item)) : redactor.text(value);
  }
  return { ...out, "longhaul-endpoint": source };
}
