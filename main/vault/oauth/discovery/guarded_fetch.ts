/** A `fetch` for sign-ins: no cookies, bounded in size and time, and only to where a {@link Reach} leads. */
import { type Answer, exchange } from "../../credentials/exchange.ts";
import { Refusal } from "../../refusal.ts";
import type { Reach } from "./reach.ts";

/** The part of `fetch` that the functions of the MCP client package use. */
export type GuardedFetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

/** A document may have moved within its host, for example to its address with a slash. */
const MAX_REDIRECTS = 3;

/**
 * Redirects are followed for a GET, which carries nothing, and within the origin; others are answers that are not good.
 * Rejects with {@link Refusal}, which names the host and nothing that it answered.
 */
export function guardedFetch(reach: Reach, signal: AbortSignal): GuardedFetch {
  return async (input, init = {}) => {
    const method = init.method ?? "GET";
    if (method !== "GET" && method !== "POST") throw new TypeError(`${method} is no part of a sign-in.`);
    const headers = Object.fromEntries(new Headers(init.headers));
    const body = init.body == null ? null : String(init.body);
    let url = reach.check(String(input), "An address that the server names for its sign-in");
    for (let followed = 0; ; followed++) {
      const answer = await exchange({ method, url: url.href, headers, body }, signal, true, reach.lookup);
      const next = method === "GET" && followed < MAX_REDIRECTS ? movedTo(url, answer) : null;
      if (next === null) return responseOf(url, answer);
      url = next;
    }
  };
}

function movedTo(from: URL, answer: Answer | null): URL | null {
  if (answer === null || ![301, 302, 303, 307, 308].includes(answer.status)) return null;
  const to = URL.parse(answer.headers.location ?? "", from);
  return to !== null && to.origin === from.origin && to.username === "" && to.password === "" ? to : null;
}

function responseOf(url: URL, answer: Answer | null): Response {
  if (answer === null) {
    const text = `${url.host}, which the sign-in needs, cannot be reached, or is in a network where it must not lead. Nothing was changed. Check the network and the server's address, then start again.`;
    throw new Refusal(502, "api_error", text, "endpoint_unreachable");
  }
  if (answer.cut) {
    const text = `${url.host} answered with more than a sign-in needs, or did not finish. Nothing was changed. Tell whoever runs it, or start again.`;
    throw new Refusal(502, "api_error", text, "endpoint_failed");
  }
  const { status } = answer;
  const type = answer.headers["content-type"] ?? "";
  // Neither kind of `Response` can be made with a body, nor one with a status below 200.
  const body = status === 204 || status === 205 || status === 304 ? null : answer.body;
  return new Response(body, { status: status < 200 ? 502 : status, headers: { "content-type": type } });
}
