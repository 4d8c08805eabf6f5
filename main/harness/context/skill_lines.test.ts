import { expect, test } from "vitest";
import type { SessionResource } from "../../contract/events.ts";
import { placedSkills } from "../../contract/skills/session_skills.ts";
import { snapshot, toolset } from "../../orchestration/testing/rig.ts";
import { skillLines } from "./skill_lines.ts";

const found = (version: string, name: string) => ({ version, name, description: `About ${name}.`, sha256: "" });
const repository = (mount_path: string): SessionResource => ({
  id: "sesrsc_1",
  type: "github_repository",
  url: "https://github.com/a/b",
  mount_path,
  created_at: "",
  updated_at: "",
});
const { environment } = snapshot();
const place = (...resources: SessionResource[]) => ({ environment, resources });
const agent = (...versions: string[]) =>
  snapshot({ skills: versions.map((version) => ({ type: "custom" as const, skill_id: "s", version })) }).agent;

test("each agent of a session is told of its own skills, with the place that the session gave them", () => {
  const skills = placedSkills(
    [found("v1", "doc"), found("v2", "doc"), found("v1", "doc"), found("v3", "pdf")],
    place(),
  );
  expect(skills.map(({ path }) => path)).toEqual([
    "/workspace/skills/doc",
    "/workspace/skills/doc-2",
    "/workspace/skills/pdf",
  ]);
  const lines = skillLines({ agent: agent("v2", "v3"), skills, resources: [] });
  expect(lines.slice(1)).toEqual([
    "- doc (/workspace/skills/doc-2/SKILL.md): About doc.",
    "- pdf (/workspace/skills/pdf/SKILL.md): About pdf.",
  ]);
  expect(skillLines({ agent: agent(), skills, resources: [] })).toEqual([]);
  expect(skillLines({ agent: agent("v9"), skills, resources: [] })).toEqual([]);
});

test("skills stay out of a repository's work tree", () => {
  const root = (mount_path: string) => placedSkills([found("v1", "doc")], place(repository(mount_path)))[0]?.path;
  expect(root("/workspace/app")).toBe("/workspace/skills/doc");
  expect(root("/workspace/skillset")).toBe("/workspace/skills/doc");
  for (const taken of ["/workspace", "/workspace/skills", "/workspace/skills/doc"]) {
    expect(root(taken)).toBe("/mnt/session/skills/doc");
  }
  const worker = { environment: { ...environment, config: { type: "self_hosted" as const } }, resources: [] };
  expect(placedSkills([found("v1", "doc")], worker)[0]?.path).toBe("skills/doc");
});

test("repositories may bring skills along; sessions of older versions keep the prompt that they had", () => {
  const resources = [repository("/workspace/app")];
  expect(skillLines({ agent: agent(), skills: [], resources })).toEqual([
    expect.stringContaining(".claude/skills/*/SKILL.md"),
  ]);
  expect(skillLines({ agent: agent(), resources })).toEqual([]);
  expect(skillLines({ agent: { ...agent(), tools: [] }, skills: [], resources })).toEqual([]);
  expect(agent().tools).toEqual([toolset("always_allow")]);
});
