/** `client.beta.agents` and `.agents.versions`. */
import { describe, expect, test } from "vitest";
import { MODEL } from "../sessions.ts";
import { all, refused, type Use, unique } from "../stand.ts";

export function agentFlows(use: Use): void {
  describe("agents", () => {
    test("create, retrieve, update, list, versions, archive", async () => {
      const { agents } = use().client.beta;
      const name = unique("agent");
      const made = await agents.create({ name, model: MODEL, system: "Be brief.", metadata: { a: "1" } });
      expect(made).toMatchObject({ name, version: 1, model: { id: MODEL }, archived_at: null });
      expect(await agents.retrieve(made.id)).toEqual(made);
      const updated = await agents.update(made.id, { version: 1, description: "New.", metadata: { a: null, b: "2" } });
      expect(updated).toMatchObject({ version: 2, description: "New.", metadata: { b: "2" }, system: "Be brief." });
      expect(await agents.retrieve(made.id, { version: 1 })).toEqual(made);
      expect((await all(agents.versions.list(made.id, { limit: 1 }))).map(({ version }) => version)).toEqual([2, 1]);
      const other = await agents.create({ name: unique("agent"), model: MODEL });
      const listed = (await all(agents.list({ limit: 1 }))).map(({ id }) => id);
      expect(listed.slice(0, 2)).toEqual([other.id, made.id]);
      expect((await agents.archive(made.id)).archived_at).not.toBeNull();
      expect((await all(agents.list())).map(({ id }) => id)).not.toContain(made.id);
      expect((await all(agents.list({ include_archived: true }))).map(({ id }) => id)).toContain(made.id);
    });

    test("refusals", async () => {
      const { agents } = use().client.beta;
      const made = await agents.create({ name: unique("agent"), model: MODEL });
      expect((await refused(agents.create({ name: "", model: MODEL }), 400)).message).toContain("name");
      expect((await refused(agents.create({ name: "n", model: MODEL, colour: 1 } as never), 400)).message).toContain(
        "colour",
      );
      expect((await refused(agents.retrieve("agent_none"), 404)).type).toBe("not_found_error");
      await refused(agents.retrieve(made.id, { version: 7 }), 404);
      expect((await refused(agents.update(made.id, { version: 7, name: "x" }), 409)).type).toBe("conflict_error");
      await refused(agents.update("agent_none", { version: 1, name: "x" }), 404);
      expect((await refused(agents.list({ limit: 0 }), 400)).message).toContain("limit");
      await refused(agents.list({ page: "no cursor" }), 400);
      await refused(agents.versions.list("agent_none"), 404);
      await refused(agents.archive("agent_none"), 404);
      await agents.archive(made.id);
      await refused(agents.update(made.id, { version: 1, name: "x" }), 400);
    });
  });
}
