/** The agent snapshot of a new session: the agent at a version, with the request's overrides on top. */
import { invalid } from "../../../contract/errors.ts";
import type { SessionAgent } from "../../../contract/events.ts";
import type { AgentOverrides, SessionCreate } from "../../../contract/schemas/sessions.ts";
import type { Agent } from "../../../session/catalog.ts";
import type { Deps } from "../../http/context.ts";
import { materialiseModel, refuseArchivedAgent } from "../agents/agent.ts";
import { sessionMultiagent } from "../agents/multiagent.ts";
import { existingAgent } from "../agents/routes.ts";
import { checkedSkills, checkSkillTools } from "../agents/skills.ts";
import { checkMcpReferences, materialiseTools } from "../agents/tools.ts";

/** @throws ApiError 404 for an unknown agent or version, 400 for an archived one or overrides that contradict */
export async function resolveAgent(
  deps: Pick<Deps, "catalog" | "records">,
  params: SessionCreate["agent"],
): Promise<SessionAgent> {
  const reference = typeof params === "string" ? { id: params, version: undefined } : params;
  const newest = await existingAgent(deps, reference.id);
  refuseArchivedAgent(newest);
  const wanted = reference.version;
  const agent = wanted === undefined ? newest : await existingAgent(deps, reference.id, wanted);
  const snapshot = snapshotOf(agent, await sessionMultiagent(deps.catalog, agent));
  return typeof params === "object" && params.type === "agent_with_overrides"
    ? overridden(deps, snapshot, params)
    : snapshot;
}

function snapshotOf(agent: Agent, multiagent: SessionAgent["multiagent"]): SessionAgent {
  return {
    id: agent.id,
    type: "agent",
    version: agent.version,
    name: agent.name,
    description: agent.description,
    model: agent.model,
    system: agent.system,
    tools: agent.tools,
    mcp_servers: agent.mcp_servers,
    skills: agent.skills,
    multiagent,
    execution_identity: agent.execution_identity,
  };
}

/** Omitted fields inherit, null and [] clear, a value replaces whole; `id` and `version` still name the base agent. */
async function overridden(
  deps: Pick<Deps, "records">,
  snapshot: SessionAgent,
  params: AgentOverrides,
): Promise<SessionAgent> {
  const next = { ...snapshot };
  if (params.model === null)
    invalid("`agent.model` cannot be cleared. Leave it out to use the agent's model.", "agent_model_required");
  if (params.model !== undefined) next.model = materialiseModel(params.model);
  if (params.system !== undefined) next.system = params.system || null;
  if (params.tools !== undefined) next.tools = materialiseTools(params.tools ?? []);
  if (params.mcp_servers !== undefined) next.mcp_servers = params.mcp_servers ?? [];
  if (params.skills !== undefined) next.skills = await checkedSkills(deps, params.skills, "agent.skills");
  checkMcpReferences(next.tools, next.mcp_servers);
  checkSkillTools(next.tools, next.skills);
  return next;
}
