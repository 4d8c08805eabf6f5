/** `client.beta.environments`; its work queue is in `work.ts`. */
import { describe, expect, test } from "vitest";
import { all, refused, type Use, unique } from "../stand.ts";

export function environmentFlows(use: Use): void {
  describe("environments", () => {
    test("create, retrieve, update, list, archive, delete", async () => {
      const { environments } = use().client.beta;
      const name = unique("environment");
      const config = {
        type: "cloud" as const,
        networking: { type: "limited" as const, allowed_hosts: ["example.com"], allow_package_managers: true },
        packages: { npm: ["left-pad"] },
      };
      const made = await environments.create({ name, config, metadata: { a: "1" } });
      expect(made).toMatchObject({
        name,
        config: { type: "cloud", networking: { type: "limited" } },
        archived_at: null,
      });
      expect(await environments.retrieve(made.id)).toEqual(made);
      const updated = await environments.update(made.id, { description: "New.", metadata: { b: "2" } });
      expect(updated).toMatchObject({ description: "New.", metadata: { a: "1", b: "2" }, name });
      const hosted = await environments.create({ name: unique("environment"), config: { type: "self_hosted" } });
      expect(hosted.config).toEqual({ type: "self_hosted" });
      const listed = (await all(environments.list({ limit: 1 }))).map(({ id }) => id);
      expect(listed.slice(0, 2)).toEqual([hosted.id, made.id]);
      expect((await environments.archive(made.id)).archived_at).not.toBeNull();
      expect((await all(environments.list())).map(({ id }) => id)).not.toContain(made.id);
      expect(await environments.delete(made.id)).toEqual({ id: made.id, type: "environment_deleted" });
      await refused(environments.retrieve(made.id), 404);
    });

    test("refusals", async () => {
      const { environments } = use().client.beta;
      const name = unique("environment");
      const made = await environments.create({ name });
      expect((await refused(environments.create({ name }), 409)).type).toBe("conflict_error");
      expect((await refused(environments.create({ name: "" }), 400)).message).toContain("name");
      await refused(
        environments.create({ name: "n", config: { type: "cloud", networking: { type: "x" } as never } }),
        400,
      );
      await refused(environments.retrieve("env_none"), 404);
      await refused(environments.update(made.id, { config: { type: "self_hosted" } }), 400);
      await refused(environments.update("env_none", { name: "x" }), 404);
      await refused(environments.list({ limit: 100_000 }), 400);
      await refused(environments.archive("env_none"), 404);
      await refused(environments.delete("env_none"), 404);
    });
  });
}
