/** The form that every request to the local API must have before anything is read from it. */
import type { IncomingMessage } from "node:http";
import { ambiguity } from "../contract/request_form.ts";

/** Names and ports as this server's own are written, and other hosts' too: nothing of a user, a path or a list. */
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,8})?$/i;

/** What is wrong with the request's form, in words; null when nothing is. Its status is 400. */
export function malformed(request: IncomingMessage): string | null {
  const { headers, method, url = "" } = request;
  // Whole URLs are for proxies, and two readers may take different hosts from such a request.
  if (!url.startsWith("/") && !(method === "OPTIONS" && url === "*")) return "The request's target must begin with /.";
  if (headers.host === undefined || !HOST.test(headers.host)) return "The Host header is missing or malformed.";
  return ambiguity(request);
}
