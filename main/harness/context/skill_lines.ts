/** What the system prompt says of skills: enough to know when to read one, and where it is. */
import type { SessionFold } from "../../contract/fold.ts";

const WHAT_SKILLS_ARE =
  "You have skills: folders with instructions, and often scripts and references, for certain kinds of work. When a task " +
  "matches the description of a skill, read its SKILL.md before you begin and follow it. Read the other files of its " +
  "folder, and run its scripts, only as SKILL.md tells you to. Your skills:";
const IN_REPOSITORIES =
  "A repository can bring skills along, too: before you begin work in one, look for .claude/skills/*/SKILL.md in it, and " +
  "use those that match your task in the same way.";

/**
 * Lines of the system prompt. They depend on the session's snapshot only, so that its bytes stay the same; none for
 * sessions of versions that knew no skills.
 */
export function skillLines(fold: Pick<SessionFold, "agent" | "skills" | "resources">): string[] {
  const { agent, skills } = fold;
  if (skills === undefined) return [];
  const lines: string[] = [];
  for (const { version } of agent.skills) {
    const skill = skills.find((known) => known.version === version);
    if (skill === undefined) continue;
    const description = skill.description.replace(/\s+/g, " ");
    lines.push(`- ${skill.name} (${skill.path}/SKILL.md): ${description}`);
  }
  if (lines.length > 0) lines.unshift(WHAT_SKILLS_ARE);
  const hasRepository = fold.resources.some(({ type }) => type === "local_repository" || type === "github_repository");
  const hasSandbox = agent.tools.some((tool) => tool.type === "agent_toolset_20260401");
  if (hasRepository && hasSandbox) lines.push(IN_REPOSITORIES);
  return lines;
}
