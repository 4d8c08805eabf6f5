/** Skills of an agent: references are checked when the agent is saved and pinned to a version when a session begins. */
import { invalid } from "../../../contract/errors.ts";
import type { SessionAgent } from "../../../contract/events.ts";
import type { SkillsParams } from "../../../contract/schemas/agents.ts";
import type { FoundSkill } from "../../../contract/skills/session_skills.ts";
import type { Agent } from "../../../session/catalog.ts";
import type { Deps } from "../../http/context.ts";
import { findSkill, findSkillByName, findVersion, type SkillRecord, type SkillVersionRecord } from "../skills/skill.ts";

type SkillReference = Agent["skills"][number];
type Stores = Pick<Deps, "records">;

/**
 * The references as the agent keeps them: `latest` stays an alias, so that each new session gets the newest version.
 * @throws ApiError 400 for a skill or version that is not there, and for two skills of one name
 */
export async function checkedSkills(deps: Stores, params: SkillsParams, field = "skills"): Promise<SkillReference[]> {
  const references = (params ?? []).map(({ type, skill_id, version }) => {
    return { type, skill_id, version: version ?? "latest" };
  });
  const names = new Set<string>();
  for (const [index, reference] of references.entries()) {
    const { name } = await existingVersion(deps, reference, `${field}[${index}]`);
    if (names.has(name))
      invalid(`\`${field}[${index}]\`: there are two skills named ${JSON.stringify(name)}. Remove one.`);
    names.add(name);
  }
  return references;
}

/** Throws 400 for skills that the agent could not read. */
export function checkSkillTools(tools: Agent["tools"], skills: Agent["skills"]): void {
  if (skills.length === 0) return;
  const readable = tools.some((tool) => {
    if (tool.type !== "agent_toolset_20260401") return false;
    return (tool.configs.find((config) => config.name === "read") ?? tool.default_config).enabled;
  });
  if (readable) return;
  invalid(
    "`skills` are files in the sandbox: `tools` must hold agent_toolset_20260401 with its `read` tool enabled. Add it, or clear `skills`.",
  );
}

/** What a session's agents may have together, each version counted once. */
const MAX_SESSION_SKILLS = 500;

export interface PinnedAgent {
  /** With the id of a version in every reference, those of its roster too. */
  agent: SessionAgent;
  /** Those versions. */
  found: FoundSkill[];
}

/**
 * The agent of a new session: deleting a skill later takes nothing from it.
 * @throws ApiError 400 when a skill is gone
 */
export async function pinnedAgent(deps: Stores, agent: SessionAgent): Promise<PinnedAgent> {
  const found = new Map<string, FoundSkill>();
  const pin = async <T extends HasSkills>(one: T, field: string): Promise<T> => {
    const skills: SkillReference[] = [];
    for (const [index, reference] of one.skills.entries()) {
      const version = await existingVersion(deps, reference, `${field}.skills[${index}]`);
      skills.push({ ...reference, version: version.id });
      const { name, description, sha256 } = version;
      found.set(version.id, { version: version.id, name, description, sha256 });
    }
    return { ...one, skills };
  };
  const pinned = await pin(agent, "agent");
  const multiagent = await pinnedRoster(agent.multiagent, pin);
  if (found.size > MAX_SESSION_SKILLS) {
    invalid(`\`agent\`: it and its roster have ${found.size} skills; a session can have ${MAX_SESSION_SKILLS}.`);
  }
  return { agent: { ...pinned, multiagent }, found: [...found.values()] };
}

type HasSkills = Pick<Agent, "skills">;
type Pin = <T extends HasSkills>(agent: T, field: string) => Promise<T>;

async function pinnedRoster(roster: SessionAgent["multiagent"], pin: Pin): Promise<SessionAgent["multiagent"]> {
  if (roster === null) return null;
  if (roster.type === "coordinator") {
    const agents: typeof roster.agents = [];
    for (const [index, entry] of roster.agents.entries()) {
      agents.push(entry.type === "advisor" ? entry : await pin(entry, `agent.multiagent.agents[${index}]`));
    }
    return { ...roster, agents };
  }
  const members = async (member: "subagents" | "workflows"): Promise<typeof roster.subagents> => {
    const spawning = roster[member];
    if (spawning.type === "disabled") return spawning;
    const predefined_agents: typeof spawning.predefined_agents = [];
    for (const [index, one] of spawning.predefined_agents.entries()) {
      predefined_agents.push(await pin(one, `agent.multiagent.${member}.predefined_agents[${index}]`));
    }
    return { ...spawning, predefined_agents };
  };
  return { ...roster, subagents: await members("subagents"), workflows: await members("workflows") };
}

async function existingVersion(deps: Stores, reference: SkillReference, field: string): Promise<SkillVersionRecord> {
  const skill = await existingSkill(deps, reference, field);
  const version = await findVersion(deps, skill, reference.version);
  if (version !== null) return version.value;
  return invalid(
    `\`${field}.version\`: the skill ${JSON.stringify(reference.skill_id)} has no version ${JSON.stringify(reference.version)}. Leave it out for the newest, or give the id of a version (skver_…).`,
  );
}

async function existingSkill(deps: Stores, { type, skill_id }: SkillReference, field: string): Promise<SkillRecord> {
  const id = JSON.stringify(skill_id);
  if (type === "custom") {
    const found = await findSkill(deps, skill_id);
    return (
      found?.value ?? invalid(`\`${field}.skill_id\`: there is no skill ${id}. Upload it with POST /v1/skills first.`)
    );
  }
  const standIn = await findSkillByName(deps, skill_id);
  return (
    standIn ??
    invalid(
      `\`${field}\`: the skill ${id} is published by Anthropic and cannot be had on this machine. Upload a skill of that name with POST /v1/skills, or remove it.`,
    )
  );
}
