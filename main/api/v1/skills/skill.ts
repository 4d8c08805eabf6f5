/** Skills and their versions as they are stored, and as the contract's responses show them. */
import type { BetaSkill } from "@anthropic-ai/sdk/resources/beta/skills/skills";
import type { BetaSkillVersion } from "@anthropic-ai/sdk/resources/beta/skills/versions";
import { notFound } from "../../../contract/errors.ts";
import { isId } from "../../../contract/ids.ts";
import { RecordTable, type Versioned } from "../../../session/records/record_table.ts";
import type { Deps } from "../../http/context.ts";

export interface SkillRecord {
  id: string;
  /** Slug; every version has it. */
  name: string;
  display_name: string;
  latest_version_id: string;
  created_at: string;
  updated_at: string;
}

export interface SkillVersionRecord {
  id: string;
  skill_id: string;
  name: string;
  description: string;
  /** Of its files as one body, see `skill_pack.ts`. */
  sha256: string;
  created_at: string;
}

type Stores = Pick<Deps, "records">;

export function skillTable({ records }: Stores): RecordTable<SkillRecord> {
  return new RecordTable<SkillRecord>(records, { kind: "skill", state: (skill) => skill.name });
}

export function versionTable({ records }: Stores): RecordTable<SkillVersionRecord> {
  return new RecordTable<SkillVersionRecord>(records, { kind: "skill_version", scope: (version) => version.skill_id });
}

export function apiSkill({ name: _, ...skill }: SkillRecord): BetaSkill {
  return { ...skill, source: { type: "custom" }, type: "skill" };
}

export function apiVersion({ sha256: _, ...version }: SkillVersionRecord): BetaSkillVersion {
  return { ...version, type: "skill_version" };
}

/** A skill by its id; null when there is none. */
export async function findSkill(deps: Stores, id: string): Promise<Versioned<SkillRecord> | null> {
  return isId("skill", id) ? skillTable(deps).get(id) : null;
}

/** The newest uploaded skill of a name: what stands in for a skill of Anthropic's of that name. */
export async function findSkillByName(deps: Stores, name: string): Promise<SkillRecord | null> {
  const [newest] = await skillTable(deps).list({ states: [name], limit: 1 });
  return newest ?? null;
}

/** A skill that a request addresses, by id, or by name where an uploaded one stands in. @throws ApiError 404 */
export async function addressedSkill(deps: Stores, id: string): Promise<SkillRecord> {
  const found = (await findSkill(deps, id))?.value ?? (isId("skill", id) ? null : await findSkillByName(deps, id));
  return found ?? notFound("Skill", id);
}

/** A version of a skill by its id or as `latest`; null when there is none. */
export async function findVersion(
  deps: Stores,
  skill: SkillRecord,
  version: string,
): Promise<Versioned<SkillVersionRecord> | null> {
  const found = await versionTable(deps).get(version === "latest" ? skill.latest_version_id : version);
  return found?.value.skill_id === skill.id ? found : null;
}
