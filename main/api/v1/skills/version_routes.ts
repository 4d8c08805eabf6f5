/** `/v1/skills/{id}/versions`: each upload of a skill is kept until it is deleted. */
import { invalid, notFound } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import { unpackSkill } from "../../../contract/skills/skill_pack.ts";
import { asBody } from "../../http/body.ts";
import { type Api, type ApiContext, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import {
  addressedSkill,
  apiVersion,
  findSkill,
  findVersion,
  type SkillVersionRecord,
  skillTable,
  versionTable,
} from "./skill.ts";
import { packed, receiveSkill } from "./upload.ts";
import { zipOf } from "./zip_write.ts";

export function mountSkillVersions(api: Api, deps: Deps): void {
  api.post("/v1/skills/:id/versions", async (c) => {
    const id = param(c, "id");
    if ((await findSkill(deps, id)) === null) notFound("Skill", id);
    const upload = await receiveSkill(c, []);
    const sha256 = await deps.blobs.put(packed(upload));
    const version = await deps.serial.run(id, async () => {
      const skill = (await findSkill(deps, id)) ?? notFound("Skill", id);
      const { name, description } = upload;
      if (name !== skill.value.name) {
        invalid(
          `\`files\`: this is the skill ${JSON.stringify(name)}, but ${id} is ${JSON.stringify(skill.value.name)}. A skill keeps its name: create a new skill, or change the name in SKILL.md.`,
        );
      }
      const at = timestamp(deps);
      const next: SkillVersionRecord = {
        id: newId("skill_version"),
        skill_id: id,
        name,
        description,
        sha256,
        created_at: at,
      };
      const changed = { ...skill.value, latest_version_id: next.id, updated_at: at };
      const skills = skillTable(deps);
      await deps.records.write([versionTable(deps).insertion(next), skills.replacement(changed, skill.revision)]);
      return next;
    });
    return c.json(apiVersion(version));
  });

  api.get("/v1/skills/:id/versions", async (c) => {
    const query = new Query(c);
    const { id } = await addressedSkill(deps, param(c, "id"));
    const limit = pageLimit(query);
    const page = query.text("page");
    const after = page === undefined ? {} : { after: decodeCursor(rowCursor, page) };
    const versions = await versionTable(deps).list({ scope: id, limit: limit + 1, ...after });
    const { data, next_page } = pageOf(versions, limit);
    return c.json({ data: data.map(apiVersion), next_page });
  });

  api.get("/v1/skills/:id/versions/:version", async (c) => c.json(apiVersion(await addressedVersion(deps, c))));

  api.get("/v1/skills/:id/versions/:version/content", async (c) => {
    const { name, sha256 } = await addressedVersion(deps, c);
    const archive = await zipOf(name, unpackSkill(await deps.blobs.get(sha256)));
    return new Response(asBody(archive), {
      headers: {
        "content-type": "application/zip",
        "content-disposition": `attachment; filename="${name}.zip"`,
        "x-content-type-options": "nosniff",
      },
    });
  });

  api.delete("/v1/skills/:id/versions/:version", async (c) => {
    const [id, versionId] = [param(c, "id"), param(c, "version")];
    await deps.serial.run(id, async () => {
      const skill = (await findSkill(deps, id)) ?? notFound("Skill", id);
      const versions = versionTable(deps);
      const version = versionId === "latest" ? null : await findVersion(deps, skill.value, versionId);
      if (version === null) notFound(`Version of skill ${id}`, versionId);
      const [newest, second] = await versions.list({ scope: id, limit: 2 });
      if (newest === undefined || second === undefined) {
        invalid(`${versionId} is the only version of ${id}, and a skill has at least one. Delete the skill instead.`);
      }
      const wasLatest = skill.value.latest_version_id === versionId;
      const latest_version_id = wasLatest
        ? (newest.id === versionId ? second : newest).id
        : skill.value.latest_version_id;
      const changed = { ...skill.value, latest_version_id, updated_at: timestamp(deps) };
      const removal = versions.deletion(versionId, version.revision);
      await deps.records.write([removal, skillTable(deps).replacement(changed, skill.revision)]);
    });
    return c.json({ id: versionId, type: "skill_version_deleted" });
  });
}

async function addressedVersion(deps: Deps, c: ApiContext): Promise<SkillVersionRecord> {
  const skill = await addressedSkill(deps, param(c, "id"));
  const found = await findVersion(deps, skill, param(c, "version"));
  return found?.value ?? notFound(`Version of skill ${skill.id}`, param(c, "version"));
}
