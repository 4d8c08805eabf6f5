/** Deployments as requests give them → as they are stored → as the contract's responses show them. */
import { isDeepStrictEqual } from "node:util";
import type { BetaManagedAgentsDeployment } from "@anthropic-ai/sdk/resources/beta/deployments";
import { parseCron } from "../../../contract/cron/expression.ts";
import { upcoming } from "../../../contract/cron/occurrences.ts";
import { invalid, notFound } from "../../../contract/errors.ts";
import type { DeploymentCreate, DeploymentUpdate } from "../../../contract/schemas/deployments.ts";
import { type DeploymentRecord, deploymentTable } from "../../../orchestration/schedules/port.ts";
import type { Deps } from "../../http/context.ts";
import { patchedMetadata } from "../agents/agent.ts";
import type { SessionParams } from "../sessions/new_session.ts";

const UPCOMING = 5;

/** The contract's deployment; its resources may be our `local_repository` too. */
export type ApiDeployment = Omit<BetaManagedAgentsDeployment, "resources" | "initial_events"> &
  Pick<DeploymentRecord, "resources" | "initial_events">;

/** @param version the agent's version that was found for the request */
export function newDeployment(id: string, at: string, params: DeploymentCreate, version: number): DeploymentRecord {
  return {
    id,
    created_at: at,
    updated_at: at,
    archived_at: null,
    name: params.name,
    description: params.description || null,
    metadata: params.metadata ?? {},
    agent: pinned(params.agent, version),
    environment_id: params.environment_id,
    initial_events: params.initial_events,
    resources: params.resources ?? [],
    vault_ids: params.vault_ids ?? [],
    budget: params.budget ?? null,
    schedule: params.schedule ?? null,
    last_run_at: null,
    paused_reason: null,
    scheduled_through: at,
  };
}

/**
 * The deployment after an update, or the same object when it changes nothing. Omitted fields are kept, lists are replaced
 * whole, null clears, metadata is merged key by key. A new schedule begins now.
 */
export function updatedDeployment(
  deployment: DeploymentRecord,
  at: string,
  params: DeploymentUpdate,
  version: number,
): DeploymentRecord {
  const next: DeploymentRecord = { ...deployment };
  if (params.name !== undefined) next.name = params.name;
  if (params.description !== undefined) next.description = params.description || null;
  if (params.metadata != null) next.metadata = patchedMetadata(deployment.metadata, params.metadata);
  if (params.agent !== undefined) next.agent = pinned(params.agent, version);
  if (params.environment_id !== undefined) next.environment_id = params.environment_id;
  if (params.initial_events !== undefined) next.initial_events = params.initial_events;
  if (params.resources !== undefined) next.resources = params.resources ?? [];
  if (params.vault_ids !== undefined) next.vault_ids = params.vault_ids ?? [];
  if (params.budget !== undefined) next.budget = params.budget;
  if (params.schedule !== undefined) next.schedule = params.schedule;
  if (isDeepStrictEqual(next, deployment)) return deployment;
  const rescheduled = !isDeepStrictEqual(next.schedule, deployment.schedule);
  return { ...next, updated_at: at, ...(rescheduled ? { scheduled_through: at } : {}) };
}

function pinned(agent: DeploymentCreate["agent"], version: number): DeploymentRecord["agent"] {
  return { id: typeof agent === "string" ? agent : agent.id, type: "agent", version };
}

/** What a session of this deployment is made from. */
export function sessionParams(deployment: DeploymentRecord): SessionParams {
  const { agent, environment_id, initial_events, resources, vault_ids, budget, name } = deployment;
  return { agent, environment_id, initial_events, resources, vault_ids, budget, title: name };
}

/** The response object of a deployment. */
export function apiDeployment(deployment: DeploymentRecord, now: number): ApiDeployment {
  const { scheduled_through: _, last_run_at, schedule, archived_at, paused_reason } = deployment;
  return {
    id: deployment.id,
    type: "deployment",
    name: deployment.name,
    description: deployment.description,
    agent: deployment.agent,
    environment_id: deployment.environment_id,
    initial_events: deployment.initial_events,
    resources: deployment.resources,
    vault_ids: deployment.vault_ids,
    metadata: deployment.metadata,
    budget: deployment.budget ?? null,
    schedule:
      schedule === null
        ? null
        : { ...schedule, last_run_at, upcoming_runs_at: archived_at === null ? upcomingRuns(schedule, now) : [] },
    status: paused_reason === null ? "active" : "paused",
    paused_reason,
    created_at: deployment.created_at,
    updated_at: deployment.updated_at,
    archived_at,
  };
}

function upcomingRuns({ expression, timezone }: NonNullable<DeploymentRecord["schedule"]>, now: number): string[] {
  const schedule = { cron: parseCron(expression), timezone };
  return upcoming(schedule, now, UPCOMING).map((ms) => new Date(ms).toISOString());
}

/** @throws ApiError 404 */
export async function existingDeployment(deps: Pick<Deps, "records">, id: string): Promise<DeploymentRecord> {
  return (await deploymentTable(deps.records).get(id))?.value ?? notFound("Deployment", id);
}

/** Throws 400 for a deployment that is read-only. */
export function refuseArchivedDeployment({ id, archived_at }: DeploymentRecord): void {
  if (archived_at === null) return;
  invalid(`Deployment ${id} was archived and is read-only. Create a new one instead.`);
}
