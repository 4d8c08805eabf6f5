/** Skills of a session: what it was created with, and where they are in its sandbox. */
import type { SessionResource } from "./events.ts";

/** One version of a skill as a session keeps it; the bytes are found by their hash, also after the skill was deleted. */
export interface SessionSkill {
  /** Id of the version; what `agent.skills[].version` of the session names. */
  version: string;
  /** Slug of the skill. */
  name: string;
  description: string;
  /** Its folder below {@link skillsRoot}: the name, unless another version of that name is in the session too. */
  folder: string;
  /** Lower-case hex SHA-256 of its files as {@link packSkill} writes them. */
  sha256: string;
}

/** One file of a skill. */
export interface SkillFile {
  /** Relative to the skill's folder, with slashes. */
  path: string;
  executable: boolean;
  bytes: Uint8Array;
}

const ROOT = "/workspace/skills";
const ROOT_BESIDE_REPOSITORIES = "/mnt/session/skills";

/**
 * The folder that holds a session's skills. Where the SDK's worker puts them, unless a repository lies there: skills in
 * its work tree would show up as changes that the agent made.
 */
export function skillsRoot(resources: readonly SessionResource[]): string {
  const taken = resources.some((resource) => {
    if (resource.type !== "local_repository" && resource.type !== "github_repository") return false;
    return `${ROOT}/`.startsWith(`${resource.mount_path}/`) || resource.mount_path.startsWith(`${ROOT}/`);
  });
  return taken ? ROOT_BESIDE_REPOSITORIES : ROOT;
}

/** The skills of several agents of one session, each version once and in a folder of its own. */
export function joinSkills(lists: readonly (readonly SessionSkill[])[]): SessionSkill[] {
  const joined = new Map<string, SessionSkill>();
  const folders = new Set<string>();
  for (const skill of lists.flat()) {
    if (joined.has(skill.version)) continue;
    let folder = skill.name;
    for (let count = 2; folders.has(folder); count += 1) folder = `${skill.name}-${count}`;
    folders.add(folder);
    joined.set(skill.version, { ...skill, folder });
  }
  return [...joined.values()];
}
