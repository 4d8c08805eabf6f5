/** The form that every request must have before anything is read from it: one that two readers could read in two ways is refused. */
import type { IncomingMessage } from "node:http";

/** Headers that mean one thing only; two of them mean that two readers may see two requests. */
const ONCE =
  /^(?:authorization|content-(?:encoding|length|type)|expect|host|origin|sec-fetch-site|transfer-encoding|x-api-key)$/;

/** Names and ports as this server's own are written, and other hosts' too: nothing of a user, a path or a list. */
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::\d{1,8})?$/i;

/** What is wrong with the request's form, in words; null when nothing is. Its status is 400. */
export function malformed({ headers, rawHeaders, httpVersion, method, url = "" }: IncomingMessage): string | null {
  // Node's parser takes other protocols and versions that look alike.
  if (httpVersion !== "1.1") return "This server speaks HTTP/1.1.";
  // Whole URLs are for proxies, and two readers may take different hosts from such a request.
  if (!url.startsWith("/") && !(method === "OPTIONS" && url === "*")) return "The request's target must begin with /.";
  if (!/^[\x21\x22\x24-\x7e]+$/.test(url)) return "The request's target holds characters that belong encoded.";
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const twice = names.find((name, index) => ONCE.test(name) && names.indexOf(name) !== index);
  if (twice !== undefined) return `The header ${twice} is there more than once.`;
  if (headers.host === undefined || !HOST.test(headers.host)) return "The Host header is missing or malformed.";
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && (coding.toLowerCase() !== "chunked" || headers["content-length"] !== undefined)) {
    return "The body's length cannot be told for certain.";
  }
  return null;
}
