/** An agent's roster: as requests give it → as agents keep it (pinned versions) → as sessions get it (whole definitions). */
import { invalid } from "../../../contract/errors.ts";
import type { SessionAgent } from "../../../contract/events.ts";
import type { MultiagentParams, RosterEntryParams, SpawningParams } from "../../../contract/schemas/multiagent.ts";
import type { Agent, Catalog } from "../../../session/catalog.ts";

type Multiagent = NonNullable<Agent["multiagent"]>;
type Coordinator = Extract<Multiagent, { type: "coordinator" }>;
type ThreeMembers = Extract<Multiagent, { type: "multiagent_20261001" }>;
type Spawning = ThreeMembers["subagents"];
type Reference = { id: string; type: "agent"; version: number };
type SessionMultiagent = NonNullable<SessionAgent["multiagent"]>;
type Definition = Extract<Extract<SessionMultiagent, { type: "coordinator" }>["agents"][number], { type: "agent" }>;

/** The agent that owns the configuration: what `self` stands for. */
export interface Owner {
  id: string;
  /** The version that is being made. */
  version: number;
}

/**
 * The resolved configuration.
 * @param before the stored one, which `multiagent_20261001` is merged into
 * @throws ApiError 400 for agents that do not exist, are archived, have a roster themselves or are named twice
 */
export async function materialiseMultiagent(
  catalog: Catalog,
  params: MultiagentParams,
  owner: Owner,
  before: Agent["multiagent"],
): Promise<Multiagent> {
  if (params.type === "coordinator") {
    const agents = await resolveRoster(catalog, params.agents, owner, "multiagent.agents");
    return { type: "coordinator", agents };
  }
  const stored = before?.type === "multiagent_20261001" ? before : null;
  const { advisor } = params;
  return {
    type: "multiagent_20261001",
    advisor: advisor === undefined ? (stored?.advisor ?? { type: "disabled" }) : (advisor ?? { type: "disabled" }),
    subagents: await spawning(catalog, params.subagents, stored?.subagents, owner, "multiagent.subagents"),
    workflows: await spawning(catalog, params.workflows, stored?.workflows, owner, "multiagent.workflows"),
  };
}

async function spawning(
  catalog: Catalog,
  params: SpawningParams | null | undefined,
  stored: Spawning | undefined,
  owner: Owner,
  field: string,
): Promise<Spawning> {
  const defaults: Spawning = { type: "enabled", inline_agents: { type: "enabled" }, predefined_agents: [] };
  if (params === undefined) return stored ?? defaults;
  if (params === null) return defaults;
  if (params.type === "disabled") return { type: "disabled" };
  // An object of another type than the stored one replaces it: what it omits takes its default.
  const kept = stored?.type === "enabled" ? stored : defaults;
  const { inline_agents, predefined_agents } = params;
  const merged = {
    type: "enabled" as const,
    inline_agents: inline_agents === undefined ? kept.inline_agents : (inline_agents ?? { type: "enabled" as const }),
    predefined_agents:
      predefined_agents === undefined
        ? kept.predefined_agents
        : references(await resolveRoster(catalog, predefined_agents ?? [], owner, `${field}.predefined_agents`)),
  };
  if (merged.inline_agents.type === "disabled" && merged.predefined_agents.length === 0) {
    invalid(`\`${field}\`: with \`inline_agents\` disabled, \`predefined_agents\` must name at least one agent.`);
  }
  return merged;
}

function references(entries: Coordinator["agents"]): Reference[] {
  return entries.filter((entry): entry is Reference => entry.type === "agent");
}

async function resolveRoster(
  catalog: Catalog,
  entries: readonly RosterEntryParams[],
  owner: Owner,
  field: string,
): Promise<Coordinator["agents"]> {
  const resolved: Coordinator["agents"] = [];
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const place = `${field}[${index}]`;
    const one = await resolveEntry(catalog, entry, owner, place);
    const name = one.type === "advisor" ? "advisor" : one.id;
    if (seen.has(name)) invalid(`\`${place}\`: the roster names ${name} twice. Name each agent once.`);
    seen.add(name);
    resolved.push(one);
  }
  return resolved;
}

async function resolveEntry(
  catalog: Catalog,
  entry: RosterEntryParams,
  owner: Owner,
  place: string,
): Promise<Coordinator["agents"][number]> {
  if (typeof entry === "object" && entry.type === "advisor") return { type: "advisor", model: entry.model };
  if (typeof entry === "object" && entry.type === "self")
    return { type: "agent", id: owner.id, version: owner.version };
  const { id, version } = typeof entry === "string" ? { id: entry, version: undefined } : entry;
  if (id === owner.id) invalid(`\`${place}\`: name the agent itself with {"type":"self"}.`);
  const newest = await catalog.getAgent(id);
  if (newest === null) invalid(`\`${place}\`: there is no agent ${JSON.stringify(id)}.`);
  if (newest.archived_at !== null) invalid(`\`${place}\`: agent ${id} was archived. Choose another one.`);
  const agent = version == null ? newest : await catalog.getAgent(id, version);
  if (agent === null) invalid(`\`${place}\`: agent ${id} has no version ${version}.`);
  if (agent.multiagent !== null) {
    invalid(`\`${place}\`: agent ${id} has a \`multiagent\` configuration itself; threads are one level deep.`);
  }
  return { type: "agent", id, version: agent.version };
}

/** The configuration with whole definitions, as a new session keeps it. */
export async function sessionMultiagent(catalog: Catalog, agent: Agent): Promise<SessionAgent["multiagent"]> {
  const { multiagent } = agent;
  if (multiagent === null) return null;
  const define = (reference: Reference) => definition(catalog, agent, reference);
  if (multiagent.type === "coordinator") {
    const agents = multiagent.agents.map((entry) => (entry.type === "advisor" ? entry : define(entry)));
    return { type: "coordinator", agents: await Promise.all(agents) };
  }
  const whole = async (member: Spawning) =>
    member.type === "disabled"
      ? member
      : { ...member, predefined_agents: await Promise.all(member.predefined_agents.map(define)) };
  return {
    type: "multiagent_20261001",
    advisor: multiagent.advisor,
    subagents: await whole(multiagent.subagents),
    workflows: await whole(multiagent.workflows),
  };
}

async function definition(catalog: Catalog, owner: Agent, { id, version }: Reference): Promise<Definition> {
  const agent = id === owner.id && version === owner.version ? owner : await catalog.getAgent(id, version);
  // Agents are never removed, so a pinned version is always there.
  if (agent === null) invalid(`The roster names version ${version} of agent ${id}, which is not there any more.`);
  const { name, description, execution_identity, mcp_servers, model, skills, system, tools } = agent;
  return {
    id,
    type: "agent",
    version,
    name,
    description,
    execution_identity,
    mcp_servers,
    model,
    skills,
    system,
    tools,
  };
}
