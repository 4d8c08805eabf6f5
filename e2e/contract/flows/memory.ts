/** `client.beta.memoryStores`, `.memories` and `.memoryVersions`. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { all, refused, type Use, unique } from "../stand.ts";

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

export function memoryFlows(use: Use): void {
  const newStore = async () => (await use().client.beta.memoryStores.create({ name: unique("store") })).id;

  describe("memory stores", () => {
    test("create, retrieve, update, list, archive, delete", async () => {
      const { memoryStores } = use().client.beta;
      const name = unique("store");
      const made = await memoryStores.create({ name, description: "What is known.", metadata: { a: "1" } });
      expect(made).toMatchObject({ name, description: "What is known.", metadata: { a: "1" }, archived_at: null });
      expect(await memoryStores.retrieve(made.id)).toEqual(made);
      const updated = await memoryStores.update(made.id, { description: "More.", metadata: { a: null, b: "2" } });
      expect(updated).toMatchObject({ name, description: "More.", metadata: { b: "2" } });
      const other = await newStore();
      expect((await all(memoryStores.list({ limit: 1 }))).map(({ id }) => id).slice(0, 2)).toEqual([other, made.id]);
      expect((await memoryStores.archive(made.id)).archived_at).not.toBeNull();
      expect((await all(memoryStores.list())).map(({ id }) => id)).not.toContain(made.id);
      expect(await memoryStores.delete(made.id)).toEqual({ id: made.id, type: "memory_store_deleted" });
      await refused(memoryStores.retrieve(made.id), 404);
    });

    test("refusals", async () => {
      const { memoryStores } = use().client.beta;
      expect((await refused(memoryStores.create({ name: "" }), 400)).message).toContain("name");
      await refused(memoryStores.retrieve("memstore_none"), 404);
      await refused(memoryStores.update("memstore_none", { name: "x" }), 404);
      await refused(memoryStores.list({ limit: 0 }), 400);
      await refused(memoryStores.archive("memstore_none"), 404);
      await refused(memoryStores.delete("memstore_none"), 404);
    });
  });

  describe("memories and their versions", () => {
    test("create, retrieve, update, list, delete; versions: retrieve, list, redact", async () => {
      const { memories, memoryVersions } = use().client.beta.memoryStores;
      const memory_store_id = await newStore();
      const made = await memories.create(memory_store_id, { path: "/notes/one.md", content: "first" });
      expect(made).toMatchObject({ path: "/notes/one.md", content_sha256: sha256("first"), content_size_bytes: 5 });
      expect(await memories.retrieve(made.id, { memory_store_id })).toMatchObject({ id: made.id, content: "first" });
      const updated = await memories.update(made.id, {
        memory_store_id,
        content: "second",
        precondition: { type: "content_sha256", content_sha256: sha256("first") },
        view: "full",
      });
      expect(updated).toMatchObject({ id: made.id, content: "second", content_sha256: sha256("second") });
      const other = await memories.create(memory_store_id, { path: "/two.md", content: "2" });
      const listed = await all(memories.list(memory_store_id, { limit: 1 }));
      expect(listed.map(({ path }) => path)).toEqual(["/notes/one.md", "/two.md"]);
      const top = await all(memories.list(memory_store_id, { depth: 1 }));
      expect(top.map(({ type, path }) => `${type} ${path}`).sort()).toEqual([
        "memory /two.md",
        "memory_prefix /notes/",
      ]);
      const versions = await all(memoryVersions.list(memory_store_id, { memory_id: made.id, limit: 1 }));
      expect(versions.map(({ operation }) => operation)).toEqual(["modified", "created"]);
      const oldest = versions[1]?.id ?? "";
      const retrieved = await memoryVersions.retrieve(oldest, { memory_store_id });
      expect(retrieved).toMatchObject({ id: oldest, memory_id: made.id, content: "first" });
      const redacted = await memoryVersions.redact(oldest, { memory_store_id });
      expect(redacted).toMatchObject({ id: oldest, redacted_at: expect.any(String) });
      expect(JSON.stringify(await memoryVersions.retrieve(oldest, { memory_store_id }))).not.toContain("first");
      expect(await memories.delete(other.id, { memory_store_id, expected_content_sha256: sha256("2") })).toEqual({
        id: other.id,
        type: "memory_deleted",
      });
      await refused(memories.retrieve(other.id, { memory_store_id }), 404);
    });

    test("refusals", async () => {
      const { memories, memoryVersions } = use().client.beta.memoryStores;
      const memory_store_id = await newStore();
      const made = await memories.create(memory_store_id, { path: "/a", content: "x" });
      const taken = await refused(memories.create(memory_store_id, { path: "/a/b", content: "y" }), 409);
      expect(taken.type).toBe("memory_path_conflict_error");
      await refused(memories.create(memory_store_id, { path: "no slash", content: "y" }), 400);
      await refused(memories.create("memstore_none", { path: "/a", content: "y" }), 404);
      await refused(memories.retrieve("mem_none", { memory_store_id }), 404);
      const precondition = { type: "content_sha256" as const, content_sha256: sha256("other") };
      const lost = await refused(memories.update(made.id, { memory_store_id, content: "z", precondition }), 409);
      expect(lost.type).toBe("memory_precondition_failed_error");
      await refused(memories.update("mem_none", { memory_store_id, content: "z" }), 404);
      await refused(memories.list("memstore_none"), 404);
      await refused(memories.list(memory_store_id, { path_prefix: "/no end" }), 400);
      await refused(memories.delete(made.id, { memory_store_id, expected_content_sha256: sha256("other") }), 409);
      await refused(memories.delete("mem_none", { memory_store_id }), 404);
      await refused(memoryVersions.list("memstore_none"), 404);
      await refused(memoryVersions.retrieve("memver_none", { memory_store_id }), 404);
      await refused(memoryVersions.redact("memver_none", { memory_store_id }), 404);
      const [head] = await all(memoryVersions.list(memory_store_id, { memory_id: made.id }));
      expect([400, 409]).toContain(
        (await memoryVersions.redact(head?.id ?? "", { memory_store_id }).catch((e) => e)).status,
      );
    });
  });
}
