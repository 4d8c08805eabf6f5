/** What a session may use of the broker's credentials, worked out from its log and from the records of vaults. */
import { allCredentials, type CredentialRecord, repositoryTokens, vaultTable } from "../../api/v1/vaults/records.ts";
import type { SessionAgent } from "../../contract/events.ts";
import type { SessionFold } from "../../contract/fold.ts";
import type {
  CredentialRef,
  McpGrant,
  RepositoryGrant,
  SessionGrants,
  VariableGrant,
} from "../../contract/vaults/grants.ts";
import { closedMcpServer } from "../../contract/vaults/mcp_reach.ts";
import { pushPolicy, repositoryGrant } from "../../contract/vaults/repositories.ts";
import { issuerOf, normalisedServerUrl } from "../../contract/vaults/server_url.ts";
import type { Records } from "../../session/records/records.ts";
import { mcpServerId } from "../../tools/mcp/server_id.ts";
import { placeholderOf } from "./placeholder.ts";

/** More than a session can have resources. */
const MOST = 1_000;

export async function sessionGrants(records: Records, fold: SessionFold): Promise<SessionGrants> {
  const credentials = await credentialsOf(records, fold.vault_ids);
  return {
    mcp_servers: mcpGrants(fold, credentials),
    repositories: await repositoryGrants(records, fold),
    variables: variableGrants(fold.session_id, credentials),
  };
}

/** Active credentials of the session's vaults, in the order in which they count. */
async function credentialsOf(records: Records, vaultIds: readonly string[]): Promise<CredentialRecord[]> {
  const vaults = vaultTable(records);
  const lists = await Promise.all(
    vaultIds.map(async (id) => {
      const vault = await vaults.get(id);
      return vault === null || vault.value.archived_at !== null
        ? []
        : allCredentials(records, { scope: id, include_archived: false });
    }),
  );
  return lists.flat();
}

/** Servers of every agent that a thread of the session runs or may run. Two agents may have one server. */
function mcpGrants(fold: SessionFold, credentials: readonly CredentialRecord[]): McpGrant[] {
  const grants = new Map<string, McpGrant>();
  for (const agent of agentsOf(fold)) {
    for (const server of agent.mcp_servers) {
      if (closedMcpServer(fold.environment.config, server) !== null) continue;
      const id = mcpServerId(server.url);
      grants.set(id, { id, url: server.url, credential: credentialFor(server.url, credentials) });
    }
  }
  return [...grants.values()];
}

type Serving = Pick<SessionAgent, "mcp_servers">;

function agentsOf(fold: SessionFold): Serving[] {
  const agents: Serving[] = [fold.agent];
  const { multiagent } = fold.agent;
  if (multiagent?.type === "coordinator") agents.push(...multiagent.agents.filter((entry) => entry.type === "agent"));
  else if (multiagent?.subagents.type === "enabled") agents.push(...multiagent.subagents.predefined_agents);
  for (const { agent } of fold.threads) if (agent.type !== "advisor") agents.push(agent);
  return agents;
}

/** The first credential whose server has this address. */
function credentialFor(url: string, credentials: readonly CredentialRecord[]): CredentialRef | null {
  const wanted = normalisedServerUrl(url);
  for (const credential of credentials) {
    if (credential.auth.type === "environment_variable") continue;
    if (normalisedServerUrl(credential.auth.mcp_server_url) === wanted) return refOf(credential);
  }
  return null;
}

function refOf(credential: CredentialRecord): CredentialRef | null {
  const { secret_id, id, vault_id, auth } = credential;
  return secret_id === null ? null : { vault_id, credential_id: id, secret_id, issuer: issuerOf(auth) };
}

/** One per name: the first vault that has it counts. */
function variableGrants(sessionId: string, credentials: readonly CredentialRecord[]): VariableGrant[] {
  const grants = new Map<string, VariableGrant>();
  for (const credential of credentials) {
    const { auth } = credential;
    const ref = refOf(credential);
    if (auth.type !== "environment_variable" || ref === null || grants.has(auth.secret_name)) continue;
    const { networking, injection_location } = auth;
    grants.set(auth.secret_name, {
      credential: ref,
      name: auth.secret_name,
      placeholder: placeholderOf(sessionId, credential.id),
      hosts: networking.type === "limited" ? networking.allowed_hosts : null,
      header: injection_location.header,
      body: injection_location.body,
    });
  }
  return [...grants.values()];
}

async function repositoryGrants(records: Records, fold: SessionFold): Promise<RepositoryGrant[]> {
  const attached = fold.resources.filter((resource) => resource.type === "github_repository");
  if (attached.length === 0) return [];
  const tokens = await repositoryTokens(records).list({ scope: fold.session_id, limit: MOST });
  const push = pushPolicy(fold.metadata);
  return attached.map((resource) => {
    const token = tokens.find(({ id }) => id === resource.id);
    if (token === undefined) return repositoryGrant(fold.session_id, resource, null, push);
    const { secret_id, url: issuer } = token;
    const ref = { vault_id: fold.session_id, credential_id: resource.id, secret_id, issuer };
    return repositoryGrant(fold.session_id, resource, ref, push);
  });
}
