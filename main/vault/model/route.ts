/** The model route: a session's request with the endpoint's credential in place of its capability. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { DEMO_MODEL } from "../../contract/demo.ts";
import type { DemoModel } from "../demo/answer.ts";
import type { BrokerLog } from "../log.ts";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import { type Endpoint, NAMES } from "./endpoint.ts";
import type { ModelEndpoints } from "./endpoints.ts";
import { downstreamHeaders, upstreamHeaders } from "./headers.ts";
import type { Upstream } from "./upstream.ts";

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

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  br: createBrotliDecompress,
  deflate: createInflate,
  zstd: createZstdDecompress,
};

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
  const body = request.method === "POST" ? await readBody(request) : null;
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
  await relay(upstream, response, endpoint, context);
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

async function relay(
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
  const coding = upstream.headers["content-encoding"]?.trim().toLowerCase();
  const decoder = coding === undefined || coding === "identity" ? null : (DECODERS[coding] ?? undefined);
  if (decoder === undefined) {
    upstream.destroy();
    throw new Refusal(502, "api_error", `${host} answered in a coding that was not asked for.`, "endpoint_failed");
  }
  response.writeHead(status, downstreamHeaders(upstream.headers, context.redactor, decoder !== null, source));
  response.flushHeaders();
  const masking = context.redactor.stream(MAX_RESPONSE_BYTES);
  try {
    if (decoder === null) await pipeline(upstream, masking, response);
    else await pipeline(upstream, decoder(), masking, response);
  } catch (error) {
    // Both ends are torn down by now, so that the caller sees a broken response and not a short complete one.
    const reason = error instanceof Error ? error.message : String(error);
    context.log.debug({ host, reason }, "a response was broken off");
  }
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

/** Reads the whole body; beyond the API's own limit it is refused while the connection stays usable. */
async function readBody(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size <= MAX_REQUEST_BYTES) parts.push(part);
  }
  if (size > MAX_REQUEST_BYTES) {
    throw new Refusal(413, "request_too_large", `The request has ${size} bytes; ${MAX_REQUEST_BYTES} are the limit.`);
  }
  return Buffer.concat(parts, size);
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
