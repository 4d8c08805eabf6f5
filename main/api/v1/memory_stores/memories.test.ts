import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
let store: string;
beforeAll(async () => {
  rig = await startRig();
  store = (await stores().create({ name: "s" })).id;
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const stores = () => rig.client.beta.memoryStores;
const memories = () => stores().memories;
const sha = (text: string) => createHash("sha256").update(text).digest("hex");
const newStore = async () => (await stores().create({ name: "own" })).id;

/** The refusal's body as it was sent. */
async function bodyOf(call: PromiseLike<unknown>): Promise<Record<string, unknown>> {
  const { status, error } = await refusalOf(call);
  expect(status).toBe(409);
  return (error as { error: Record<string, unknown> }).error;
}

test("create answers without the content unless it is asked for; retrieve the other way round", async () => {
  const memory = await memories().create(store, { path: "/notes/ü.md", content: "grüß" });
  expect(memory).toEqual({
    id: expect.stringMatching(/^mem_/),
    type: "memory",
    memory_store_id: store,
    memory_version_id: expect.stringMatching(/^memver_/),
    path: "/notes/ü.md",
    content: null,
    content_sha256: sha("grüß"),
    content_size_bytes: 6,
    created_at: expect.any(String),
    updated_at: memory.created_at,
  });
  const full = { ...memory, content: "grüß" };
  expect(await memories().retrieve(memory.id, { memory_store_id: store })).toEqual(full);
  expect(await memories().retrieve(memory.id, { memory_store_id: store, view: "basic" })).toEqual(memory);
  const shown = await memories().create(store, { path: "/empty", content: "", view: "full" });
  expect([shown.content, shown.content_size_bytes]).toEqual(["", 0]);
});

describe("paths", () => {
  test.each<[string, string, RegExp]>([
    ["no slash", "notes", /`path` must start with/],
    ["nothing but a slash", "/", /empty segments/],
    ["a slash at its end", "/a/", /empty segments/],
    ["two slashes", "/a//b", /empty segments/],
    ["a dot", "/a/./b", /must not contain .*segments/],
    ["a way out", "/../etc/passwd", /must not contain .*segments/],
    ["too many segments", `/${Array(21).fill("a").join("/")}`, /at most 20 segments/],
    ["too many bytes", `/${"ü".repeat(512)}`, /at most 1024 bytes/],
    ["not composed", "/u\u0308", /Normalization Form C/],
    ["a control character", "/a\u0000b", /control characters/],
    ["a format character", "/a\u200bb", /format characters/],
    ["a line separator", "/a\u2028b", /line separators/],
  ])("refused: %s", async (_, path, text) => {
    const error = await refusalOf(memories().create(store, { path, content: "" }));
    expect([error.status, error.type]).toEqual([400, "invalid_request_error"]);
    expect(error.message).toMatch(text);
  });

  test("the longest and deepest paths are taken, and case tells them apart", async () => {
    const own = await newStore();
    for (const path of [`/${"ü".repeat(511)}x`, `/${Array(20).fill("a").join("/")}`, "/Readme", "/README", "/…"]) {
      expect((await memories().create(own, { path, content: "" })).path).toBe(path);
    }
  });

  test("a taken path, one above and one below are conflicts that name the other memory", async () => {
    const own = await newStore();
    const there = await memories().create(own, { path: "/a/b/c", content: "" });
    const conflict = { conflicting_memory_id: there.id, conflicting_path: "/a/b/c" };
    for (const path of ["/a/b/c", "/a", "/a/b", "/a/b/c/d/e"]) {
      const body = await bodyOf(memories().create(own, { path, content: "" }));
      expect([path, body]).toEqual([
        path,
        { type: "memory_path_conflict_error", message: expect.any(String), ...conflict },
      ]);
    }
    for (const path of ["/a/b/cc", "/a/bb", "/aa", "/a/b/C"]) await memories().create(own, { path, content: "" });
    const other = await memories().create(own, { path: "/x", content: "" });
    const body = await bodyOf(memories().update(other.id, { memory_store_id: own, path: "/a/b/c/d" }));
    expect(body).toMatchObject(conflict);
    // Its own old path does not stand in its way.
    const moved = await memories().update(there.id, { memory_store_id: own, path: "/a/b/c/d" });
    expect([moved.id, moved.path]).toEqual([there.id, "/a/b/c/d"]);
    await memories().create(own, { path: "/a/b/c/e", content: "" });
  });
});

describe("content", () => {
  test("102,400 bytes are the most, counted in UTF-8", async () => {
    const own = await newStore();
    await memories().create(own, { path: "/most", content: "ü".repeat(51_200) });
    const error = await refusalOf(memories().create(own, { path: "/more", content: `${"ü".repeat(51_200)}x` }));
    expect([error.status, error.message]).toEqual([
      400,
      expect.stringContaining("`content` must have at most 102400 bytes"),
    ]);
  });

  test("must be there and be text", async () => {
    const post = (body: unknown) => rig.request(`/v1/memory_stores/${store}/memories`, { method: "POST", body });
    for (const body of [
      { path: "/q" },
      { path: "/q", content: 1 },
      { content: "x" },
      { path: "/q", content: "", x: 1 },
    ]) {
      expect((await post(body)).status).toBe(400);
    }
    expect((await post({ path: "/null", content: null })).status).toBe(200);
  });
});

describe("update", () => {
  test("content, path or both; each change has a version and nothing else has", async () => {
    const own = await newStore();
    const memory = await memories().create(own, { path: "/a", content: "1" });
    const content = await memories().update(memory.id, { memory_store_id: own, content: "2", view: "full" });
    expect(content).toMatchObject({
      path: "/a",
      content: "2",
      content_sha256: sha("2"),
      created_at: memory.created_at,
    });
    expect(content.memory_version_id).not.toBe(memory.memory_version_id);
    const moved = await memories().update(memory.id, { memory_store_id: own, path: "/b", content: null });
    expect(moved).toMatchObject({ path: "/b", content: null, content_sha256: sha("2") });
    expect(await memories().update(memory.id, { memory_store_id: own })).toEqual(moved);
    expect(await memories().update(memory.id, { memory_store_id: own, path: "/b", content: "2" })).toEqual(moved);
    const { data } = await stores().memoryVersions.list(own);
    expect(data.map(({ operation, path }) => [operation, path])).toEqual([
      ["modified", "/b"],
      ["modified", "/a"],
      ["created", "/a"],
    ]);
    const patched = await rig.request(`/v1/memory_stores/${own}/memories/${memory.id}?view=full`, {
      method: "PATCH",
      body: { content: "3" },
    });
    expect([patched.status, await patched.json()]).toEqual([
      200,
      expect.objectContaining({ content: "3", path: "/b" }),
    ]);
  });

  test("goes by the hash that was read; one that is already as asked succeeds all the same", async () => {
    const own = await newStore();
    const { id } = await memories().create(own, { path: "/a", content: "1" });
    const update = (content: string, expected: string) =>
      memories().update(id, {
        memory_store_id: own,
        content,
        precondition: { type: "content_sha256", content_sha256: expected },
      });
    await update("2", sha("1"));
    const body = await bodyOf(update("3", sha("1")));
    expect(body).toEqual({ type: "memory_precondition_failed_error", message: expect.any(String) });
    expect((await update("2", sha("1"))).content_sha256).toBe(sha("2"));
    const wrong = await refusalOf(update("3", "ABC"));
    expect(wrong.message).toMatch(/precondition\.content_sha256` must be 64 lower-case/);
  });

  test("another store's memory is not found", async () => {
    const memory = await memories().create(await newStore(), { path: "/a", content: "1" });
    const error = await refusalOf(memories().update(memory.id, { memory_store_id: store, content: "2" }));
    expect(error.status).toBe(404);
  });
});

test("delete goes by the hash when one is given, and frees the path", async () => {
  const own = await newStore();
  const { id } = await memories().create(own, { path: "/a", content: "1" });
  const remove = (expected_content_sha256?: string) =>
    memories().delete(id, {
      memory_store_id: own,
      ...(expected_content_sha256 === undefined ? {} : { expected_content_sha256 }),
    });
  expect((await bodyOf(remove(sha("2"))))["type"]).toBe("memory_precondition_failed_error");
  expect((await refusalOf(remove("x"))).status).toBe(400);
  expect(await remove(sha("1"))).toEqual({ id, type: "memory_deleted" });
  expect((await refusalOf(remove())).status).toBe(404);
  expect((await memories().create(own, { path: "/a", content: "1" })).id).not.toBe(id);
});

describe("list", () => {
  let own: string;
  beforeAll(async () => {
    own = await newStore();
    for (const path of ["/b/2", "/b-x", "/a", "/b/1/deep/er", "/b/1/x", "/c/only", "/z"]) {
      await memories().create(own, { path, content: path });
    }
  });
  const paths = async (params: Parameters<ReturnType<typeof memories>["list"]>[1]) => {
    const found: string[] = [];
    for await (const item of memories().list(own, params)) {
      found.push(item.type === "memory" ? item.path : `${item.path}*`);
      if (item.type === "memory") expect(item.content).toBe(params?.view === "full" ? item.path : null);
    }
    return found;
  };

  test("by path, in pages", async () => {
    const all = ["/a", "/b-x", "/b/1/deep/er", "/b/1/x", "/b/2", "/c/only", "/z"];
    expect(await paths({})).toEqual(all);
    expect(await paths({ limit: 1, view: "full" })).toEqual(all);
    expect(await paths({ path_prefix: "/b/", limit: 2 })).toEqual(["/b/1/deep/er", "/b/1/x", "/b/2"]);
    expect(await paths({ path_prefix: "/none/" })).toEqual([]);
  });

  test("one level deep, deeper ones rolled up and counted once", async () => {
    expect(await paths({ depth: 1 })).toEqual(["/a", "/b-x", "/b/*", "/c/*", "/z"]);
    expect(await paths({ depth: 1, limit: 1 })).toEqual(["/a", "/b-x", "/b/*", "/c/*", "/z"]);
    expect(await paths({ depth: 1, path_prefix: "/b/", limit: 1 })).toEqual(["/b/1/*", "/b/2"]);
  });

  test("in other orders that older clients ask for", async () => {
    const get = async (query: string) => {
      const answer = await rig.request(`/v1/memory_stores/${own}/memories?${query}`);
      return (await answer.json()) as { data: { path: string }[]; next_page: string | null };
    };
    const first = await get("order_by=created_at&order=desc&limit=5");
    expect(first.data.map(({ path }) => path).slice(0, 1)).toEqual(["/z"]);
    const rest = await get(`order_by=created_at&order=desc&limit=5&page=${first.next_page}`);
    expect([...first.data, ...rest.data].map(({ path }) => path).sort()).toHaveLength(7);
    expect((await rig.request(`/v1/memory_stores/${own}/memories?page=${first.next_page}`)).status).toBe(400);
  });

  test.each([
    "depth=2",
    "path_prefix=/b",
    "path_prefix=b/",
    "limit=0",
    "view=all",
    "page=!",
    "depth=1&order_by=created_at",
  ])("refuses %s", async (query) => {
    expect((await rig.request(`/v1/memory_stores/${own}/memories?${query}`)).status).toBe(400);
  });

  test("a page with contents holds twenty, one without a hundred", async () => {
    const big = await newStore();
    const made = Array.from({ length: 105 }, (_, i) => memories().create(big, { path: `/${i}`, content: "" }));
    await Promise.all(made);
    expect((await memories().list(big, { view: "full", limit: 1000 })).data).toHaveLength(20);
    expect((await memories().list(big, { limit: 1000 })).data).toHaveLength(100);
  });
});
