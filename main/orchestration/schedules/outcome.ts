/** What a run means for its deployment, and the words about one that was cut off. */
import type { DeploymentRecord, RunError, RunRecord } from "./port.ts";

/** After these nothing changes until a person does something: the schedule is paused. The others may pass by themselves. */
const PAUSING = [
  "environment_archived_error",
  "environment_not_found_error",
  "vault_not_found_error",
  "vault_archived_error",
  "file_not_found_error",
  "memory_store_archived_error",
  "skill_not_found_error",
  "session_resource_not_found_error",
  "workspace_archived_error",
  "organization_disabled_error",
  "self_hosted_resources_unsupported_error",
  "mcp_egress_blocked_error",
] as const;

/** The deployment after a run of it; null when the run changes nothing. */
export function afterRun(deployment: DeploymentRecord, run: RunRecord, at: string): DeploymentRecord | null {
  const byItself = run.trigger_context.type === "schedule";
  if (run.error === null) return byItself ? { ...deployment, last_run_at: run.created_at } : null;
  if (deployment.archived_at !== null) return null;
  // Agents do not come back; what runs one goes with it.
  if (run.error.type === "agent_archived_error") {
    return deployment.agent.id === run.agent.id ? { ...deployment, archived_at: at, paused_reason: null } : null;
  }
  const type = PAUSING.find((pausing) => pausing === run.error?.type);
  if (type === undefined || !byItself || deployment.paused_reason !== null) return null;
  return { ...deployment, updated_at: at, paused_reason: { type: "error", error: { type } } };
}

/** The error of a run that an engine began and did not live to make. */
export function cutOff(manual: boolean): RunError {
  const next = manual
    ? "Run the deployment again if it is still wanted."
    : "The next time of the schedule runs as usual.";
  const message = `Longhaul was stopped while it began this run, before there was a session. It did not run and is not made up for. ${next}`;
  return { type: "unknown_error", message };
}
