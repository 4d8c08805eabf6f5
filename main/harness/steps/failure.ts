/** What a failed model request means for the session: a planned retry, or the end of the turn. */
import type { EventDraft } from "../../contract/events.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";
import type { ModelError, ModelErrorKind } from "../model.ts";
import type { HarnessPorts } from "../ports.ts";
import { exhaustedEvents, type PlainError, rescheduledEvents } from "../statuses.ts";

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 60_000;
const OFFLINE_RETRY_MS = 15_000;
/** Nobody tells when a keychain is unlocked. */
const MAX_LOCKED_RETRY_MS = 60_000;
/** The network's return is told to us; asking is only for when it is not, and each asking is a dozen events. */
const MAX_OFFLINE_RETRY_MS = 600_000;

const ERROR_TYPES: Record<ModelErrorKind, PlainError> = {
  offline: "model_request_failed_error",
  locked: "model_request_failed_error",
  overloaded: "model_overloaded_error",
  rate_limited: "model_rate_limited_error",
  failed: "model_request_failed_error",
  authentication: "model_request_failed_error",
  billing: "billing_error",
  rejected: "model_request_failed_error",
  context_too_long: "model_request_failed_error",
};

const TRANSIENT = new Set<ModelErrorKind>(["offline", "locked", "overloaded", "rate_limited", "failed"]);

type Ports = Pick<HarnessPorts, "limits" | "now" | "random">;

/** Closes the span and either plans the retry (session `rescheduling`) or ends the turn (`retries_exhausted`). */
export function failureEvents(fold: ThreadFold, requestId: string, failure: ModelError, ports: Ports): EventDraft[] {
  const closed = closeRequest(requestId, "failed");
  if (failure.kind === "context_too_long") {
    // Once only: a request that is refused after everything long was shortened cannot be made to fit.
    if (!fold.context_full) return [...closed, { type: "longhaul.context_full", model_request_start_id: requestId }];
    return [
      ...closed,
      ...exhaustedEvents(
        fold,
        "compaction_limit_reached_error",
        `The session no longer fits the model's context. ${failure.message}`,
      ),
    ];
  }
  const retry = retryEvents(fold, failure, ports);
  if (retry !== null) return [...closed, ...retry];
  return [...closed, ...exhaustedEvents(fold, ERROR_TYPES[failure.kind], failure.message)];
}

/** Plans the next attempt, if there is to be one: null after too many, or where repeating cannot help. */
export function retryEvents(fold: ThreadFold, failure: ModelError, ports: Ports): EventDraft[] | null {
  const type = ERROR_TYPES[failure.kind];
  const waits = failure.kind === "offline" || failure.kind === "locked";
  const attempt = waits ? Math.max(1, fold.failures) : fold.failures + 1;
  if (!TRANSIENT.has(failure.kind) || attempt > ports.limits.max_failures) return null;
  const delay = retryDelayMs(failure, waits ? fold.offline_waits + 1 : attempt, ports.random());
  return [
    { type: "session.error", error: { type, message: failure.message, retry_status: { type: "retrying" } } },
    {
      type: "longhaul.retry_scheduled",
      attempt,
      at: new Date(ports.now() + delay).toISOString(),
      error_type: type,
      waits_for_network: failure.kind === "offline",
      ...(failure.kind === "locked" ? { waits_for_keychain: true as const } : {}),
    },
    ...rescheduledEvents(fold),
  ];
}

/** Exponential with jitter; at least what the endpoint asked for. */
export function retryDelayMs(
  failure: Pick<ModelError, "kind" | "retryAfterMs">,
  attempt: number,
  random: number,
): number {
  const wait = OFFLINE_RETRY_MS * 2 ** (attempt - 1);
  if (failure.kind === "offline") return Math.min(MAX_OFFLINE_RETRY_MS, wait);
  if (failure.kind === "locked") return Math.min(MAX_LOCKED_RETRY_MS, wait);
  const ceiling = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (attempt - 1));
  const jittered = Math.round(ceiling * (0.5 + random / 2));
  return Math.max(jittered, Math.min(failure.retryAfterMs ?? 0, 3_600_000));
}

/** Ends the span of a request that has no answer. */
export function closeRequest(requestId: string, cause: "cut_off" | "interrupted" | "failed"): EventDraft[] {
  return [
    { type: "longhaul.model_request_abandoned", model_request_start_id: requestId, cause },
    {
      type: "span.model_request_end",
      model_request_start_id: requestId,
      is_error: true,
      model_usage: {
        input_tokens: 0,
        output_tokens: 0,
        cache_read_input_tokens: 0,
        cache_creation_input_tokens: 0,
        speed: null,
      },
    },
  ];
}
