/** The form that every request to the broker has. Its callers are ours, so whatever differs is an attempt at something. */
import type { IncomingMessage } from "node:http";
import { ambiguity } from "../../contract/request_form.ts";

const MAX_TARGET_CHARS = 2_048;
/** Servers of MCP act on these headers. */
const ONCE = /^(?:last-event-id|mcp-.*)$/;

/** What is wrong with the request's form, in words; null when nothing is. Its status is 400. */
export function malformed(request: IncomingMessage): string | null {
  const { headers, method, url = "" } = request;
  if (url.length > MAX_TARGET_CHARS) return "The request's target is too long.";
  const unclear = ambiguity(request, (name) => ONCE.test(name));
  if (unclear !== null) return unclear;
  if (headers.upgrade !== undefined) return "The broker changes to no other protocol.";
  const hasBody = headers["transfer-encoding"] !== undefined || headers["content-length"] !== undefined;
  return method === "CONNECT" && hasBody ? "CONNECT has no body." : null;
}

/** True when a browser sent it: a page that guesses the port must not get any further. */
export function isFromBrowser({ headers }: IncomingMessage): boolean {
  return headers.origin !== undefined || headers["sec-fetch-site"] !== undefined;
}
