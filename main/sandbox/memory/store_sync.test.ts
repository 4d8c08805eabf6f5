import { chmodSync, existsSync, lstatSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { contentHash } from "../../session/memories/memories.ts";
import { EmbeddedMemoryFiles } from "../embedded/memory/memory_files.ts";
import type { MemoryFiles, MemorySource } from "./port.ts";
import type { SessionMemory } from "./session_memory.ts";
import { siblingOf } from "./sibling.ts";
import { FolderBench, SESSION } from "./testing/folder_bench.ts";

// A busy machine is slow with files.
vi.setConfig({ testTimeout: 30_000 });

let bench: FolderBench;
beforeEach(async () => {
  bench = await FolderBench.make();
});
afterEach(() => bench[Symbol.asyncDispose]());

const real = (path: string, mount?: string) => bench.real(path, mount);
const put = (path: string, content: string | Buffer) => bench.put(path, content);
const has = (path: string) => bench.has(path);
/** A call that does nothing. */
const afterCall = (memory: SessionMemory) => {
  memory.begin();
  return memory.afterCall();
};

describe("between mount and store", () => {
  test("memories are files; what the agent makes, changes and deletes becomes so in the store, in its name", async () => {
    const { store, memory, steps } = await bench.mounted({
      "/keep.md": "keep",
      "/deep/er/change.md": "old",
      "/drop.md": "drop",
    });
    expect(steps).toEqual([
      expect.objectContaining({ step: 'mount memory store "notes" at /mnt/memory/notes', error: null }),
    ]);
    expect([has("/keep.md"), has("/deep/er/change.md")]).toEqual(["keep", "old"]);
    put("/deep/er/change.md", "new");
    put("/made/by/agent.md", "grüß \ufeff\0 dich");
    rmSync(real("/drop.md"));
    expect(await afterCall(memory)).toEqual([]);
    // A file that is missing once may just be being replaced.
    expect(await bench.contents(store)).toHaveProperty(["/drop.md"], "drop");
    await afterCall(memory);
    expect(await bench.contents(store)).toEqual({
      "/keep.md": "keep",
      "/deep/er/change.md": "new",
      "/made/by/agent.md": "grüß \ufeff\0 dich",
    });
    const rows = await bench.versions.list(store, { session_id: SESSION }, { limit: 10 });
    expect(rows.map(({ operation, path }) => `${operation} ${path}`)).toEqual([
      "deleted /drop.md",
      "created /made/by/agent.md",
      "modified /deep/er/change.md",
    ]);
    expect(bench.synced.map(({ written, deleted, updated }) => ({ written, deleted, updated }))).toEqual([
      { written: 2, deleted: 0, updated: 0 },
      { written: 0, deleted: 1, updated: 0 },
    ]);
    await afterCall(memory);
    expect(bench.synced).toHaveLength(2);
  });

  test("what somebody else does in the store reaches the files; emptied folders go", async () => {
    const { store, memory } = await bench.mounted({ "/a/b/one.md": "1", "/two.md": "2" });
    await bench.remove(store, "/a/b/one.md");
    await bench.write(store, "/a", "a file now");
    await bench.write(store, "/two.md", "22");
    await bench.write(store, "/three.md", "3");
    expect(await afterCall(memory)).toEqual([]);
    expect([has("/a"), has("/two.md"), has("/three.md")]).toEqual(["a file now", "22", "3"]);
    expect(bench.synced).toMatchObject([{ written: 0, deleted: 0, updated: 4, conflicts: 0, error: null }]);
  });

  test("at rest a missing file is a deletion at once, and so is a file that became a folder", async () => {
    const { store, memory } = await bench.mounted({ "/a.md": "1", "/b": "2", "/c.md": "3" });
    rmSync(real("/b"));
    put("/b/inside.md", "4");
    await afterCall(memory);
    expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/b/inside.md": "4", "/c.md": "3" });
    rmSync(real("/a.md"));
    await afterCall(memory);
    await memory.rest();
    expect(await bench.contents(store)).toEqual({ "/b/inside.md": "4", "/c.md": "3" });
  });

  test("while another thread's call is under way a missing file may be in the middle of being replaced", async () => {
    const { store, memory } = await bench.mounted({ "/a.md": "1", "/b.md": "2" });
    memory.begin();
    rmSync(real("/a.md"));
    await memory.rest();
    expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/b.md": "2" });
    put("/a.md", "replaced");
    memory.abandon();
    await memory.rest();
    expect(await bench.contents(store)).toEqual({ "/a.md": "replaced", "/b.md": "2" });
  });

  test("deletions against changes: the change wins, whoever made it", async () => {
    const { store, memory } = await bench.mounted({ "/mine.md": "1", "/theirs.md": "2", "/other.md": "3" });
    rmSync(real("/theirs.md"));
    put("/mine.md", "changed by the agent");
    await bench.write(store, "/theirs.md", "changed by a person");
    await bench.remove(store, "/mine.md");
    await memory.rest();
    expect(has("/theirs.md")).toBe("changed by a person");
    expect(await bench.contents(store)).toMatchObject({
      "/mine.md": "changed by the agent",
      "/theirs.md": "changed by a person",
    });
  });
});

describe("conflicts", () => {
  test("the store's version gets the path, the agent's is kept beside it in both places, and the model is told", async () => {
    const { store, memory } = await bench.mounted({ "/dir/plan.md": "old" });
    put("/dir/plan.md", "agent's");
    await bench.write(store, "/dir/plan.md", "person's");
    const [told, ...more] = await afterCall(memory);
    const kept = Object.keys(await bench.contents(store)).find((path) => path.includes("conflict")) ?? "";
    expect(kept).toMatch(/^\/dir\/plan\.conflict-[0-9a-f]{8}\.md$/);
    expect(told).toContain(`/mnt/memory/notes/dir/plan.md was changed by somebody else`);
    expect(told).toContain(`kept as /mnt/memory/notes${kept}`);
    expect(more).toEqual([]);
    expect(await bench.contents(store)).toEqual({ "/dir/plan.md": "person's", [kept]: "agent's" });
    expect([has("/dir/plan.md"), has(kept)]).toEqual(["person's", "agent's"]);
    expect(bench.synced).toMatchObject([{ conflicts: 1, written: 1 }]);
    expect(await afterCall(memory)).toEqual([]);
    expect(await bench.contents(store)).toEqual({ "/dir/plan.md": "person's", [kept]: "agent's" });
  });

  test("the same path made on both sides with different texts is one too; with the same text it is not", async () => {
    const { store, memory } = await bench.mounted({});
    put("/new.md", "agent's");
    put("/same.md", "same");
    await bench.write(store, "/new.md", "person's");
    await bench.write(store, "/same.md", "same");
    expect(await afterCall(memory)).toHaveLength(1);
    expect(Object.values(await bench.contents(store)).sort()).toEqual(["agent's", "person's", "same"]);
  });

  test("a memory that changes between the look and the push loses nothing", async () => {
    const store = await bench.store({ "/a.md": "old" });
    let race = true;
    const source: MemorySource = {
      ...bench.source,
      update: async (...args) => {
        if (race) await bench.write(store, "/a.md", "person's");
        race = false;
        return bench.source.update(...args);
      },
    };
    const memory = bench.open([bench.mount(store)], { source });
    await memory.mount(() => undefined);
    put("/a.md", "agent's");
    await afterCall(memory);
    expect([await bench.contents(store), has("/a.md")]).toEqual([{ "/a.md": "person's" }, "agent's"]);
    await afterCall(memory);
    expect(has("/a.md")).toBe("person's");
    expect(Object.values(await bench.contents(store)).sort()).toEqual(["agent's", "person's"]);
  });

  test("a memory that already has the path for the agent's text is not taken for its copy", async () => {
    const { store, memory } = await bench.mounted({ "/a.md": "1", "/b.md": "2" });
    const copy = siblingOf("/a.md", contentHash("mine"), []) ?? "";
    await bench.write(store, copy, "merged by a person");
    put("/a.md", "mine");
    await bench.write(store, "/a.md", "theirs");
    await afterCall(memory);
    const all = await bench.contents(store);
    expect([all["/a.md"], all[copy]]).toEqual(["theirs", "merged by a person"]);
    expect(Object.values(all)).toContain("mine");
  });

  test("in a store that is archived the agent's text is kept in the folder, and the model is told that it is not saved", async () => {
    const { store, memory } = await bench.mounted({ "/a.md": "old", "/b.md": "old" });
    put("/a.md", "agent's");
    put("/b.md", "agent's b");
    await bench.write(store, "/a.md", "person's");
    await bench.stores.archive(store);
    const told = (await afterCall(memory)).join("\n");
    expect(told).toMatch(/b\.md is not saved: the memory store is archived/);
    expect(has("/a.md")).toBe("person's");
    expect(readFileSync(real(told.match(/kept as \/mnt\/memory\/notes(\S+)\.\s/)?.[1] ?? "none"), "utf8")).toBe(
      "agent's",
    );
    expect(await bench.contents(store)).toEqual({ "/a.md": "person's", "/b.md": "old" });
  });
});

describe("a folder that was emptied or removed", () => {
  test("is filled again: losing every memory at once is taken for an accident", async () => {
    const { store, memory } = await bench.mounted({ "/a.md": "1", "/b.md": "2" });
    rmSync(real("/a.md"));
    rmSync(real("/b.md"));
    expect(await afterCall(memory)).toEqual([expect.stringMatching(/gone at once/)]);
    expect([has("/a.md"), has("/b.md")]).toEqual(["1", "2"]);
    rmSync(real(""), { recursive: true });
    symlinkSync(bench.dataDir, real("").replace(/\/$/, ""));
    expect(await afterCall(memory)).toEqual([expect.stringMatching(/was removed or replaced/)]);
    expect([has("/a.md"), has("/b.md"), existsSync(join(bench.dataDir, "a.md"))]).toEqual(["1", "2", false]);
    expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/b.md": "2" });
  });

  test("a single memory is deleted like any", async () => {
    const { store, memory } = await bench.mounted({ "/a.md": "1" });
    rmSync(real("/a.md"));
    await memory.rest();
    expect(await bench.contents(store)).toEqual({});
  });
});

test("a read-only mount is put right, never written back, and the model is told", async () => {
  const { store, memory } = await bench.mounted({ "/a.md": "1", "/dir/b.md": "2" }, { read_only: true });
  expect(lstatSync(real("/a.md")).mode & 0o777).toBe(0o444);
  chmodSync(real("/a.md"), 0o644);
  put("/a.md", "agent's");
  put("/extra/file.md", "agent's");
  rmSync(real("/dir"), { recursive: true });
  symlinkSync(bench.dataDir, real("/dir"));
  expect(await afterCall(memory)).toEqual(["/mnt/memory/notes is read-only: your changes in it were undone."]);
  expect([has("/a.md"), has("/dir/b.md"), has("/extra/file.md")]).toEqual(["1", "2", null]);
  expect([lstatSync(real("/dir")).isDirectory(), existsSync(join(bench.dataDir, "b.md"))]).toEqual([true, false]);
  expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/dir/b.md": "2" });
  await bench.write(store, "/a.md", "11");
  await bench.remove(store, "/dir/b.md");
  expect(await afterCall(memory)).toEqual([]);
  expect([has("/a.md"), has("/dir/b.md")]).toEqual(["11", null]);
});

describe("after a look that was cut short", () => {
  test.each(["keep", "apply"] as const)(
    "(%s) what this session did itself is no change of somebody else's",
    async (step) => {
      const store = await bench.store({ "/a.md": "1", "/b.md": "2" });
      const files = new EmbeddedMemoryFiles(bench.layout);
      const memory = bench.open([bench.mount(store)], { files });
      await memory.mount(() => undefined);
      const full = vi.spyOn(files, step).mockRejectedValue(new Error("ENOSPC"));
      put("/a.md", "11");
      await bench.write(store, "/c.md", "3");
      await afterCall(memory);
      full.mockRestore();
      put("/a.md", "111");
      expect(await afterCall(memory)).toEqual([]);
      expect(await bench.contents(store)).toEqual({ "/a.md": "111", "/b.md": "2", "/c.md": "3" });
      expect(await files.kept(store)).toContain(contentHash("111"));
    },
  );
});

describe("after the engine's end", () => {
  test("deletions stay deletions and unsaved changes are saved, whoever made them meanwhile", async () => {
    const { store } = await bench.mounted({ "/a.md": "1", "/b.md": "2", "/c.md": "3", "/d.md": "4" });
    put("/a.md", "agent's");
    put("/new.md", "agent's new");
    rmSync(real("/b.md"));
    await bench.remove(store, "/c.md");
    await bench.write(store, "/d.md", "person's");
    const next = bench.open([bench.mount(store)]);
    await next.mount(() => undefined);
    await next.rest();
    expect(await bench.contents(store)).toEqual({ "/a.md": "agent's", "/new.md": "agent's new", "/d.md": "person's" });
    expect([has("/b.md"), has("/c.md"), has("/d.md")]).toEqual([null, null, "person's"]);
  });

  test.each([1, 2, 3, 4, 5, 6, 7, 8])(
    "a death after %i effects leaves nothing that the next process cannot finish",
    async (deaths) => {
      const store = await bench.store({
        "/pull.md": "old",
        "/push.md": "old",
        "/both.md": "old",
        "/gone.md": "old",
        "/cut.md": "old",
      });
      let left = Number.POSITIVE_INFINITY;
      const dying = <T extends object>(port: T, names: (keyof T)[]): T => {
        const wrapped = { ...port };
        for (const name of names) {
          const call = port[name] as (...args: unknown[]) => Promise<unknown>;
          Object.assign(wrapped, {
            [name]: async (...args: unknown[]) => {
              if (left <= 0) throw new Error("killed");
              left -= 1;
              return call.apply(port, args);
            },
          });
        }
        return wrapped;
      };
      const folder = new EmbeddedMemoryFiles(bench.layout);
      const methods = Object.fromEntries(
        (["ready", "prepare", "scan", "read", "apply", "kept", "keep"] as const).map((name) => [
          name,
          folder[name].bind(folder),
        ]),
      ) as unknown as MemoryFiles;
      const first = bench.open([bench.mount(store)], {
        files: dying(methods, ["apply", "keep"]),
        source: dying(bench.source, ["create", "update", "delete"]),
      });
      await first.mount(() => undefined);
      put("/push.md", "agent's");
      put("/made.md", "agent's new");
      put("/both.md", "agent's both");
      rmSync(real("/cut.md"));
      await bench.write(store, "/pull.md", "person's");
      await bench.write(store, "/both.md", "person's both");
      await bench.remove(store, "/gone.md");
      left = deaths;
      await first.rest();
      left = Number.POSITIVE_INFINITY;
      const next = bench.open([bench.mount(store)]);
      await next.mount(() => undefined);
      await next.rest();
      const contents = await bench.contents(store);
      const kept = Object.keys(contents).find((path) => path.startsWith("/both.conflict-")) ?? "none";
      const wanted = {
        "/pull.md": "person's",
        "/push.md": "agent's",
        "/made.md": "agent's new",
        "/both.md": "person's both",
        [kept]: "agent's both",
      };
      expect(contents).toEqual(wanted);
      for (const [path, content] of Object.entries(wanted)) expect([path, has(path)]).toEqual([path, content]);
      expect([has("/gone.md"), has("/cut.md")]).toEqual([null, null]);
    },
  );
});

test("a deleted store is told once and leaves the files; one store's trouble is not another's", async () => {
  const [a, b] = [await bench.store({ "/a.md": "1" }), await bench.store({ "/b.md": "2" })];
  const memory = bench.open([bench.mount(a), bench.mount(b, { path: "/mnt/memory/other" })]);
  await memory.mount(() => undefined);
  await bench.stores.delete(a);
  put("/a.md", "agent's");
  writeFileSync(real("/b.md", "/mnt/memory/other"), "agent's b");
  expect(await afterCall(memory)).toEqual([expect.stringMatching(/notes was deleted/)]);
  expect(await afterCall(memory)).toEqual([]);
  expect(has("/a.md")).toBe("agent's");
  expect(await bench.contents(b)).toEqual({ "/b.md": "agent's b" });
});

test("records that cannot be written are an event with the reason, once, and are tried again", async () => {
  const store = await bench.store({ "/a.md": "1" });
  let full = true;
  const source: MemorySource = {
    ...bench.source,
    create: (...args) => (full ? Promise.reject(new Error("disk full")) : bench.source.create(...args)),
  };
  const memory = bench.open([bench.mount(store)], { source });
  await memory.mount(() => undefined);
  bench.synced.length = 0;
  put("/new.md", "agent's");
  await afterCall(memory);
  await afterCall(memory);
  expect(bench.synced).toMatchObject([{ error: "disk full", written: 0 }]);
  full = false;
  await memory.rest();
  expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/new.md": "agent's" });
});

test("many memories in many folders, in several batches", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 150 }, (_, i) => [`/dir${i % 20}/file ${i}.md`, `content ${i}`]),
  );
  const { store, memory } = await bench.mounted(files);
  expect(has("/dir7/file 127.md")).toBe("content 127");
  put("/dir7/file 127.md", "changed");
  await afterCall(memory);
  expect((await bench.at(store, "/dir7/file 127.md")).content).toBe("changed");
});
