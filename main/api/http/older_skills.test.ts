import { Hono } from "hono";
import { expect, test } from "vitest";
import type { ApiEnv } from "./context.ts";
import { olderSkills } from "./older_skills.ts";

const SKILL = {
  id: "skill_1",
  type: "skill",
  display_name: "Reports",
  latest_version_id: "skver_1",
  source: { type: "custom" },
  created_at: "2026-01-01T00:00:00Z",
  updated_at: "2026-01-01T00:00:00Z",
};
const OLDER_SKILL = {
  id: "skill_1",
  type: "skill",
  display_title: "Reports",
  latest_version: "skver_1",
  source: "custom",
  created_at: "2026-01-01T00:00:00Z",
  updated_at: "2026-01-01T00:00:00Z",
};
const VERSION = { id: "skver_1", type: "skill_version", name: "reports", description: "d", skill_id: "skill_1" };

const api = new Hono<ApiEnv>();
api.use("/v1/skills/*", olderSkills());
api.get("/v1/skills", (c) => c.json({ data: [SKILL], next_page: null }));
api.get("/v1/skills/skill_1", (c) => c.json(SKILL));
api.get("/v1/skills/skill_1/versions/latest", (c) => c.json(VERSION));
api.get("/v1/skills/skill_1/versions/latest/content", (c) => c.body("PK", 200, { "content-type": "application/zip" }));
api.delete("/v1/skills/skill_1", (c) => c.json({ id: "skill_1", type: "skill_deleted" }));
api.get("/v1/skills/none", (c) => c.json({ type: "error", error: { type: "not_found_error", message: "no" } }, 404));

async function answer(path: string, beta?: string, method = "GET"): Promise<unknown> {
  const headers: Record<string, string> = beta === undefined ? {} : { "anthropic-beta": beta };
  const response = await api.request(`/v1/skills${path}`, { method, headers });
  const text = await response.text();
  return text.startsWith("{") ? JSON.parse(text) : text;
}

test("who asks for the older skills gets their shapes, in lists too", async () => {
  const older = "managed-agents-2026-04-01, skills-2025-10-02";
  expect(await answer("/skill_1", older)).toEqual(OLDER_SKILL);
  expect(await answer("", older)).toEqual({ data: [OLDER_SKILL], next_page: null, has_more: false });
  expect(await answer("/skill_1/versions/latest", older)).toEqual({
    ...VERSION,
    version: "skver_1",
    directory: "reports",
  });
});

test("everybody else, bytes, deletions and errors are left as they are", async () => {
  expect(await answer("/skill_1")).toEqual(SKILL);
  expect(await answer("/skill_1", "skills-2026-01-01")).toEqual(SKILL);
  const older = "skills-2025-10-02";
  expect(await answer("/skill_1/versions/latest/content", older)).toBe("PK");
  expect(await answer("/skill_1", older, "DELETE")).toEqual({ id: "skill_1", type: "skill_deleted" });
  expect(await answer("/none", older)).toMatchObject({ error: { message: "no" } });
});
