/** Port: deployments and their runs as they are stored, and what fires them. Implemented by `scheduler.ts`. */
import type {
  BetaManagedAgentsDeploymentRun,
  BetaManagedAgentsTriggerContext,
} from "@anthropic-ai/sdk/resources/beta/deployment-runs";
import type { BetaManagedAgentsDeploymentPausedReason } from "@anthropic-ai/sdk/resources/beta/deployments";
import type { CronSchedule, DeploymentCreate } from "../../contract/schemas/deployments.ts";
import { RecordTable, type Versioned } from "../../session/records/record_table.ts";
import { RecordConflict, type Records } from "../../session/records/records.ts";

export interface DeploymentRecord {
  id: string;
  created_at: string;
  updated_at: string;
  archived_at: string | null;
  name: string;
  description: string | null;
  metadata: Record<string, string>;
  /** Pinned to one version. */
  agent: { id: string; type: "agent"; version: number };
  environment_id: string;
  initial_events: DeploymentCreate["initial_events"];
  resources: NonNullable<DeploymentCreate["resources"]>;
  vault_ids: string[];
  budget: DeploymentCreate["budget"];
  schedule: CronSchedule | null;
  /** When the newest scheduled run that made a session began. */
  last_run_at: string | null;
  paused_reason: BetaManagedAgentsDeploymentPausedReason | null;
  /** Times of the schedule up to this one (ISO 8601) are dealt with: run, written down as missed, or not wanted. */
  scheduled_through: string;
}

export type RunError = NonNullable<BetaManagedAgentsDeploymentRun["error"]>;

/** One attempt. While neither `session_id` nor `error` is set it is open: claimed, and its outcome is not known yet. */
export interface RunRecord {
  id: string;
  created_at: string;
  deployment_id: string;
  agent: DeploymentRecord["agent"];
  trigger_context: BetaManagedAgentsTriggerContext;
  session_id: string | null;
  error: RunError | null;
  /** Id that the session gets, chosen with the claim: after a crash it says whether the session was made. */
  claimed_session_id: string;
}

export type RunState = `${"schedule" | "manual"}.${"ok" | "error" | "open"}`;

/** What an attempt came to. */
export type RunOutcome = { session_id: string } | { error: RunError };

/** What the HTTP API may ask of the schedules. */
export interface Schedules {
  /** Makes a session of the deployment now, also while it is paused. Rejects with LedgerWriteError only. */
  run(deployment: DeploymentRecord): Promise<RunRecord>;
  /** The deployment was stored anew: its next time may be another one. */
  changed(deploymentId: string): void;
}

/** Deployments; the scope is their agent. */
export function deploymentTable(records: Records): RecordTable<DeploymentRecord> {
  return new RecordTable(records, {
    kind: "deployment",
    scope: ({ agent }) => agent.id,
    state: ({ paused_reason }) => (paused_reason === null ? "active" : "paused"),
  });
}

/** Runs; the scope is their deployment. A time of the schedule has at most one run: it is the key. */
export function runTable(records: Records): RecordTable<RunRecord> {
  return new RecordTable(records, {
    kind: "deployment_run",
    scope: ({ deployment_id }) => deployment_id,
    key: ({ trigger_context }) => (trigger_context.type === "schedule" ? trigger_context.scheduled_at : null),
    state: runState,
  });
}

/** Runs that are open, so that an engine start finds them without looking through all that ever were. */
export function openRunTable(records: Records): RecordTable<Pick<RunRecord, "id" | "created_at">> {
  return new RecordTable(records, { kind: "deployment_run_open" });
}

function runState(run: RunRecord): RunState {
  const outcome = run.error !== null ? "error" : run.session_id !== null ? "ok" : "open";
  return `${run.trigger_context.type}.${outcome}`;
}

/** Times that a change is tried again when somebody else changed the record meanwhile. */
const ATTEMPTS = 20;

/**
 * Changes a deployment by compare-and-set: `change` gets what is stored now and is asked again after a conflict.
 * @returns the deployment afterwards; null when there is none. The same object from `change` writes nothing.
 */
export async function changeDeployment(
  table: RecordTable<DeploymentRecord>,
  id: string,
  change: (current: DeploymentRecord) => DeploymentRecord | Promise<DeploymentRecord>,
): Promise<DeploymentRecord | null> {
  for (let attempt = 1; ; attempt++) {
    const read: Versioned<DeploymentRecord> | null = await table.get(id);
    if (read === null) return null;
    const next = await change(read.value);
    if (next === read.value) return next;
    try {
      await table.replace(next, read.revision);
      return next;
    } catch (error) {
      if (!isRaceLost(error) || attempt === ATTEMPTS) throw error;
    }
  }
}

/** True when a write was refused because the record had changed since it was read. */
export function isRaceLost(error: unknown): boolean {
  return error instanceof RecordConflict && error.reason === "revision";
}
