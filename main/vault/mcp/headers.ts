/** Which headers pass between an MCP client and its server: those of the transport and a few harmless ones, no others. */
import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import type { Redactor } from "../redact.ts";
import { endToEnd, masked } from "../relay/headers.ts";

/** `Mcp-Session-Id`, `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`, and what comes after them. */
const isMcp = (name: string): boolean => name.startsWith("mcp-");

/** Neither credentials nor cookies are among them: a session's state at the server is in `Mcp-Session-Id`. */
const TO_SERVER: ReadonlySet<string> = new Set([
  "accept",
  "accept-language",
  "content-type",
  "last-event-id",
  "traceparent",
  "tracestate",
  "user-agent",
]);

const TO_CALLER =
  /^(?:allow|cache-control|content-encoding|content-language|content-length|content-type|date|retry-after|(?:x-)?request-id|(?:x-)?ratelimit(?:-[a-z-]+)?|www-authenticate)$/;

/** @param token of the server's credential; null to go without */
export function serverHeaders(
  headers: IncomingHttpHeaders,
  token: string | null,
  bodyBytes: number | null,
): OutgoingHttpHeaders {
  return {
    ...endToEnd(headers, (name) => isMcp(name) || TO_SERVER.has(name)),
    // Compressed bodies could not be searched for an echoed token, and compression delays the events of a stream.
    "accept-encoding": "identity",
    ...(bodyBytes === null ? {} : { "content-length": bodyBytes }),
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
  };
}

/** @param decoded true when the body was decompressed on the way */
export function callerHeaders(headers: IncomingHttpHeaders, redactor: Redactor, decoded: boolean): OutgoingHttpHeaders {
  const passing = endToEnd(headers, (name) => isMcp(name) || TO_CALLER.test(name));
  return { ...masked(passing, redactor, decoded), "cache-control": "no-store" };
}
