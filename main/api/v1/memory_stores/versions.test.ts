import { afterAll, beforeAll, expect, test } from "vitest";
import { Memories } from "../../../session/memories/memories.ts";
import { hostedEnvironment, tokenOf, workerClient } from "../../testing/hosted.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
let store: string;
let session: Memories;
beforeAll(async () => {
  rig = await startRig();
  store = (await rig.client.beta.memoryStores.create({ name: "s" })).id;
  session = new Memories(rig.ports.records, Date.now);
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const memories = () => rig.client.beta.memoryStores.memories;
const versions = () => rig.client.beta.memoryStores.memoryVersions;
const KEY = { type: "api_actor", api_key_id: "apikey_local" };

test("each change has a version that says who made it, and stays after the memory is gone", async () => {
  const at = { memory_store_id: store };
  const memory = await memories().create(store, { path: "/a", content: "1" });
  const agent = { type: "session_actor" as const, session_id: "sesn_1" };
  await session.update(store, memory.id, { content: "two" }, agent);
  await memories().delete(memory.id, at);
  const { data } = await versions().list(store, { memory_id: memory.id });
  const stays = { type: "memory_version", memory_id: memory.id, memory_store_id: store, path: "/a", content: null };
  const open = { redacted_at: null, created_at: expect.any(String), id: expect.any(String) };
  const none = { content_sha256: null, content_size_bytes: null };
  expect(data).toEqual([
    { ...stays, ...open, ...none, operation: "deleted", created_by: KEY },
    {
      ...stays,
      ...open,
      operation: "modified",
      created_by: agent,
      content_sha256: expect.any(String),
      content_size_bytes: 3,
    },
    {
      ...stays,
      ...open,
      operation: "created",
      created_by: KEY,
      content_sha256: expect.any(String),
      content_size_bytes: 1,
    },
  ]);
  const contents = [];
  for (const { id } of data) contents.push((await versions().retrieve(id, at)).content);
  expect(contents).toEqual([null, "two", "1"]);
  expect((await versions().retrieve(data[1]?.id ?? "", { ...at, view: "basic" })).content).toBeNull();
  const full = await versions().list(store, { memory_id: memory.id, view: "full" });
  expect(full.data.map(({ content }) => content)).toEqual(contents);

  const count = async (params: Parameters<ReturnType<typeof versions>["list"]>[1]) =>
    (await versions().list(store, params)).data.length;
  expect(await count({ session_id: "sesn_1" })).toBe(1);
  expect(await count({ session_id: "sesn_2" })).toBe(0);
  expect(await count({ api_key_id: "apikey_local" })).toBe(2);
  expect(await count({ api_key_id: "sesn_1" })).toBe(0);
  expect(await count({ service_account_id: "svac_1" })).toBe(0);
  expect(await count({ operation: "deleted" })).toBe(1);
  expect(await count({ "created_at[gte]": "2999-01-01T00:00:00Z" })).toBe(0);
  expect((await refusalOf(versions().list(store, { operation: "moved" as "created" }))).status).toBe(400);
  const paged: string[] = [];
  for await (const version of versions().list(store, { limit: 1, api_key_id: "apikey_local" })) paged.push(version.id);
  expect(paged).toEqual([data[0]?.id, data[2]?.id]);
});

test("redaction takes the content out of the version and of everything stored; the newest cannot be redacted", async () => {
  const at = { memory_store_id: store };
  const memory = await memories().create(store, { path: "/secret-place", content: "hunter2" });
  const newest = await refusalOf(versions().redact(memory.memory_version_id, at));
  expect([newest.status, newest.message]).toEqual([400, expect.stringContaining("Change or delete the memory first")]);
  await memories().update(memory.id, { ...at, content: "clean", path: "/place" });
  const redacted = await versions().redact(memory.memory_version_id, at);
  expect(redacted).toMatchObject({
    operation: "created",
    content: null,
    content_sha256: null,
    content_size_bytes: null,
    path: null,
    redacted_at: expect.any(String),
    redacted_by: KEY,
    created_by: KEY,
  });
  expect(await versions().redact(memory.memory_version_id, at)).toEqual(redacted);
  expect(await versions().retrieve(memory.memory_version_id, at)).toEqual(redacted);
  const { records } = rig.ports;
  const everything = [];
  for (const kind of ["memory_store", "memory", "memory_version", "memory_content"]) {
    everything.push(...(await records.list(kind, { limit: 1000, include_archived: true })));
  }
  expect(JSON.stringify(everything)).not.toMatch(/hunter2|secret-place/);
  expect((await memories().retrieve(memory.id, at)).content).toBe("clean");
  // After the memory's end nothing of it is the newest any more.
  await memories().delete(memory.id, at);
  const { data } = await versions().list(store, { memory_id: memory.id });
  for (const { id } of data) await versions().redact(id, at);
  const after = await versions().list(store, { memory_id: memory.id, view: "full" });
  expect(after.data.map(({ path, content }) => [path, content])).toEqual(Array(3).fill([null, null]));
});

test("an unknown version, and one of another store", async () => {
  const other = (await rig.client.beta.memoryStores.create({ name: "other" })).id;
  const memory = await memories().create(store, { path: "/mine", content: "1" });
  for (const [id, at] of [
    ["memver_none", store],
    [memory.memory_version_id, other],
  ] as const) {
    expect((await refusalOf(versions().retrieve(id, { memory_store_id: at }))).status).toBe(404);
    expect((await refusalOf(versions().redact(id, { memory_store_id: at }))).status).toBe(404);
  }
});

test("a worker with the token of an item acts as the item's session, in stores that the session has", async () => {
  const environment = await hostedEnvironment(rig);
  const mine = (await rig.client.beta.memoryStores.create({ name: "mine" })).id;
  const agent = await rig.client.beta.agents.create({
    name: "a",
    model: "m",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const { id } = await rig.client.beta.sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    resources: [{ type: "memory_store", memory_store_id: mine }],
  });
  const work = await environment.client.beta.environments.work.poll(environment.id);
  if (work === null) throw new Error("nothing was offered");
  const worker = workerClient(rig, tokenOf(work)).beta.memoryStores;
  const memory = await worker.memories.create(mine, { path: "/a", content: "x" });
  const version = await versions().retrieve(memory.memory_version_id, { memory_store_id: mine });
  expect(version.created_by).toEqual({ type: "session_actor", session_id: id });
  expect((await refusalOf(worker.memories.list(store))).status).toBe(403);
  expect((await refusalOf(worker.memoryVersions.list(mine))).status).toBe(403);
});
