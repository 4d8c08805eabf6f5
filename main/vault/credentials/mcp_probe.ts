/**
 * Asks an MCP server whether it takes a token: `initialize` and `tools/list` over streamable HTTP, since some servers
 * want a credential only from the second on; where the server speaks the older transport, its event stream is opened.
 */
import type { BetaManagedAgentsMCPProbe } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { Redactor } from "../redact.ts";
import { type Answer, exchange, isSuccess, shown } from "./exchange.ts";

export type ProbeResult =
  | { verdict: "accepted" }
  /** `rejected`: the server said 401 or 403; `unauthorized` is the 401 that a fresh token may cure. */
  | { verdict: "unauthorized" | "forbidden" | "unclear"; probe: BetaManagedAgentsMCPProbe };

const PROTOCOL = "2025-06-18";
const INITIALIZE = {
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: PROTOCOL, capabilities: {}, clientInfo: { name: "longhaul", version: "1" } },
};

/** @param redactor knows the values of this credential: a server may echo them */
export async function probeServer(
  url: string,
  token: string,
  redactor: Redactor,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const send = (message: object, headers: Record<string, string> = {}): Promise<Answer | null> => {
    const all = { ...headersOf(token), ...headers };
    return exchange({ method: "POST", url, headers: all, body: JSON.stringify(message) }, signal, true);
  };
  const first = await send(INITIALIZE);
  if (first === null) return failed("initialize", null, redactor);
  if ([400, 404, 405].includes(first.status)) return olderTransport(url, token, first, redactor, signal);
  if (!isSuccess(first)) return failed("initialize", first, redactor);

  const session = sessionOf(first);
  await send({ jsonrpc: "2.0", method: "notifications/initialized" }, session);
  const listed = await send({ jsonrpc: "2.0", id: 2, method: "tools/list" }, session);
  if ("mcp-session-id" in session) {
    // The server need not keep a session that nobody will use.
    await exchange({ method: "DELETE", url, headers: { ...headersOf(token), ...session }, body: null }, signal, false);
  }
  return listed !== null && isSuccess(listed) ? { verdict: "accepted" } : failed("tools/list", listed, redactor);
}

/** Headers of what follows `initialize`: the session that the server began, and the version that it chose. */
function sessionOf({ headers, body }: Answer): Record<string, string> {
  const id = headers["mcp-session-id"];
  // In a JSON body and in an event of a stream alike.
  const version = /"protocolVersion"\s*:\s*"([\w.-]{1,32})"/.exec(body)?.[1] ?? PROTOCOL;
  return { "mcp-protocol-version": version, ...(typeof id === "string" ? { "mcp-session-id": id } : {}) };
}

async function olderTransport(
  url: string,
  token: string,
  refused: Answer,
  redactor: Redactor,
  signal: AbortSignal,
): Promise<ProbeResult> {
  const headers = { ...headersOf(token), accept: "text/event-stream" };
  const stream = await exchange({ method: "GET", url, headers, body: null }, signal, false);
  if (stream === null) return failed("initialize", refused, redactor);
  if (isSuccess(stream) && /^text\/event-stream/i.test(stream.headers["content-type"] ?? "")) {
    return { verdict: "accepted" };
  }
  return failed("initialize", isRejection(stream) ? stream : refused, redactor);
}

function headersOf(token: string): Record<string, string> {
  return {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
}

const isRejection = ({ status }: Answer): boolean => status === 401 || status === 403;

function failed(method: string, answer: Answer | null, redactor: Redactor): ProbeResult {
  const verdict = answer?.status === 401 ? "unauthorized" : answer?.status === 403 ? "forbidden" : "unclear";
  return { verdict, probe: { method, http_response: answer === null ? null : shown(answer, redactor) } };
}
