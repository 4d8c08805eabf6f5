/** Which headers pass the broker, in each direction. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { Redactor } from "../redact.ts";
import { endToEnd, masked } from "../relay/headers.ts";
import type { EndpointSource } from "./endpoint.ts";

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

const upstreamward = (name: string): boolean => !NOT_UPSTREAM.includes(name);
const downstreamward = (name: string): boolean => !NOT_DOWNSTREAM.includes(name);

/** Headers of the request to the endpoint: the caller's, with the endpoint's credential in place of the caller's. */
export function upstreamHeaders(
  headers: IncomingHttpHeaders,
  credentials: Record<string, string>,
  bodyBytes: number | null,
): OutgoingHttpHeaders {
  return {
    ...endToEnd(headers, upstreamward),
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
  return { ...masked(endToEnd(headers, downstreamward), redactor, decoded), "longhaul-endpoint": source };
}
