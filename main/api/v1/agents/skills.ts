/** Skills of an agent: references are checked when the agent is saved and pinned to a version when a session begins. */
import { invalid } from "../../../contract/errors.ts";
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

export interface PinnedSkills {
  /** Every reference with the id of a version. */
  skills: Agent["skills"];
  found: FoundSkill[];
}

/**
 * What a new session gets: deleting a skill later takes nothing from it.
 * @param field what the request calls the agent
 * @throws ApiError 400 when a skill is gone
 */
export async function pinnedSkills(deps: Stores, references: Agent["skills"], field = "agent"): Promise<PinnedSkills> {
  const skills: SkillReference[] = [];
  const found: FoundSkill[] = [];
  for (const [index, reference] of references.entries()) {
    const version = await existingVersion(deps, reference, `${field}.skills[${index}]`);
    skills.push({ ...reference, version: version.id });
    const { name, description, sha256 } = version;
    found.push({ version: version.id, name, description, sha256 });
  }
  return { skills, found };
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
