/**
 * A local Messages API for tests and benchmarks. It refuses what the real API refuses, models the prompt cache, and
 * answers as scripted. It never talks to a network.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PromptCache } from "./cache.ts";
import { checkSize, MAX_BODY_BYTES, parseBody } from "./checks/body.ts";
import { Rejection } from "./checks/rejection.ts";
import { checkRequest, type ModelLimits } from "./checks/request.ts";
import { refuseServerTools } from "./checks/server_tools.ts";
import { ThinkingLedger } from "./checks/thinking.ts";
import type { Turn } from "./checks/turns.ts";
import { sendFault, sendJson, sendReply } from "./respond.ts";
import { isReply, type RequestBody, type Script, type ScriptRequest, type ScriptTurn } from "./script.ts";
import { buildReply } from "./stream.ts";

export interface ModelServerOptions {
  script: Script;
  /** Accepted key, as `x-api-key` or Bearer; null accepts any caller, as local endpoints do. */
  apiKey?: string | null;
  models?: Record<string, ModelLimits>;
  /** Shortest cacheable prefix in tokens; the real models need 1024 or more. */
  cacheMinTokens?: number;
  /** Clock of the prompt cache, in ms. */
  now?: () => number;
  /** False: an endpoint that knows tools of the client only and refuses the API's own web tools. Default: true. */
  serverTools?: boolean;
  /** Port to listen on, to come back where an earlier server was. Default: any free one. */
  port?: number;
}

/** One request as it arrived. */
export interface RecordedRequest {
  path: string;
  headers: IncomingMessage["headers"];
  /** The exact bytes of the body. */
  raw: Buffer;
  /** The parsed body; null when it could not be parsed. */
  body: RequestBody | null;
  /** Why the request was refused; null when it was accepted. */
  rejected: { status: number; message: string } | null;
  /** True once the client went away before the response was complete. */
  aborted: boolean;
}

export interface ModelServer {
  url: string;
  apiKey: string;
  requests: RecordedRequest[];
  /** Replaces the script for the requests to come. A list starts at its first turn. */
  setScript(script: Script): void;
  /** Ends every connection and the server. */
  close(): Promise<void>;
}

const LIMITS: ModelLimits = { context: 200_000, max_output: 64_000, prefill: false };
const OLDER: ModelLimits = { ...LIMITS, system_role: false };
export const DEFAULT_MODELS: Record<string, ModelLimits> = {
  "claude-opus-5-5": { ...LIMITS, max_output: 128_000 },
  "claude-sonnet-5-5": LIMITS,
  "claude-sonnet-5": LIMITS,
  "claude-haiku-5-5": LIMITS,
  "claude-opus-4-6": { ...OLDER, max_output: 128_000 },
  "claude-sonnet-4-6": OLDER,
  "claude-haiku-4-5": { ...OLDER, prefill: true },
};

