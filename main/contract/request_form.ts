/** The form that a request over HTTP must have where nobody may read it in two ways. Pure, for engine and broker alike. */

/** What is looked at of Node's `IncomingMessage`. */
export interface RequestForm {
  httpVersion: string;
  headers: { readonly [name: string]: string | readonly string[] | undefined };
  /** Names and values in turn, as they came. */
  rawHeaders: readonly string[];
  url?: string | undefined;
}

/** Headers that mean one thing only; two of them mean that two readers may see two requests. */
const ONCE = [
  "authorization",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "origin",
  "proxy-authorization",
  "sec-fetch-site",
  "transfer-encoding",
  "upgrade",
  "x-api-key",
];

/**
 * Why the request could be taken for another one, in words; null when it cannot.
 * @param once further headers that may be there once only
 */
export function ambiguity(request: RequestForm, once: (name: string) => boolean = () => false): string | null {
  const { httpVersion, headers, rawHeaders, url = "" } = request;
  // Node's parser takes other protocols and versions that look alike.
  if (httpVersion !== "1.1") return "Only HTTP/1.1 is spoken here.";
  if (!/^[\x21\x22\x24-\x7e]+$/.test(url)) return "The request's target holds characters that belong encoded.";
  const names = rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
  const twice = names.find((name, index) => (ONCE.includes(name) || once(name)) && names.indexOf(name) !== index);
  if (twice !== undefined) return `The header ${twice} is there more than once.`;
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && (String(coding).toLowerCase() !== "chunked" || headers["content-length"] !== undefined)) {
    return "The body's length cannot be told for certain.";
  }
  return null;
}
