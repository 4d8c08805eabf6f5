/** The model route: a session's request with the endpoint's credential in place of its capability. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { DEMO_MODEL } from "../../contract/demo.ts";
import type { DemoModel } from "../demo/answer.ts";
import type { BrokerLog } from "../log.ts";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import { readBody } from "../relay/request_body.ts";
import { relay } from "../relay/response.ts";
import type { Upstream } from "../relay/upstream.ts";
import { type Endpoint, NAMES } from "./endpoint.ts";
import type { ModelEndpoints } from "./endpoints.ts";
import { downstreamHeaders, upstreamHeaders } from "./headers.ts";

export interface ModelRouteContext {
  endpoints: ModelEndpoints;
  redactor: Redactor;
  log: BrokerLog;
  demo: DemoModel;
  /** Called before an exchange; what comes back is told how it began: its status, or what kept it from answering. */
  noteFor: () => (outcome: Outcome) => void;
}

export type Outcome = { status: number } | { refusal: Refusal };

const MAX_REQUEST_BYTES = 32 * 1024 * 1024;
const MAX_RESPONSE_BYTES = 128 * 1024 * 1024;
const PREFIX = "/model";
const DEMO = { endpoint: { kind: "demo" }, upstream: null } as const;

type Remote = Extract<Endpoint, { kind: "remote" }>;

/** Answers one request under `/model/`. Rejects with {@link Refusal} before the response began. */
export async function answerModel(
  request: IncomingMessage,
  response: ServerResponse,
  sessionId: string,
  context: ModelRouteContext,
): Promise<void> {
  const path = documentedPath(request);
  const gone = new AbortController();
  response.on("close", () => {
    // After a complete response the endpoint's connection is back in the pool: an abort would throw it away.
    if (!response.writableFinished) gone.abort();
  });
  const body = request.method === "POST" ? await readBody(request, MAX_REQUEST_BYTES) : null;
  const { endpoint, upstream: connections } =
    body !== null && asksForDemo(body) ? DEMO : await context.endpoints.current();
  if (endpoint.kind === "demo") return context.demo.answer({ path, body, sessionId }, response, gone.signal);
  if (endpoint.kind === "unusable" || connections === null) {
    const message = endpoint.kind === "unusable" ? endpoint.message : "No model endpoint is set up.";
    throw new Refusal(400, "invalid_request_error", message, "endpoint_misconfigured");
  }
  // Whoever asked may have gone while the keychain was asked.
  if (gone.signal.aborted) return;
  const upstream = await send(connections, request, endpoint, path, body, context, gone.signal);
  await passOn(upstream, response, endpoint, context);
}

async function send(
  upstream: Upstream,
  request: IncomingMessage,
  endpoint: Remote,
  path: string,
  body: Buffer | null,
  context: ModelRouteContext,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const headers = upstreamHeaders(request.headers, endpoint.credentials, body?.length ?? null);
  const note = context.noteFor();
  try {
    const answer = await upstream.send({
      method: request.method ?? "GET",
      path: endpoint.prefix + path,
      headers,
      body,
      signal,
    });
    note({ status: answer.statusCode ?? 0 });
    return answer;
  } catch (error) {
    if (error instanceof Refusal && !signal.aborted) note({ refusal: error });
    throw error;
  }
}

async function passOn(
  upstream: IncomingMessage,
  response: ServerResponse,
  { host, source }: Remote,
  context: ModelRouteContext,
): Promise<void> {
  const status = upstream.statusCode ?? 502;
  if (status >= 300 && status < 400 && status !== 304) {
    upstream.destroy();
    throw new Refusal(
      502,
      "api_error",
      `${host} answered with a redirect (status ${status}). It was not followed, because that would hand the key to another address. Set ${NAMES[source].base_url} to the final address.`,
      "endpoint_redirected",
    );
  }
  const { redactor, log } = context;
  const headers = (decoded: boolean) => downstreamHeaders(upstream.headers, redactor, decoded, source);
  await relay(upstream, response, { host, redactor, maxBytes: MAX_RESPONSE_BYTES, headers, log });
}

/**
 * The request's path without our prefix, query included, when it is one of the documented Messages paths.
 * Anything else could use the key for more than asking a model.
 */
function documentedPath(request: IncomingMessage): string {
  const full = (request.url ?? "").slice(PREFIX.length);
  const [path = "", query] = full.split("?", 2);
  const { method } = request;
  const known =
    (method === "POST" && (path === "/v1/messages" || path === "/v1/messages/count_tokens")) ||
    (method === "GET" && (path === "/v1/models" || isModelPath(path)));
  if (!known) {
    throw new Refusal(
      404,
      "not_found_error",
      `${method ?? ""} ${path} is not a path of the model route. It serves /v1/messages, /v1/messages/count_tokens and /v1/models.`,
    );
  }
  return query === undefined ? path : `${path}?${query}`;
}

function isModelPath(path: string): boolean {
  const encoded = /^\/v1\/models\/([^/]+)$/.exec(path)?.[1];
  if (encoded === undefined || /%(?![0-9a-f]{2})|%[89a-f]/i.test(encoded)) return false;
  const id = decodeURIComponent(encoded);
  return /^[\w.:@/-]+$/.test(id) && !id.split("/").some((part) => part === "." || part === ".." || part === "");
}

/** True when the body names the demo model. Bodies are large and rarely do, so they are searched before they are parsed. */
function asksForDemo(body: Buffer): boolean {
  if (!body.includes(DEMO_MODEL)) return false;
  try {
    const parsed: unknown = JSON.parse(body.toString());
    return typeof parsed === "object" && parsed !== null && "model" in parsed && parsed.model === DEMO_MODEL;
  } catch {
    // Not JSON: the endpoint refuses it with a better text than ours.
    return false;
  }
}
