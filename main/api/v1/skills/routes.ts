/** `/v1/skills`: uploaded skills. Those that Anthropic publishes are not on this machine, so its list has none of them. */
import { notFound } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import { type Api, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { addressedSkill, apiSkill, findSkill, type SkillRecord, skillTable, versionTable } from "./skill.ts";
import { packed, receiveSkill } from "./upload.ts";
import { mountSkillVersions } from "./version_routes.ts";

const SOURCES = ["custom", "anthropic", "anthropic_example", "plugin"] as const;
/** Versions that are removed in one transaction. */
const AT_ONCE = 500;

export function mountSkills(api: Api, deps: Deps): void {
  api.post("/v1/skills", async (c) => {
    // Older clients say display_title.
    const upload = await receiveSkill(c, ["display_name", "display_title"]);
    const { name, description } = upload;
    const sha256 = await deps.blobs.put(packed(upload));
    const at = timestamp(deps);
    const [id, version] = [newId("skill"), newId("skill_version")];
    const display_name = upload.display_name ?? name;
    const skill: SkillRecord = { id, name, display_name, latest_version_id: version, created_at: at, updated_at: at };
    const first = { id: version, skill_id: id, name, description, sha256, created_at: at };
    await deps.records.write([skillTable(deps).insertion(skill), versionTable(deps).insertion(first)]);
    return c.json(apiSkill(skill));
  });

  api.get("/v1/skills", async (c) => {
    const query = new Query(c);
    const source = query.choice("source", SOURCES);
    const limit = pageLimit(query);
    const page = query.text("page");
    const after = page === undefined ? {} : { after: decodeCursor(rowCursor, page) };
    const custom = source === undefined || source === "custom";
    const skills = custom ? await skillTable(deps).list({ limit: limit + 1, ...after }) : [];
    const { data, next_page } = pageOf(skills, limit);
    return c.json({ data: data.map(apiSkill), next_page });
  });

  api.get("/v1/skills/:id", async (c) => c.json(apiSkill(await addressedSkill(deps, param(c, "id")))));

  api.delete("/v1/skills/:id", async (c) => {
    const id = param(c, "id");
    await deps.serial.run(id, async () => {
      if ((await findSkill(deps, id)) === null) notFound("Skill", id);
      const versions = versionTable(deps);
      for (;;) {
        const some = await versions.list({ scope: id, limit: AT_ONCE });
        const removals = some.map((version) => versions.deletion(version.id));
        const last = some.length < AT_ONCE;
        // The bytes stay: sessions that use the skill find them by their hash.
        await deps.records.write(last ? [...removals, skillTable(deps).deletion(id)] : removals);
        if (last) return;
      }
    });
    return c.json({ id, type: "skill_deleted" });
  });

  mountSkillVersions(api, deps);
}
