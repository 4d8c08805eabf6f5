/** The offline demo model over HTTP: the same paths and shapes as the Messages API. */
import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { DEMO_MODEL } from "../../contract/demo.ts";
import { Refusal } from "../refusal.ts";
import { parseRequest, readConversation } from "./conversation.ts";
import { nextMove } from "./play.ts";
import { eventsOf, messageOf } from "./stream.ts";
import { DemoCache, promptTokens } from "./usage.ts";

export interface DemoRequest {
  /** Without the broker's prefix. */
  path: string;
  body: Buffer | null;
  sessionId: string;
}

const HEADERS = { "longhaul-endpoint": "demo", "cache-control": "no-store" };
const MODEL = {
  type: "model",
  id: DEMO_MODEL,
  display_name: "Longhaul offline demo",
  created_at: "2026-11-01T00:00:00Z",
};

export class DemoModel {
  readonly #cache = new DemoCache();
  readonly #paceMs: number;

  /** @param paceMs milliseconds between two deltas of a stream */
  constructor(paceMs: number) {
    this.#paceMs = paceMs;
  }

  /** Answers one request; `signal` is the caller's departure. Rejects with {@link Refusal}. */
  async answer(request: DemoRequest, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const path = request.path.split("?", 1)[0] ?? "";
    if (path.startsWith("/v1/models")) return answerModels(path, response);
    const body = parseRequest(request.body);
    if (path === "/v1/messages/count_tokens") return sendJson(response, { input_tokens: promptTokens(body) });
    if (typeof body.max_tokens !== "number")
      throw new Refusal(400, "invalid_request_error", "max_tokens: Field required");
    const message = messageOf(
      nextMove(readConversation(body)),
      body.messages,
      this.#cache.read(request.sessionId, body),
    );
    if (body.stream !== true) return sendJson(response, message);
    response.writeHead(200, {
      ...HEADERS,
      "content-type": "text/event-stream; charset=utf-8",
      "request-id": message.id,
    });
    response.flushHeaders();
    for (const event of eventsOf(message)) {
      if (this.#paceMs > 0 && event.type === "content_block_delta") await sleep(this.#paceMs, undefined, { signal });
      if (signal.aborted) return;
      response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      if (event.type === "message_start") response.write('event: ping\ndata: {"type":"ping"}\n\n');
    }
    response.end();
  }
}

function answerModels(path: string, response: ServerResponse): void {
  if (path === "/v1/models")
    return sendJson(response, { data: [MODEL], first_id: MODEL.id, last_id: MODEL.id, has_more: false });
  if (path === `/v1/models/${DEMO_MODEL}`) return sendJson(response, MODEL);
  throw new Refusal(404, "not_found_error", `Only the offline demo model is connected: ${DEMO_MODEL}.`);
}

function sendJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { ...HEADERS, "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
