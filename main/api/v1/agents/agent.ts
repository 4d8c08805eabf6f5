/** Agents as requests give them → as the contract's responses show them, and the merge rules of an update. */
import { isDeepStrictEqual } from "node:util";
import { invalid } from "../../../contract/errors.ts";
import type { AgentCreate, AgentUpdate, ModelParams } from "../../../contract/schemas/agents.ts";
import { parseWith } from "../../../contract/schemas/issues.ts";
import { metadata as metadataSchema } from "../../../contract/schemas/primitives.ts";
import type { Agent, Catalog } from "../../../session/catalog.ts";
import { materialiseMultiagent } from "./multiagent.ts";
import { checkSkillTools } from "./skills.ts";
import { checkMcpReferences, materialiseTools } from "./tools.ts";

/** Version 1 of a new agent. @param skills those of `params`, checked */
export async function newAgent(
  catalog: Catalog,
  id: string,
  at: string,
  params: AgentCreate,
  skills: Agent["skills"],
): Promise<Agent> {
  const tools = materialiseTools(params.tools ?? []);
  const mcp_servers = params.mcp_servers ?? [];
  checkMcpReferences(tools, mcp_servers);
  checkSkillTools(tools, skills);
  return {
    id,
    type: "agent",
    version: 1,
    name: params.name,
    description: params.description || null,
    model: materialiseModel(params.model),
    system: params.system || null,
    tools,
    mcp_servers,
    skills,
    multiagent:
      params.multiagent == null
        ? null
        : await materialiseMultiagent(catalog, params.multiagent, { id, version: 1 }, null),
    execution_identity: { type: "service_account" },
    metadata: params.metadata ?? {},
    created_at: at,
    updated_at: at,
    archived_at: null,
  };
}

/**
 * The next version of an agent, or the same object when the update changes nothing.
 * Omitted fields are kept, lists are replaced whole, null and [] clear, metadata is merged key by key.
 * @param skills those of `params`, checked; undefined keeps what the agent has
 */
export async function updatedAgent(
  catalog: Catalog,
  agent: Agent,
  at: string,
  params: AgentUpdate,
  skills: Agent["skills"] | undefined,
): Promise<Agent> {
  const next: Agent = { ...agent };
  if (params.name !== undefined) next.name = params.name;
  if (params.description !== undefined) next.description = params.description || null;
  if (params.system !== undefined) next.system = params.system || null;
  if (params.model !== undefined) next.model = materialiseModel(params.model, agent.model);
  if (params.tools !== undefined) next.tools = materialiseTools(params.tools ?? []);
  if (params.mcp_servers !== undefined) next.mcp_servers = params.mcp_servers ?? [];
  if (skills !== undefined) next.skills = skills;
  if (params.metadata != null) next.metadata = patchedMetadata(agent.metadata, params.metadata);
  checkMcpReferences(next.tools, next.mcp_servers);
  checkSkillTools(next.tools, next.skills);
  next.multiagent = await updatedMultiagent(catalog, agent, params, agent.version);
  if (isDeepStrictEqual(next, agent)) return agent;
  const version = agent.version + 1;
  next.multiagent = await updatedMultiagent(catalog, agent, params, version);
  return { ...next, version, updated_at: at };
}

/** @param version what `self` stands for: it names the version that holds it */
async function updatedMultiagent(
  catalog: Catalog,
  agent: Agent,
  params: AgentUpdate,
  version: number,
): Promise<Agent["multiagent"]> {
  if (params.multiagent === undefined) return agent.multiagent;
  if (params.multiagent === null) return null;
  return materialiseMultiagent(catalog, params.multiagent, { id: agent.id, version }, agent.multiagent);
}

/**
 * The resolved model. The model is replaced as a whole, except that `effort` survives while the id stays the same.
 * An effort that nobody chose stays absent: the endpoint's own default for the model applies then, and endpoints that
 * know no effort are not sent one.
 */
export function materialiseModel(params: ModelParams, before?: Agent["model"]): Agent["model"] {
  const config = typeof params === "string" ? { id: params } : params;
  const given = "effort" in config ? config.effort : undefined;
  const chosen = typeof given === "string" ? { type: given } : given;
  const effort = chosen ?? (given === undefined && before?.id === config.id ? before.effort : undefined);
  const geo = "inference_geo" in config ? config.inference_geo : null;
  const speed = ("speed" in config ? config.speed : null) ?? "standard";
  return {
    id: config.id,
    ...(effort === undefined ? {} : { effort }),
    ...(geo == null ? {} : { inference_geo: geo }),
    speed,
  };
}

/** Metadata after a patch: a string sets a key, null deletes it. The result must keep the limits of the bag. */
export function patchedMetadata(
  before: Record<string, string>,
  patch: Record<string, string | null>,
): Record<string, string> {
  const merged = new Map(Object.entries(before));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, value);
  }
  return parseWith(metadataSchema, Object.fromEntries(merged), "`metadata` after the patch", {
    "": "invalid_metadata",
  });
}

/** Throws 400 for an agent that is read-only. */
export function refuseArchivedAgent(agent: Agent): void {
  if (agent.archived_at === null) return;
  invalid(`Agent ${agent.id} was archived and is read-only. Create a new agent instead.`, "agent_archived");
}
