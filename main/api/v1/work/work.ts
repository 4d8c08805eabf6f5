/** Work items as the contract's responses show them, and the refusals of the queue as its errors. */
import type {
  BetaSelfHostedWork,
  BetaSelfHostedWorkHeartbeatResponse,
  BetaWorkLeaseState,
} from "@anthropic-ai/sdk/resources/beta/environments/work";
import { ApiError, type ErrorEnvelope } from "../../../contract/errors.ts";
import { type HeartbeatAnswer, LeaseMismatch, WorkConflict, type WorkItem } from "../../../workers/port.ts";

/** @param secret only in the answer of a poll */
export function apiWork(item: WorkItem, secret: string | null = null): BetaSelfHostedWork {
  return {
    id: item.id,
    type: "work",
    environment_id: item.environment_id,
    state: item.state,
    data: { type: "session", id: item.session_id },
    secret,
    metadata: item.metadata,
    created_at: item.created_at,
    acknowledged_at: item.acknowledged_at,
    started_at: item.started_at,
    latest_heartbeat_at: item.latest_heartbeat_at,
    stop_requested_at: item.stop_requested_at,
    stopped_at: item.stopped_at,
  };
}

/** The contract's envelope of an item's token: base64url of JSON. */
export function workSecret(token: string, baseUrl: string): string {
  return Buffer.from(JSON.stringify({ sessions_token: token, api_base_url: baseUrl })).toString("base64url");
}

export function apiHeartbeat({ item, lease_extended }: HeartbeatAnswer): BetaSelfHostedWorkHeartbeatResponse {
  return {
    type: "work_heartbeat",
    last_heartbeat: item.latest_heartbeat_at ?? "",
    lease_extended,
    state: item.state,
    ttl_seconds: item.ttl_seconds,
  };
}

/** 412 with the lease as it is: the one status that makes a worker let go without stopping the item. */
class LeaseRefused extends ApiError {
  readonly #lease: BetaWorkLeaseState;

  constructor({ item, message }: LeaseMismatch) {
    super("invalid_request_error", message, "heartbeat_precondition_failed");
    this.#lease = {
      state: item.state,
      ttl_seconds: item.ttl_seconds,
      last_heartbeat: item.latest_heartbeat_at,
      lease_extended: false,
    };
  }

  override get status(): number {
    return 412;
  }

  override envelope(requestId: string): ErrorEnvelope {
    const { error, ...rest } = super.envelope(requestId);
    const details = { error_code: "heartbeat_precondition_failed", current_state: this.#lease };
    return { ...rest, error: { ...error, details } };
  }
}

/** What the queue answers, with its refusals as errors of the contract. */
export async function orRefusal<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof LeaseMismatch) throw new LeaseRefused(error);
    if (error instanceof WorkConflict) throw new ApiError("conflict_error", error.message);
    throw error;
  }
}
