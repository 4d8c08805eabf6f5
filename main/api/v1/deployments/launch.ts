/** Makes the session of a run, or names the contract's reason why there is none. */
import { ApiError } from "../../../contract/errors.ts";
import type { SessionAgent } from "../../../contract/events.ts";
import { closedMcpServer } from "../../../contract/vaults/mcp_reach.ts";
import type { DeploymentRecord, RunError, RunOutcome } from "../../../orchestration/schedules/port.ts";
import type { Environment } from "../../../session/catalog.ts";
import { planSession, type SessionDeps, storeSession } from "../sessions/new_session.ts";
import { sessionParams } from "./deployment.ts";

/** Reasons by the error code of the refused session. */
const REASONS: Readonly<Record<string, RunError["type"]>> = {
  agent_archived: "agent_archived_error",
  environment_archived: "environment_archived_error",
  environment_not_found: "environment_not_found_error",
  vault_not_found: "vault_not_found_error",
  vault_archived: "vault_archived_error",
  file_not_found: "file_not_found_error",
  memory_store_not_found: "session_resource_not_found_error",
  memory_store_archived: "memory_store_archived_error",
  skill_not_found: "skill_not_found_error",
};

/** Resources that a worker's environment cannot mount. */
const CLOUD_ONLY: readonly string[] = ["file", "github_repository", "local_repository"];

/**
 * Makes the session `sessionId` as the deployment says, or stores nothing and says why. An earlier attempt with this id may
 * have been cut off before there was a session. Rejects when the ledger fails.
 */
export async function launchDeployment(
  deps: SessionDeps,
  deployment: DeploymentRecord,
  sessionId: string,
): Promise<RunOutcome> {
  try {
    const environment = await deps.catalog.getEnvironment(deployment.environment_id);
    const unmounted = environment === null ? null : unmountable(environment, deployment);
    if (unmounted !== null) return { error: unmounted };
    const origin = { id: sessionId, deployment_id: deployment.id };
    const plan = await planSession(deps, sessionParams(deployment), origin);
    const blocked = blockedServer(plan.environment, plan.agent);
    if (blocked !== null) return { error: blocked };
    // Copies for a session that never came to be would show among the files of this one.
    const left = await deps.catalog.listFiles({ scope_id: sessionId, limit: 1000 });
    for (const file of left) await deps.catalog.deleteFile(file.id);
    await storeSession(deps, plan);
    return { session_id: sessionId };
  } catch (error) {
    if (error instanceof ApiError) return { error: runError(error) };
    throw error;
  }
}

function runError({ type, code, message }: ApiError): RunError {
  if (type === "rate_limit_error") return { type: "session_rate_limited_error", message };
  return { type: REASONS[code ?? ""] ?? "session_creation_rejected_error", message };
}

function unmountable(environment: Environment, { resources }: DeploymentRecord): RunError | null {
  if (environment.config.type !== "self_hosted") return null;
  const index = resources.findIndex(({ type }) => CLOUD_ONLY.includes(type));
  if (index < 0) return null;
  const message = `\`resources[${index}]\`: environment ${environment.id} is self-hosted and cannot mount a ${resources[index]?.type}. Use a cloud environment or take the resource away.`;
  return { type: "self_hosted_resources_unsupported_error", message };
}

function blockedServer({ config }: Environment, agent: SessionAgent): RunError | null {
  for (const server of agent.mcp_servers) {
    const message = closedMcpServer(config, server);
    if (message !== null) return { type: "mcp_egress_blocked_error", message };
  }
  return null;
}
