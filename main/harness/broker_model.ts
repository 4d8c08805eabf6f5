/** The model port over the broker's model route. The engine holds a capability token, never a credential. */
import { Agent, type IncomingMessage, request } from "node:http";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import type { BrokerAddress } from "../contract/process.ts";
import { ModelError, type ModelErrorKind, type ModelPort } from "./model.ts";
import { readEvents } from "./model_stream.ts";

export interface BrokerModelOptions {
  /** The broker as it is now: it moves when it is restarted. */
  broker: () => BrokerAddress;
  /** Silence after which a stream counts as dead. The API sends pings, so a healthy one is never silent for long. */
  idleMs: number;
}

const MAX_ERROR_BYTES = 64 * 1024;

export class BrokerModel implements ModelPort {
  readonly #options: BrokerModelOptions;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 32 });
  readonly #capabilities = new Map<string, { launch: string; token: string }>();

  constructor(options: BrokerModelOptions) {
    this.#options = options;
  }

  async *stream(sessionId: string, body: string, signal: AbortSignal): AsyncGenerator<RawMessageStreamEvent> {
    const response = await this.#post(sessionId, body, signal);
    const watchdog = new Watchdog(this.#options.idleMs, () => response.destroy(new Error("silent")));
    try {
      if (response.statusCode !== 200) throw await failureOf(response);
      yield* readEvents(watched(response, watchdog));
    } catch (error) {
      throw signal.aborted ? aborted() : asModelError(error, watchdog.fired);
    } finally {
      watchdog.stop();
      response.destroy();
    }
    if (signal.aborted) throw aborted();
  }

  dropConnections(): void {
    this.#agent.destroy();
    // The broker's own sockets to the endpoint are the ones that sleep kills; a failure here only costs a retry.
    this.#control("POST", "/control/drop_connections").catch(() => undefined);
  }

  /** Ends what a session may use; its next request would ask for a new capability. */
  async revoke(sessionId: string): Promise<void> {
    this.#capabilities.delete(sessionId);
    await this.#control("DELETE", `/control/capabilities/${encodeURIComponent(sessionId)}`);
  }

  /** The broker's own word on endpoint and keychain, parsed from `GET /control/status`. */
  async status(): Promise<unknown> {
    return this.#control("GET", "/control/status");
  }

  async #capability(sessionId: string): Promise<string> {
    const { launch_secret } = this.#options.broker();
    const known = this.#capabilities.get(sessionId);
    // A restarted broker has forgotten its capabilities: fail closed there, ask anew here.
    if (known?.launch === launch_secret) return known.token;
    const answer = (await this.#control("POST", "/control/capabilities", { session_id: sessionId })) as {
      token: string;
    };
    this.#capabilities.set(sessionId, { launch: launch_secret, token: answer.token });
    return answer.token;
  }

  async #post(sessionId: string, body: string, signal: AbortSignal): Promise<IncomingMessage> {
    const first = await this.#send(sessionId, body, signal);
    if (first.statusCode !== 401 || first.headers["longhaul-refused"] !== "capability") return first;
    first.resume();
    this.#capabilities.delete(sessionId);
    return this.#send(sessionId, body, signal);
  }

  async #send(sessionId: string, body: string, signal: AbortSignal): Promise<IncomingMessage> {
    const token = await this.#capability(sessionId);
    const bytes = Buffer.from(body);
    const { url } = this.#options.broker();
    return this.#roundTrip(
      new URL("/model/v1/messages", url),
      "POST",
      { authorization: `Bearer ${token}`, "anthropic-version": "2023-06-01", accept: "text/event-stream" },
      bytes,
      signal,
    );
  }

  async #control(method: string, path: string, body?: unknown): Promise<unknown> {
    const { url, launch_secret } = this.#options.broker();
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const response = await this.#roundTrip(
      new URL(path, url),
      method,
      { authorization: `Bearer ${launch_secret}` },
      bytes,
    );
    const text = await readText(response);
    if ((response.statusCode ?? 500) >= 300) {
      throw new ModelError("failed", `The broker refused ${method} ${path} (status ${response.statusCode}).`);
    }
    return text === "" ? null : JSON.parse(text);
  }

  #roundTrip(
    url: URL,
    method: string,
    headers: Record<string, string>,
    body?: Buffer,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const length =
        body === undefined ? {} : { "content-type": "application/json", "content-length": body.byteLength };
      const outgoing = request(url, {
        method,
        agent: this.#agent,
        headers: { ...headers, ...length },
        ...(signal === undefined ? {} : { signal }),
      });
      outgoing.on("response", resolve);
      outgoing.on("error", (error) => {
        if (signal?.aborted) reject(aborted());
        // The broker is on this machine: when it is away it is being restarted, which a short retry outlives.
        else
          reject(
            new ModelError("failed", `The credential broker did not answer (${error.message}). It is being restarted.`),
          );
      });
      outgoing.end(body);
    });
  }
}

class Watchdog {
  fired = false;
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number, onSilence: () => void) {
    this.#timer = setTimeout(() => {
      this.fired = true;
      onSilence();
    }, ms);
  }

  touch(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

async function* watched(response: IncomingMessage, watchdog: Watchdog): AsyncGenerator<Uint8Array> {
  for await (const chunk of response as AsyncIterable<Buffer>) {
    watchdog.touch();
    yield chunk;
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > MAX_ERROR_BYTES) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function failureOf(response: IncomingMessage): Promise<ModelError> {
  const text = await readText(response);
  return describeFailure(response.statusCode ?? 500, text, retryAfter(response));
}

interface Envelope {
  error?: { type?: string; message?: string; details?: { error_code?: string } };
}

/** Maps an HTTP failure of the Messages API to what the harness does about it. */
export function describeFailure(status: number, text: string, retryAfterMs: number | null): ModelError {
  let envelope: Envelope = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null) envelope = parsed as Envelope;
  } catch {
    envelope = { error: { message: `The endpoint answered with something that is not JSON: ${text.slice(0, 200)}` } };
  }
  const message = envelope.error?.message ?? `The endpoint answered with status ${status}.`;
  const offline = envelope.error?.details?.error_code === "endpoint_unreachable";
  return new ModelError(offline ? "offline" : kindOf(status, message), message, status, retryAfterMs);
}

function kindOf(status: number, message: string): ModelErrorKind {
  if (status === 401 || status === 403) return "authentication";
  if (status === 402) return "billing";
  if (status === 429) return "rate_limited";
  if (status === 529) return "overloaded";
  if (status === 408 || status === 409 || status >= 500) return "failed";
  if (
    (status === 400 || status === 413) &&
    /prompt is too long|context (window|length)|too many tokens/i.test(message)
  ) {
    return "context_too_long";
  }
  return "rejected";
}

function asModelError(error: unknown, silent: boolean): ModelError {
  if (error instanceof ModelError) return error;
  if (silent) return new ModelError("failed", "The model's stream went silent, so the connection was given up.");
  const reason = error instanceof Error ? error.message : String(error);
  return new ModelError("failed", `The model's stream broke off: ${reason}`);
}

function retryAfter(response: IncomingMessage): number | null {
  const ms = Number(response.headers["retry-after-ms"]);
  if (Number.isFinite(ms) && ms > 0) return ms;
  const seconds = Number(response.headers["retry-after"]);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
}

function aborted(): Error {
  const error = new Error("The request was stopped.");
  error.name = "AbortError";
  return error;
}
