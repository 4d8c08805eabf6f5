/** One request with a credential to an MCP server or a token endpoint, and what may be shown of the answer. */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from "node:http";
import type { LookupFunction } from "node:net";
import type { BetaManagedAgentsRefreshHTTPResponse } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { Redactor } from "../redact.ts";
import { Upstream } from "../relay/upstream.ts";

export interface Exchange {
  method: "GET" | "POST" | "DELETE";
  url: string;
  headers: OutgoingHttpHeaders;
  body: string | null;
}

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  /** The beginning of the body, at most {@link READ_BYTES}; empty when it is compressed. */
  body: string;
  /** True when there was more. */
  cut: boolean;
}

/** Of a body that is read at all, and of it that is shown. */
const READ_BYTES = 64 * 1024;
const SHOWN_CHARS = 2_048;
/** A stream of events may stay open without a word: what matters is known by then. */
const BODY_MS = 3_000;
const TIMEOUTS = { connectMs: 8_000, headersMs: 10_000, idleMs: 10_000 };

/**
 * Sends it; redirects are not followed, because they would carry the credential to another address. Null when no HTTP
 * answer came: refused, unknown name, untrusted certificate, silence.
 * @param readBody false for answers of which only the status counts
 * @param lookup decides where the host's name may lead; not asked for an address in the URL
 */
export async function exchange(
  request: Exchange,
  signal: AbortSignal,
  readBody: boolean,
  lookup?: LookupFunction,
): Promise<Answer | null> {
  const url = new URL(request.url);
  const upstream = new Upstream(url, TIMEOUTS, lookup === undefined ? {} : { lookup });
  try {
    const body = request.body === null ? null : Buffer.from(request.body);
    const response = await upstream.send({
      method: request.method,
      path: `${url.pathname}${url.search}`,
      headers: {
        ...request.headers,
        // A compressed body could not be searched for values that must not be shown.
        "accept-encoding": "identity",
        "user-agent": "longhaul",
        ...(body === null ? {} : { "content-length": body.byteLength }),
      },
      body,
      signal,
    });
    const { text, cut } = readBody ? await beginningOf(response) : { text: "", cut: false };
    response.destroy();
    return { status: response.statusCode ?? 0, headers: response.headers, body: text, cut };
  } catch {
    return null;
  } finally {
    upstream.close();
  }
}

async function beginningOf(response: IncomingMessage): Promise<{ text: string; cut: boolean }> {
  const coding = response.headers["content-encoding"];
  if (coding !== undefined && coding !== "identity") return { text: "", cut: true };
  const chunks: Buffer[] = [];
  let size = 0;
  const late = setTimeout(() => response.destroy(), BODY_MS);
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > READ_BYTES) break;
    }
    return { text: textOf(chunks), cut: size > READ_BYTES };
  } catch {
    return { text: textOf(chunks), cut: true };
  } finally {
    clearTimeout(late);
  }
}

const textOf = (chunks: readonly Buffer[]): string =>
  Buffer.concat(chunks).subarray(0, READ_BYTES).toString("utf8").toWellFormed();

/** Values that a server itself names as tokens: they may be new ones, which nobody knows yet. */
const NAMED_TOKEN =
  /(["']?(?:access_token|refresh_token|id_token|client_secret|token|assertion)["']?\s*[:=]\s*["']?)([^"'&\s,}]+)/gi;

/** The answer as the contract shows it: scrubbed first, then cut, so that no half of a value is left at the cut. */
export function shown(answer: Answer, redactor: Redactor): BetaManagedAgentsRefreshHTTPResponse {
  const scrubbed = redactor.text(answer.body).replace(NAMED_TOKEN, (_, name: string) => `${name}[redacted]`);
  return {
    body: scrubbed.slice(0, SHOWN_CHARS).toWellFormed(),
    body_truncated: answer.cut || scrubbed.length > SHOWN_CHARS,
    content_type: redactor.text(answer.headers["content-type"] ?? ""),
    status_code: answer.status,
  };
}

export const isSuccess = ({ status }: Answer): boolean => status >= 200 && status < 300;