/** Starts the server on 127.0.0.1. */
export async function startModelServer(options: ModelServerOptions): Promise<ModelServer> {
  const app = new ModelApi(options);
  const server = createServer((request, response) => void app.handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    apiKey: app.apiKey ?? "unused",
    requests: app.requests,
    setScript: (script) => app.setScript(script),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

class ModelApi {
  readonly requests: RecordedRequest[] = [];
  readonly apiKey: string | null;
  readonly #models: Record<string, ModelLimits>;
  readonly #cache: PromptCache;
  // A fixed secret: a server that is started again accepts the thinking an earlier one issued.
  readonly #serverTools: boolean;
  readonly #thinking = new ThinkingLedger("longhaul-model-server");
  #script: Script;
  #position = 0;
  #accepted = 0;
  #ids = 0;

  constructor(options: ModelServerOptions) {
    this.#script = options.script;
    this.apiKey = options.apiKey === undefined ? "sk-ant-local-test" : options.apiKey;
    this.#models = options.models ?? DEFAULT_MODELS;
    this.#serverTools = options.serverTools ?? true;
    this.#cache = new PromptCache(options.cacheMinTokens ?? 1024, options.now ?? Date.now);
  }

  setScript(script: Script): void {
    this.#script = script;
    this.#position = 0;
  }

  #newId(prefix: string): string {
    this.#ids += 1;
    return `${prefix}01${String(this.#ids).padStart(20, "0")}`;
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = this.#newId("req_");
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const record: RecordedRequest = {
      path,
      headers: request.headers,
      raw: Buffer.alloc(0),
      body: null,
      rejected: null,
      aborted: false,
    };
    this.requests.push(record);
    const gone = new AbortController();
    response.on("close", () => {
      record.aborted = !response.writableFinished;
      gone.abort();
    });
    try {
      await this.#route(request, response, record, requestId, gone.signal);
    } catch (error) {
      if (gone.signal.aborted) return;
      const rejection =
        error instanceof Rejection ? error : new Rejection(`model server: ${String(error)}`, 500, "api_error");
      record.rejected = { status: rejection.status, message: rejection.message };
      sendJson(response, rejection.status, rejection.body(requestId), requestId, { "x-should-retry": "false" });
    }
  }

  async #route(
    request: IncomingMessage,
    response: ServerResponse,
    record: RecordedRequest,
    requestId: string,
    signal: AbortSignal,
  ): Promise<void> {
    record.raw = await readAll(request);
    this.#authenticate(request);
    const route = `${request.method ?? ""} ${record.path}`;
    if (route === "GET /v1/models") {
      const data = Object.keys(this.#models).map(modelInfo);
      return sendJson(
        response,
        200,
        { data, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null, has_more: false },
        requestId,
      );
    }
    if (route === "POST /v1/messages/count_tokens") {
      record.body = parseBody(record.raw) as RequestBody;
      const { promptTokens } = checkRequest(record.body, "count", this.#models, this.#thinking);
      return sendJson(response, 200, { input_tokens: promptTokens }, requestId);
    }
    if (route !== "POST /v1/messages") throw new Rejection(`Not found: ${route}`, 404, "not_found_error");
    record.body = parseBody(record.raw) as RequestBody;
    if (!this.#serverTools) refuseServerTools(record.body);
    const { turns } = checkRequest(record.body, "create", this.#models, this.#thinking);
    const turn = await this.#next(record.body, turns);
    if (!isReply(turn)) return sendFault(turn, request, response, requestId);
    const usage = this.#cache.use(record.body, this.apiKey ?? "");
    const built = buildReply(turn, record.body, usage, (prefix) => this.#newId(prefix), this.#thinking);
    await sendReply(turn, built, record.body.stream === true, response, requestId, signal);
  }

  #authenticate(request: IncomingMessage): void {
    if (request.headers["anthropic-version"] === undefined) {
      throw new Rejection("anthropic-version: header is required");
    }
    if (this.apiKey === null) return;
    const bearer = request.headers.authorization?.replace(/^Bearer /, "");
    const given = request.headers["x-api-key"] ?? bearer;
    if (given === undefined) throw new Rejection("x-api-key header is required", 401, "authentication_error");
    if (given !== this.apiKey) throw new Rejection("invalid x-api-key", 401, "authentication_error");
  }

  async #next(body: RequestBody, turns: readonly Turn[]): Promise<ScriptTurn> {
    const index = this.#accepted;
    this.#accepted += 1;
    if (typeof this.#script === "function") return this.#script(scriptRequest(body, turns, index));
    const turn = this.#script[this.#position];
    this.#position += 1;
    if (turn === undefined) {
      throw new Rejection(
        `model server: the script has ${this.#script.length} turns, this request would be turn ${this.#position}`,
      );
    }
    return turn;
  }
}

function scriptRequest(body: RequestBody, turns: readonly Turn[], index: number): ScriptRequest {
  // A system message stands behind the user's turn that it came with.
  const last = turns.findLast(({ role }) => role !== "system");
  const results: ScriptRequest["results"] = new Map();
  const texts: string[] = [];
  for (const block of last?.role === "user" ? last.blocks : []) {
    if (block.type === "text") texts.push(String(block.text));
    if (block.type !== "tool_result") continue;
    results.set(String(block.tool_use_id), {
      text: resultText(block.content),
      is_error: block.is_error === true,
    });
  }
  const turn = turns.filter((item) => item.role === "assistant").length;
  return { body, index, turn, results, lastText: texts.join("\n") };
}

function resultText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.map((block: { text?: unknown }) => (typeof block.text === "string" ? block.text : "")).join("\n");
}

const modelInfo = (id: string) => ({ type: "model", id, display_name: id, created_at: "2026-01-01T00:00:00Z" });

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    // Read to the end even when it is too large: a client that still writes would see a reset instead of the 413.
    if (size <= MAX_BODY_BYTES) parts.push(part as Buffer);
  }
  checkSize(size);
  return Buffer.concat(parts);
}
