/** Sessions as the contract's responses show them, made from the ledger's fold. */
import type { BetaManagedAgentsSession } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { type MonetaryAmount, sessionCost } from "../../../contract/cost/cost.ts";
import { notFound } from "../../../contract/errors.ts";
import type { SessionResource, SessionStatus } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";
import type { TotalUsage } from "../../../contract/threads/state.ts";
import type { SessionRecord } from "../../../session/ledger.ts";
import type { Deps } from "../../http/context.ts";
import { outcomeEvaluations } from "../outcomes/evaluations.ts";

/** The contract's session; its resources may be our `local_repository` too. */
export type ApiSession = Omit<BetaManagedAgentsSession, "resources"> & { resources: SessionResource[] };

/** @throws ApiError 404 */
export async function existingSession(deps: Pick<Deps, "ledger">, id: string): Promise<SessionRecord> {
  return (await deps.ledger.getSession(id)) ?? notFound("Session", id);
}

/** Running is what a live process does now, never what an event once said: a spinner must not lie. */
export function statusOf(deps: Pick<Deps, "orchestrator">, { id, fold, lease }: SessionRecord): SessionStatus {
  if (fold.archived_at !== null || fold.phase === "terminated") return "terminated";
  if (deps.orchestrator.activity(id) !== null || lease !== null) return "running";
  return fold.phase === "rescheduling" ? "rescheduling" : "idle";
}

/** True when no event and no change is taken any more. */
export function isOver(fold: SessionFold): boolean {
  return fold.archived_at !== null || fold.phase === "terminated";
}

/** Seconds with a tenth's precision. */
const seconds = (ms: number) => Math.round(Math.max(0, ms) / 100) / 10;

/** Cumulative running time, up to now while it runs. */
export function activeSeconds(
  fold: Pick<SessionFold, "running_since" | "active_ms">,
  status: SessionStatus,
  now: number,
): number {
  const open = status === "running" && fold.running_since !== null ? now - Date.parse(fold.running_since) : 0;
  return seconds(fold.active_ms + Math.max(0, open));
}

/** The threads' own running times added up: what runs side by side counts for each, unlike in the usage. */
function summedSeconds(fold: SessionFold, status: SessionStatus, now: number): number {
  const threads = [fold.primary ?? fold, ...fold.threads];
  return Math.round(threads.reduce((sum, thread) => sum + activeSeconds(thread, status, now), 0) * 10) / 10;
}

/** Since creation; frozen once the session is over. */
export function durationSeconds(fold: SessionFold, now: number): number {
  const end = isOver(fold) ? Date.parse(fold.archived_at ?? fold.updated_at) : now;
  return seconds(end - Date.parse(fold.created_at));
}

export function usageOf(usage: TotalUsage, active_seconds: number, list_cost: MonetaryAmount | null) {
  return {
    ...(list_cost === null ? {} : { list_cost }),
    input_tokens: usage.input_tokens,
    output_tokens: usage.output_tokens,
    cache_read_input_tokens: usage.cache_read_input_tokens,
    cache_creation: { ephemeral_5m_input_tokens: usage.cache_creation_input_tokens, ephemeral_1h_input_tokens: 0 },
    active_seconds,
    ...(usage.server_tool_use === undefined ? {} : { server_tool_use: usage.server_tool_use }),
  };
}

/** The response object of a session. */
export async function apiSession(deps: Deps, record: SessionRecord): Promise<ApiSession> {
  const { fold } = record;
  const status = statusOf(deps, record);
  const now = deps.now();
  const active_seconds = activeSeconds(fold, status, now);
  return {
    id: record.id,
    type: "session",
    status,
    title: fold.title,
    agent: fold.agent,
    environment_id: fold.environment.id,
    metadata: fold.metadata,
    resources: fold.resources,
    vault_ids: fold.vault_ids,
    budget: fold.budget,
    outcome_evaluations: await outcomeEvaluations(deps.ledger, record),
    deployment_id: fold.deployment_id,
    stats: { active_seconds: summedSeconds(fold, status, now), duration_seconds: durationSeconds(fold, now) },
    usage: usageOf(fold.usage, active_seconds, sessionCost(fold, now)),
    created_at: fold.created_at,
    updated_at: fold.updated_at,
    archived_at: fold.archived_at,
  };
}
