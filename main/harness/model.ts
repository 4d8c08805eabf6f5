/** Port: the model. The adapter talks to the broker's model route; a test can script it. */
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";

export interface ModelPort {
  /**
   * Sends one request and yields the raw stream events of the Messages API in order.
   * Rejects with {@link ModelError}; with an `AbortError` when `signal` aborts.
   * @param body exact JSON bytes of the request (`stream: true` included), so that what was hashed is what is sent
   * @param betas values of `anthropic-beta` that fields of the body need
   */
  stream(
    sessionId: string,
    body: string,
    signal: AbortSignal,
    betas?: readonly string[],
  ): AsyncIterable<RawMessageStreamEvent>;
  /** Drops pooled connections: after sleep they are dead and a write to one would hang for minutes. */
  dropConnections(): void;
}

/** What the harness does about a failed request. */
export type ModelErrorKind =
  /** No route to the endpoint: wait for the network, burn no attempts. */
  | "offline"
  /** The keychain does not give the endpoint's key: wait until a person unlocks it, burn no attempts. */
  | "locked"
  | "overloaded"
  | "rate_limited"
  /** 5xx, malformed stream, cut connection, time-out. */
  | "failed"
  /** 401/403: a person must fix the credential. */
  | "authentication"
  | "billing"
  /** 400/404/413/422: repeating the same request cannot help. */
  | "rejected"
  | "context_too_long";

export class ModelError extends Error {
  readonly kind: ModelErrorKind;
  readonly status: number | null;
  /** From `retry-after`, in milliseconds. */
  readonly retryAfterMs: number | null;

  constructor(kind: ModelErrorKind, message: string, status: number | null = null, retryAfterMs: number | null = null) {
    super(message);
    this.name = "ModelError";
    this.kind = kind;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}
