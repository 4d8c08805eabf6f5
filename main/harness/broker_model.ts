/** The model port over the broker's model route. The engine holds a capability token, never a credential. */
import type { IncomingMessage } from "node:http";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import type { BrokerAddress } from "../contract/process.ts";
import { aborted, BrokerClient, readText } from "./broker_client.ts";
import { ModelError, type ModelErrorKind, type ModelPort } from "./model.ts";
import { readEvents } from "./model_stream.ts";

export interface BrokerModelOptions {
  /** The broker as it is now: it moves when it is restarted. */
  broker: () => BrokerAddress;
  /** Silence after which a stream counts as dead. The API sends pings, so a healthy one is never silent for long. */
  idleMs: number;
}

export class BrokerModel implements ModelPort {
  readonly #options: BrokerModelOptions;
  /** For the other routes that the same broker offers. */
  readonly client: BrokerClient;

  constructor(options: BrokerModelOptions) {
    this.#options = options;
    this.client = new BrokerClient(options.broker);
  }

  async *stream(
    sessionId: string,
    body: string,
    signal: AbortSignal,
    betas: readonly string[] = [],
  ): AsyncGenerator<RawMessageStreamEvent> {
    const response = await this.#post(sessionId, body, signal, betas);
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
    this.client.dropConnections();
    // The broker's own sockets to the endpoint are the ones that sleep kills; a failure here only costs a retry.
    this.client.control("POST", "/control/drop_connections").catch(() => undefined);
  }

  /** Ends what a session may use; its next request would ask for a new capability. */
  revoke(sessionId: string): Promise<void> {
    return this.client.revoke(sessionId);
  }

  /** The broker's own word on endpoint and keychain, parsed from `GET /control/status`. */
  async status(): Promise<unknown> {
    return this.client.control("GET", "/control/status");
  }

  async #post(
    sessionId: string,
    body: string,
    signal: AbortSignal,
    betas: readonly string[],
  ): Promise<IncomingMessage> {
    const first = await this.#send(sessionId, body, signal, betas);
    if (first.statusCode !== 401 || first.headers["longhaul-refused"] !== "capability") return first;
    first.resume();
    this.client.forgetCapability(sessionId);
    return this.#send(sessionId, body, signal, betas);
  }

  async #send(
    sessionId: string,
    body: string,
    signal: AbortSignal,
    betas: readonly string[],
  ): Promise<IncomingMessage> {
    const token = await this.client.capability(sessionId);
    const headers = {
      authorization: `Bearer ${token}`,
      "anthropic-version": "2023-06-01",
      accept: "text/event-stream",
      ...(betas.length === 0 ? {} : { "anthropic-beta": betas.join(",") }),
    };
    return this.client.roundTrip("POST", "/model/v1/messages", headers, Buffer.from(body), signal);
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
  const kind = WAITING[envelope.error?.details?.error_code ?? ""] ?? kindOf(status, message);
  return new ModelError(kind, message, status, retryAfterMs);
}

/** Codes of the broker's own refusals that pass without anything being wrong with the request. */
const WAITING: Record<string, ModelErrorKind> = {
  endpoint_unreachable: "offline",
  keychain_locked: "locked",
  // Its service is not running, for example because nobody has signed in to the desktop yet.
  keychain_missing: "locked",
};

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
