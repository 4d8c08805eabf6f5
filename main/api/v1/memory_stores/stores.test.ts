import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const stores = () => rig.client.beta.memoryStores;

test("create fills in what was left out, retrieve shows the same", async () => {
  const store = await stores().create({ name: "User preferences" });
  expect(store).toEqual({
    id: expect.stringMatching(/^memstore_/),
    type: "memory_store",
    name: "User preferences",
    description: "",
    metadata: {},
    created_at: expect.any(String),
    updated_at: store.created_at,
    archived_at: null,
  });
  expect(await stores().retrieve(store.id)).toEqual(store);
  const again = await stores().create({ name: "User preferences", description: "d", metadata: { user: "1" } });
  expect(again).toMatchObject({ name: "User preferences", description: "d", metadata: { user: "1" } });
});

test("update changes what is given, merges metadata, and moves updated_at only when something changed", async () => {
  const { id } = await stores().create({ name: "a", description: "d", metadata: { keep: "1", drop: "2" } });
  const after = await stores().update(id, { name: "b", description: "", metadata: { drop: null, add: "3" } });
  expect(after).toMatchObject({ name: "b", description: "", metadata: { keep: "1", add: "3" } });
  expect(await stores().update(id, { name: null, description: null, metadata: null })).toEqual(after);
  const many = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, "v"]));
  expect((await refusalOf(stores().update(id, { metadata: many }))).status).toBe(400);
  expect(await stores().retrieve(id)).toEqual(after);
});

test("changes of the memories are no change of the store", async () => {
  const store = await stores().create({ name: "a" });
  const memory = await stores().memories.create(store.id, { path: "/a", content: "x" });
  await stores().memories.update(memory.id, { memory_store_id: store.id, content: "y" });
  expect(await stores().retrieve(store.id)).toEqual(store);
});

test("an archived store can be read and emptied; it is not listed, changed or filled", async () => {
  const { id } = await stores().create({ name: "old" });
  const memory = await stores().memories.create(id, { path: "/a", content: "x" });
  const archived = await stores().archive(id);
  expect(archived.archived_at).toBe(archived.updated_at);
  expect(await stores().archive(id)).toEqual(archived);
  expect((await stores().memories.retrieve(memory.id, { memory_store_id: id })).content).toBe("x");
  for (const call of [
    () => stores().update(id, { name: "new" }),
    () => stores().memories.create(id, { path: "/b", content: "" }),
    () => stores().memories.update(memory.id, { memory_store_id: id, content: "y" }),
  ]) {
    const error = await refusalOf(call());
    expect([error.status, error.message]).toEqual([400, expect.stringContaining("is archived")]);
  }
  await stores().memories.delete(memory.id, { memory_store_id: id });
  const listed = await stores().list({ limit: 1000 });
  expect(listed.data.map((store) => store.id)).not.toContain(id);
  const all = await stores().list({ limit: 1000, include_archived: true });
  expect(all.data.map((store) => store.id)).toContain(id);
});

test("delete takes memories, versions and contents with it; every later call is a 404", async () => {
  const { id } = await stores().create({ name: "gone" });
  const memory = await stores().memories.create(id, { path: "/a", content: "x" });
  await stores().memories.update(memory.id, { memory_store_id: id, content: "y" });
  expect(await stores().delete(id)).toEqual({ id, type: "memory_store_deleted" });
  for (const kind of ["memory_store", "memory", "memory_version", "memory_content"]) {
    expect([
      kind,
      await rig.ports.records.list(kind, { scope: kind === "memory_store" ? "none" : id, limit: 10 }),
    ]).toEqual([kind, []]);
  }
  const store = { memory_store_id: id };
  for (const call of [
    () => stores().retrieve(id),
    () => stores().update(id, { name: "x" }),
    () => stores().archive(id),
    () => stores().delete(id),
    () => stores().memories.list(id),
    () => stores().memories.create(id, { path: "/a", content: "" }),
    () => stores().memories.retrieve(memory.id, store),
    () => stores().memories.update(memory.id, store),
    () => stores().memories.delete(memory.id, store),
    () => stores().memoryVersions.list(id),
    () => stores().memoryVersions.retrieve(memory.memory_version_id, store),
    () => stores().memoryVersions.redact(memory.memory_version_id, store),
  ]) {
    const error = await refusalOf(call());
    expect([error.status, error.type]).toEqual([404, "not_found_error"]);
  }
});

