/** `client.beta.skills` with `.versions`, and `client.skills` outside of beta. */
import { toFile } from "@anthropic-ai/sdk";
import { describe, expect, test } from "vitest";
import { all, refused, type Use, unique } from "../stand.ts";

export function skillFlows(use: Use): void {
  describe.each(["beta.skills", "skills"] as const)("client.%s", (namespace) => {
    const skills = () => (namespace === "skills" ? use().client.skills : use().client.beta.skills);
    const filesOf = async (name: string, description = "Does a thing when the thing is asked for.") => [
      await toFile(
        Buffer.from(`---\nname: ${name}\ndescription: ${description}\n---\n# ${name}\n`),
        `${name}/SKILL.md`,
      ),
      await toFile(Buffer.from("print(1)\n"), `${name}/scripts/run.py`),
    ];
    const slug = () => unique("skill").replaceAll(" ", "-");

    test("create, retrieve, list, delete; versions: create, retrieve, list, delete, content", async () => {
      const { versions } = skills();
      const name = slug();
      const made = await skills().create({ files: await filesOf(name) });
      expect(made).toMatchObject({ type: "skill", id: expect.stringMatching(/^skill_/) });
      expect(await skills().retrieve(made.id)).toEqual(made);
      const other = await skills().create({ files: await filesOf(slug()) });
      expect((await all(skills().list({ limit: 1 }))).map(({ id }) => id).slice(0, 2)).toEqual([other.id, made.id]);
      const [first] = await all(versions.list(made.id));
      const second = await versions.create(made.id, { files: await filesOf(name, "Does it better.") });
      expect(second).toMatchObject({ type: "skill_version", name, description: "Does it better.", skill_id: made.id });
      expect((await all(versions.list(made.id, { limit: 1 }))).map(({ id }) => id)).toEqual([second.id, first?.id]);
      expect(await versions.retrieve(second.id, { skill_id: made.id })).toEqual(second);
      expect(await versions.retrieve("latest", { skill_id: made.id })).toEqual(second);
      if ("download" in versions) {
        const content = await versions.download(second.id, { skill_id: made.id });
        expect((await content.arrayBuffer()).byteLength).toBeGreaterThan(100);
      }
      const deleted = await versions.delete(first?.id ?? "", { skill_id: made.id });
      expect(deleted).toEqual({ id: first?.id, type: "skill_version_deleted" });
      expect(await skills().delete(made.id)).toEqual({ id: made.id, type: "skill_deleted" });
      await refused(skills().retrieve(made.id), 404);
    });

    test("refusals", async () => {
      const { versions } = skills();
      const made = await skills().create({ files: await filesOf(slug()) });
      const skill_id = made.id;
      const noManifest = [await toFile(Buffer.from("x"), "a/b.txt")];
      expect((await refused(skills().create({ files: noManifest }), 400)).message).toContain("SKILL.md");
      await refused(skills().retrieve("skill_none"), 404);
      await refused(skills().list({ limit: 0 }), 400);
      await refused(skills().delete("skill_none"), 404);
      await refused(versions.create("skill_none", { files: await filesOf(slug()) }), 404);
      await refused(versions.create(skill_id, { files: noManifest }), 400);
      await refused(versions.list("skill_none"), 404);
      await refused(versions.retrieve("skver_none", { skill_id }), 404);
      await refused(versions.delete("skver_none", { skill_id }), 404);
      if ("download" in versions) await refused(versions.download("skver_none", { skill_id }), 404);
    });
  });
}
