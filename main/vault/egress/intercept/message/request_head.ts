/** What of a request is sent on: its target, and its headers with values for placeholders. */
import type { IncomingMessage } from "node:http";
import { canonicalHost } from "../../../../contract/egress.ts";
import { type Replacement, replaceInHeader } from "./placeholders.ts";
import { RequestRefused } from "./refused.ts";
import { acceptableEncodings } from "./response_body.ts";

/** They say how this connection frames the message, and the next one frames it anew. */
const FRAMING = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  // Compressed messages could not be looked into.
  "sec-websocket-extensions",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export const isFraming = (name: string): boolean => FRAMING.has(name.toLowerCase());

/**
 * The request's path and query, when it is for the host that the connection was made for. Throws {@link RequestRefused}.
 * @param host canonical
 */
export function targetOf(request: IncomingMessage, host: string): string {
  const url = request.url ?? "";
  const hosts = valuesOf(request.rawHeaders, "host");
  if (hosts.length !== 1) throw new RequestRefused(400, "malformed", "A request needs one Host header.");
  const [, name = "", port = "443"] = /^([^:]*)(?::(\d+))?$/.exec(hosts[0] ?? "") ?? [];
  if (canonicalHost(name) !== host || port !== "443") {
    const text = `This connection was made to ${host}, so a request for another host is not passed on. Open a connection to that one.`;
    throw new RequestRefused(421, "fronting", text);
  }
  if (!url.startsWith("/") && !(url === "*" && request.method === "OPTIONS")) {
    throw new RequestRefused(400, "malformed", "Inside a connection to a host, a request names a path only.");
  }
  return url;
}

/** Values of a header, however often it is there. */
function valuesOf(rawHeaders: readonly string[], wanted: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === wanted);
}

/**
 * Headers for the host, names and values in turn, without those that frame the message. Throws {@link RequestRefused}
 * when a value does not fit.
 */
export function sentHeaders(
  rawHeaders: readonly string[],
  host: string,
  replacements: readonly Replacement[],
): string[] {
  const named = new Set(valuesOf(rawHeaders, "connection").flatMap((value) => value.toLowerCase().split(/\s*,\s*/)));
  const accepted = valuesOf(rawHeaders, "accept-encoding");
  const sent = ["host", host, "accept-encoding", acceptableEncodings(accepted.join(", "))];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (isFraming(name) || named.has(name.toLowerCase()) || name.toLowerCase() === "accept-encoding") continue;
    sent.push(name, replacedValue(name, rawHeaders[at + 1] ?? "", replacements));
  }
  return sent;
}

/** The same for what follows a body. Throws {@link RequestRefused}. */
export function sentTrailers(rawTrailers: readonly string[], replacements: readonly Replacement[]): [string, string][] {
  const sent: [string, string][] = [];
  for (let at = 0; at + 1 < rawTrailers.length; at += 2) {
    const name = rawTrailers[at] ?? "";
    if (!isFraming(name)) sent.push([name, replacedValue(name, rawTrailers[at + 1] ?? "", replacements)]);
  }
  return sent;
}

/** @throws RequestRefused when the value does not fit */
function replacedValue(name: string, text: string, replacements: readonly Replacement[]): string {
  const replaced = replaceInHeader(text, replacements);
  if (replaced !== null) return replaced;
  const why = `The value of a variable cannot stand in the header ${name}: it has line breaks, or is too long.`;
  throw new RequestRefused(502, "value", `${why} Nothing was sent. Use a part of the request that can hold it.`);
}
