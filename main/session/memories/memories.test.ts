import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { memoryBlobStore } from "../blobs.ts";
import { MemoryRecords } from "../records/memory_records.ts";
import { openSqliteLedger } from "../sqlite/open.ts";
import { Memories } from "./memories.ts";
import { MemoryStores } from "./stores.ts";
import type { Actor } from "./tables.ts";
import { MemoryVersions } from "./versions.ts";

const actor: Actor = { type: "session_actor", session_id: "sesn_1" };
const fields = { name: "s", description: "", metadata: {} };

async function rig(records = new MemoryRecords()) {
  const stores = new MemoryStores(records, Date.now);
  const { id: store } = await stores.create(fields);
  return {
    records,
    stores,
    store,
    memories: new Memories(records, Date.now),
    versions: new MemoryVersions(records, Date.now),
  };
}

const fulfilled = (results: PromiseSettledResult<unknown>[]): number =>
  results.filter((result) => result.status === "fulfilled").length;
const typesOf = (results: PromiseSettledResult<unknown>[]): unknown[] => [
  ...new Set(
    results.flatMap((result) => (result.status === "rejected" ? [(result.reason as { type: unknown }).type] : [])),
  ),
];

test("of changes at once that expect the same content, one is made and the others are told", async () => {
  const { memories, store, versions } = await rig();
  const { id, content_sha256 } = await memories.create(store, "/a", "0", actor);
  const change = (content: string) => memories.update(store, id, { content, expected_sha256: content_sha256 }, actor);
  const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => change(`${i + 1}`)));
  expect([fulfilled(results), typesOf(results)]).toEqual([1, ["memory_precondition_failed_error"]]);
  expect(await versions.list(store, {}, { limit: 100 })).toHaveLength(2);
});

test("changes at once without a condition are all made, one after the other", async () => {
  const { memories, store, versions } = await rig();
  const { id } = await memories.create(store, "/a", "0", actor);
  await Promise.all(Array.from({ length: 30 }, (_, i) => memories.update(store, id, { content: `${i + 1}` }, actor)));
  const rows = await versions.list(store, {}, { limit: 100 });
  expect(rows).toHaveLength(31);
  const newest = await memories.getFull(store, id);
  expect(newest.memory_version_id).toBe(rows[0]?.id);
});

test("paths that overlap cannot be made at once, and the limit of memories holds", async () => {
  const { memories, store, records } = await rig();
  const paths = ["/a", "/a/b", "/a/b/c", "/a", "/a/b"];
  const results = await Promise.allSettled(paths.map((path) => memories.create(store, path, "", actor)));
  expect([fulfilled(results), typesOf(results)]).toEqual([1, ["memory_path_conflict_error"]]);
  // As if the store had all but one of its memories.
  const row = await records.get("memory_store", store);
  if (row === null) throw new Error("no store");
  const body = { ...(row.body as object), memories: 1999 };
  await records.write([{ op: "replace", record: { ...row, body }, revision: row.revision }]);
  const more = await Promise.allSettled(["/x", "/y", "/z"].map((path) => memories.create(store, path, "", actor)));
  expect([fulfilled(more), typesOf(more)]).toEqual([1, ["invalid_request_error"]]);
});

test("a memory that is made while its store is deleted is not left behind", async () => {
  const { memories, stores, store, records } = await rig();
  const results = await Promise.allSettled([
    ...["/x", "/y"].map((path) => memories.create(store, path, "", actor)),
    stores.delete(store),
    ...["/z", "/w"].map((path) => memories.create(store, path, "", actor)),
  ]);
  expect(results[2]?.status).toBe("fulfilled");
  for (const kind of ["memory", "memory_version", "memory_content"]) {
    expect([kind, await records.count(kind, store)]).toEqual([kind, 0]);
  }
});

test("the bytes of a redacted version are gone from the file", async () => {
  const dataDir = await mkdtemp(join(tmpdir(), "longhaul-redaction-"));
  const open = () => openSqliteLedger({ dataDir, blobs: memoryBlobStore(), isHolderAlive: () => false });
  const secret = "correct-horse-battery-staple";
  let opened = open();
  const stores = new MemoryStores(opened.records, Date.now);
  const memories = new Memories(opened.records, Date.now);
  const { id: store } = await stores.create(fields);
  const first = await memories.create(store, `/${secret}`, secret.repeat(500), actor);
  const bytes = () => readdirSync(dataDir).map((name) => readFileSync(join(dataDir, name), "latin1"));
  await opened.ledger.close();
  expect(bytes().some((text) => text.includes(secret))).toBe(true);
  opened = open();
  const again = new Memories(opened.records, Date.now);
  await again.update(store, first.id, { path: "/a", content: "clean" }, actor);
  await new MemoryVersions(opened.records, Date.now).redact(store, first.memory_version_id, actor);
  await opened.ledger.close();
  expect(bytes().some((text) => text.includes(secret))).toBe(false);
  await rm(dataDir, { recursive: true });
});