test("the list goes through pages, newest first, within a time", async () => {
  await using own = await startRig();
  const made: string[] = [];
  for (const name of ["a", "b", "c"]) made.unshift((await own.client.beta.memoryStores.create({ name })).id);
  const listed: string[] = [];
  for await (const store of own.client.beta.memoryStores.list({ limit: 2 })) listed.push(store.id);
  expect(listed).toEqual(made);
  const none = await own.client.beta.memoryStores.list({ "created_at[gte]": "2999-01-01T00:00:00Z" });
  expect([none.data, none.next_page]).toEqual([[], null]);
  expect((await own.client.beta.memoryStores.list({ "created_at[lte]": "2999-01-01T00:00:00Z" })).data).toHaveLength(3);
});

describe("bad input", () => {
  test.each<[string, unknown, RegExp]>([
    ["no name", {}, /`name` is required/],
    ["an empty name", { name: "" }, /`name` must not be empty/],
    ["a long name", { name: "x".repeat(256) }, /`name` must have at most 255 characters/],
    ["control characters", { name: "a\nb" }, /`name` must not contain control characters/],
    ["a long description", { name: "a", description: "x".repeat(1025) }, /at most 1024/],
    ["metadata that is no text", { name: "a", metadata: { a: 1 } }, /`metadata\.a` must be a string/],
    ["an unknown field", { name: "a", colour: 1 }, /Unknown field `colour`/],
  ])("%s", async (_, body, text) => {
    const answer = await rig.request("/v1/memory_stores", { method: "POST", body });
    const { error } = (await answer.json()) as { error: { message: string; type: string } };
    expect([answer.status, error.type]).toEqual([400, "invalid_request_error"]);
    expect(error.message).toMatch(text);
  });
});

describe("stores of a session", () => {
  test("name, description and mount path are what they were when the session was made", async () => {
    const made = await Promise.all(
      ["Team Notes (v2)", "team notes  V2!", "日本語"].map((name) =>
        stores().create({ name, description: `about ${name}` }),
      ),
    );
    const [a, b, c] = made.map((store) => store.id);
    const session = await rig.session({
      resources: [
        { type: "memory_store", memory_store_id: a, access: "read_only", instructions: "Look here first." },
        { type: "memory_store", memory_store_id: b },
        { type: "memory_store", memory_store_id: c },
      ],
    });
    await stores().update(a ?? "", { name: "other", description: "other" });
    const { resources } = await rig.client.beta.sessions.retrieve(session);
    expect(resources).toEqual([
      {
        type: "memory_store",
        memory_store_id: a,
        access: "read_only",
        instructions: "Look here first.",
        name: "Team Notes (v2)",
        description: "about Team Notes (v2)",
        mount_path: "/mnt/memory/team-notes-v2-",
      },
      expect.objectContaining({ memory_store_id: b, access: "read_write", mount_path: "/mnt/memory/team-notes-v2--2" }),
      expect.objectContaining({ memory_store_id: c, instructions: null, mount_path: "/mnt/memory/-" }),
    ]);
    expect((await rig.client.beta.sessions.resources.list(session)).data).toEqual(resources);
    const found = await rig.client.beta.sessions.list({ memory_store_id: b ?? "", limit: 1 });
    expect([found.data.map(({ id }) => id), found.next_page]).toEqual([[session], null]);
    expect((await rig.client.beta.sessions.list({ memory_store_id: "memstore_none" })).data).toEqual([]);
  });

  test("refused: an archived one, one twice, a ninth, long instructions, another access", async () => {
    const ids: string[] = [];
    for (let i = 0; i < 9; i += 1) ids.push((await stores().create({ name: "s" })).id);
    const [first = "", last = ""] = [ids[0], ids[8]];
    await stores().archive(last);
    const attach = (...more: object[]) =>
      rig.session({ resources: more.map((it) => ({ type: "memory_store", ...it })) });
    for (const [call, text] of [
      [() => attach({ memory_store_id: last }), /is archived/],
      [() => attach({ memory_store_id: first }, { memory_store_id: first }), /resources\[1\].*attached already/],
      [() => attach(...ids.map((memory_store_id) => ({ memory_store_id }))), /at most 8 memory stores/],
      [() => attach({ memory_store_id: first, instructions: "x".repeat(4097) }), /at most 4096/],
      [() => attach({ memory_store_id: first, access: "write_only" }), /access` must be one of/],
      [() => attach({ memory_store_id: first, mount_path: "/mnt/memory/x" }), /Unknown field/],
    ] as const) {
      const error = await refusalOf(call());
      expect(error.status).toBe(400);
      expect(error.message).toMatch(text);
    }
  });
});
