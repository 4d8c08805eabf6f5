/** Skills of a session: what it was created with, and where they are in its sandbox. */
import type { SessionResource, SessionSnapshot } from "../events.ts";

/** One version of a skill as a session keeps it; the bytes are found by their hash, also after the skill was deleted. */
export interface SessionSkill {
  /** Id of the version; what `agent.skills[].version` of the session names. */
  version: string;
  /** Slug of the skill. */
  name: string;
  description: string;
  /** Its folder in the sandbox; on a worker's machine, relative to the working directory. */
  path: string;
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
/** Below a worker's own working directory, which nobody here knows. */
const ROOT_OF_WORKERS = "skills";

/** A version as it was found, before the session gives it a place. */
export type FoundSkill = Omit<SessionSkill, "path">;

/**
 * The skills of a session's agents, each version once and in a folder of its own. They are where the SDK's worker puts
 * them, unless a repository lies there: in its work tree they would show up as changes that the agent made.
 */
export function placedSkills(
  found: readonly FoundSkill[],
  place: { environment: Pick<SessionSnapshot["environment"], "config">; resources: readonly SessionResource[] },
): SessionSkill[] {
  const root = rootOf(place);
  const placed = new Map<string, SessionSkill>();
  const paths = new Set<string>();
  for (const skill of found) {
    if (placed.has(skill.version)) continue;
    let path = `${root}/${skill.name}`;
    for (let count = 2; paths.has(path); count += 1) path = `${root}/${skill.name}-${count}`;
    paths.add(path);
    placed.set(skill.version, { ...skill, path });
  }
  return [...placed.values()];
}

function rootOf({ environment, resources }: Parameters<typeof placedSkills>[1]): string {
  if (environment.config.type === "self_hosted") return ROOT_OF_WORKERS;
  return resources.some(liesInTheWay) ? ROOT_BESIDE_REPOSITORIES : ROOT;
}

function liesInTheWay(resource: SessionResource): boolean {
  if (resource.type !== "local_repository" && resource.type !== "github_repository") return false;
  return `${ROOT}/`.startsWith(`${resource.mount_path}/`) || resource.mount_path.startsWith(`${ROOT}/`);
}
