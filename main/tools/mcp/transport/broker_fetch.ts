/**
 * `fetch` for MCP that knows one server only: whatever address it is given, it asks the broker's route for that server
 * with the session's capability. It holds no credential and follows no redirect.
 */
import { type IncomingMessage, request } from "node:http";
import type { BrokerAddress } from "../../../contract/process.ts";
import { McpError, type McpErrorKind } from "../port.ts";
import { mcpServerId } from "../server_id.ts";
import { boundedBody } from "./bounded_body.ts";

/** The engine's way to the broker; `BrokerClient` is one. */
export interface BrokerAccess {
  /** The broker as it is now: it moves when it is restarted. */
  broker(): BrokerAddress;
  capability(sessionId: string): Promise<string>;
  /** The token was refused; the next `capability` is a new one. */
  forgetCapability(sessionId: string): void;
}

export interface BrokerRoute {
  access: BrokerAccess;
  sessionId: string;
  /** As the agent has it. */
  serverUrl: string;
  /** Registers with the broker what the session may use; the broker lost it or never had it. */
  ensureGrants: (sessionId: string) => Promise<void>;
}

/** Name of the request among those that wait, from the transport to here; goes no further. */
export const REQUEST_MARK = "longhaul-mcp-request";

/** Told of each response that is an event stream: the mark of its request, null for the stream of a GET. */
export type OnStream = (mark: string | null, ended: boolean) => void;

type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>;

const MAX_REFUSAL_BYTES = 64 * 1024;
/** Refusals after which the same request is sent once more: the broker passed nothing on. */
const REGISTER_AGAIN = ["grants_unknown", "not_granted"];

interface Refused {
  status: number;
  code: string;
  message: string;
}

/** @returns a `fetch` that rejects with {@link McpError} when the broker refuses, or an AbortError */
export function brokerFetch(route: BrokerRoute, onStream: OnStream): Fetch {
  return async (_url, init = {}) => {
    const headers = new Headers(init.headers);
    const mark = headers.get(REQUEST_MARK);
    headers.delete(REQUEST_MARK);
    const response = await admitted(route, init, headers);
    const stream = isEventStream(response);
    if (stream) onStream(mark, false);
    return asResponse(response, stream, () => stream && onStream(mark, true));
  };
}

/** The server's own response, after what the broker lost in a restart was told to it again. */
async function admitted(route: BrokerRoute, init: RequestInit, headers: Headers): Promise<IncomingMessage> {
  const done = new Set<string>();
  for (;;) {
    const response = await send(route, init, headers);
    const refused = await refusalOf(response);
    if (refused === null) return response;
    const remedy = refused.code === "capability_refused" ? "capability" : "grants";
    const curable = remedy === "capability" || REGISTER_AGAIN.includes(refused.code);
    if (!curable || done.has(remedy)) throw errorFor(refused);
    done.add(remedy);
    if (remedy === "capability") route.access.forgetCapability(route.sessionId);
    else await locally(() => route.ensureGrants(route.sessionId));
  }
}

async function send(route: BrokerRoute, init: RequestInit, headers: Headers): Promise<IncomingMessage> {
  const token = await locally(() => route.access.capability(route.sessionId));
  headers.set("authorization", `Bearer ${token}`);
  const body = typeof init.body === "string" ? Buffer.from(init.body) : null;
  const url = new URL(`/mcp/${mcpServerId(route.serverUrl)}`, route.access.broker().url);
  return new Promise((resolve, reject) => {
    let connected = false;
    const outgoing = request(url, {
      method: init.method ?? "GET",
      // A connection of its own: one from a pool may be half dead, and then nobody could say whether the request was read.
      agent: false,
      headers: {
        ...Object.fromEntries(headers),
        connection: "close",
        ...(body === null ? {} : { "content-length": String(body.byteLength) }),
      },
      ...(init.signal == null ? {} : { signal: init.signal }),
    });
    outgoing.on("socket", (socket) => socket.once("connect", () => (connected = true)));
    outgoing.on("response", resolve);
    outgoing.on("error", (error) => {
      if (init.signal?.aborted) return reject(aborted());
      const text = `The credential broker, through which MCP servers are reached, broke off (${error.message}). It is being restarted.`;
      reject(new McpError("locked", connected ? "maybe" : "no", text));
    });
    outgoing.end(body ?? undefined);
  });
}

/** What the engine asks of the broker before the request goes out. */
async function locally<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof McpError) throw error;
    throw new McpError(
      "locked",
      "no",
      error instanceof Error ? error.message : "The credential broker did not answer.",
    );
  }
}

/** Null when the response is the server's. The broker strips this header from what servers send. */
async function refusalOf(response: IncomingMessage): Promise<Refused | null> {
  const mark = response.headers["longhaul-refused"];
  if (mark === undefined) return null;
  let envelope: { error?: { message?: unknown; details?: { error_code?: unknown } } } = {};
  try {
    const parsed: unknown = JSON.parse(await readText(response));
    if (typeof parsed === "object" && parsed !== null) envelope = parsed;
  } catch {
    // The header alone says enough.
  }
  const { message, details } = envelope.error ?? {};
  return {
    status: response.statusCode ?? 0,
    code: typeof details?.error_code === "string" ? details.error_code : String(mark),
    message: typeof message === "string" ? message : `The credential broker refused (status ${response.statusCode}).`,
  };
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > MAX_REFUSAL_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The server may have read the request when these are said of it. */
const PERHAPS_SENT = ["endpoint_timeout", "endpoint_failed", "endpoint_redirected"];
const SIGN_IN = ["sign_in_needed", "key_missing", "value_missing"];
const UNREACHED = [
  ...PERHAPS_SENT,
  "endpoint_unreachable",
  "endpoint_misconfigured",
  "address_refused",
  "not_granted",
  "limit",
];
const WAITS = /^(?:broker_draining|grants_unknown|capability_refused|(?:keychain|passphrase|store)_.*)$/;

function errorFor({ code, message, status }: Refused): McpError {
  // A failure inside the broker has no code and may come at any moment.
  const perhaps = PERHAPS_SENT.includes(code) || (status >= 500 && code === "refused");
  return new McpError(kindOf(code), perhaps ? "maybe" : "no", message);
}

function kindOf(code: string): McpErrorKind {
  if (SIGN_IN.includes(code)) return "authentication";
  if (UNREACHED.includes(code)) return "connection";
  return WAITS.test(code) ? "locked" : "protocol";
}

function isEventStream(response: IncomingMessage): boolean {
  return /^text\/event-stream\b/i.test(response.headers["content-type"] ?? "") && response.statusCode === 200;
}

/** Statuses whose responses have no body by definition. */
const BODILESS = [204, 205, 304];

function asResponse(response: IncomingMessage, stream: boolean, onEnd: () => void): Response {
  const status = response.statusCode ?? 0;
  try {
    const headers = new Headers();
    for (const [name, value] of Object.entries(response.headers)) {
      if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(", ") : value);
    }
    const bodiless = BODILESS.includes(status);
    if (bodiless) response.resume();
    return new Response(bodiless ? null : boundedBody(response, stream, onEnd), { status, headers });
  } catch {
    response.destroy();
    throw new McpError(
      "protocol",
      "maybe",
      `The MCP server answered with something that is not HTTP (status ${status}).`,
    );
  }
}

/** What stopped requests reject with. */
export function aborted(): Error {
  const error = new Error("The request to the MCP server was stopped.");
  error.name = "AbortError";
  return error;
}
