/** The form that every request to the broker has. Its callers are ours, so whatever differs is an attempt at something. */
import type { IncomingMessage } from "node:http";

/** Headers that mean one thing only; two of them mean that two readers may see two requests. */
const ONCE =
  /^(?:authorization|content-(?:encoding|length|type)|expect|host|origin|proxy-authorization|transfer-encoding|upgrade|x-api-key|last-event-id|mcp-.*)$/;

const MAX_TARGET_CHARS = 2_048;

/** What is wrong with the request's form, in words; null when nothing is. Its status is 400. */
export function malformed(request: IncomingMessage): string | null {
  const { httpVersion, headers, rawHeaders, method, url = "" } = request;
  if (httpVersion !== "1.1") return "The broker speaks HTTP/1.1.";
  if (url.length > MAX_TARGET_CHARS) return "The request's target is too long.";
  if (!/^[\x21-\x7e]+$/.test(url)) return "The request's target holds characters that belong encoded.";
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const twice = names.find((name, index) => ONCE.test(name) && names.indexOf(name) !== index);
  if (twice !== undefined) return `The header ${twice} is there more than once.`;
  if (headers.upgrade !== undefined) return "The broker changes to no other protocol.";
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && (coding.toLowerCase() !== "chunked" || headers["content-length"] !== undefined)) {
    return "The body's length cannot be told for certain.";
  }
  const hasBody = coding !== undefined || headers["content-length"] !== undefined;
  return method === "CONNECT" && hasBody ? "CONNECT has no body." : null;
}

/** True when a browser sent it: a page that guesses the port must not get any further. */
export function isFromBrowser({ headers }: IncomingMessage): boolean {
  return headers.origin !== undefined || headers["sec-fetch-site"] !== undefined;
}
