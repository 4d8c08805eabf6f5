/** Archiving deployments, by request or with their agent. */
import { changeDeployment, type DeploymentRecord, deploymentTable } from "../../../orchestration/schedules/port.ts";
import type { Deps } from "../../http/context.ts";
import { timestamp } from "../../http/context.ts";

const BATCH = 200;

/** The deployment, archived; null when there is none. */
export async function archiveDeployment(
  deps: Pick<Deps, "records" | "schedules" | "now">,
  id: string,
): Promise<DeploymentRecord | null> {
  const at = timestamp(deps);
  const archived = await changeDeployment(deploymentTable(deps.records), id, (current) =>
    // Archived ones report `active`: nothing is paused that never fires again.
    current.archived_at !== null ? current : { ...current, archived_at: at, updated_at: at, paused_reason: null },
  );
  deps.schedules.changed(id);
  return archived;
}

/** Archives every deployment of an agent that was archived. Safe to repeat. */
export async function archiveDeploymentsOf(
  deps: Pick<Deps, "records" | "schedules" | "now">,
  agentId: string,
): Promise<void> {
  const table = deploymentTable(deps.records);
  for (;;) {
    const live = await table.list({ scope: agentId, limit: BATCH });
    for (const { id } of live) await archiveDeployment(deps, id);
    if (live.length < BATCH) return;
  }
}
