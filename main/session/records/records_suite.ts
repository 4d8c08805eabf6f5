/** The conformance suite of the records port. */
import { describe, expect, test } from "vitest";
import { RecordConflict, type Records, type StoredRecord } from "./records.ts";

function record(id: string, more: Partial<StoredRecord> = {}): StoredRecord {
  const created_at = "2026-03-01T10:00:00.000Z";
  return { kind: "thing", id, scope: "", key: null, state: null, created_at, archived_at: null, body: { id }, ...more };
}

const at = (second: number): string => new Date(Date.UTC(2026, 2, 1, 10, 0, second)).toISOString();
const ids = (rows: readonly { id: string }[]): string[] => rows.map(({ id }) => id);

async function insert(records: Records, ...rows: StoredRecord[]): Promise<void> {
  await records.write(rows.map((row) => ({ op: "insert", record: row })));
}

async function conflict(write: Promise<void>): Promise<RecordConflict["reason"]> {
  const error: unknown = await write.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof RecordConflict)) throw new Error(`no conflict: ${String(error)}`);
  return error.reason;
}

export function recordsSuite(name: string, open: () => Promise<Records>): void {
  describe(`records: ${name}`, () => {
    test("what was written is read, with a revision that grows", async () => {
      const records = await open();
      await insert(records, record("a", { body: { text: "x\u0000y", list: [1, null] } }));
      const read = await records.get("thing", "a");
      expect(read).toEqual({ ...record("a"), body: { text: "x\u0000y", list: [1, null] }, revision: 1 });
      await records.write([{ op: "replace", record: record("a", { body: 2, state: "on" }), revision: 1 }]);
      expect(await records.get("thing", "a")).toMatchObject({ body: 2, state: "on", revision: 2 });
      expect(await records.get("other", "a")).toBeNull();
    });

    test("an id is taken once, a replacement needs the revision that was read", async () => {
      const records = await open();
      await insert(records, record("a"));
      expect(await conflict(insert(records, record("a")))).toBe("exists");
      await insert(records, record("a", { kind: "other" }));
      const stale = records.write([{ op: "replace", record: record("a"), revision: 2 }]);
      expect(await conflict(stale)).toBe("revision");
      const gone = records.write([{ op: "replace", record: record("b"), revision: 1 }]);
      expect(await conflict(gone)).toBe("revision");
      expect(await conflict(records.write([{ op: "delete", kind: "thing", id: "a", revision: 7 }]))).toBe("revision");
    });

    test("a key is unique in its kind and scope until it is given up", async () => {
      const records = await open();
      await insert(records, record("a", { key: "k" }), record("b", { key: "k", scope: "s" }), record("c"), record("d"));
      expect(await conflict(insert(records, record("e", { key: "k" })))).toBe("key");
      expect((await records.findByKey("thing", "s", "k"))?.id).toBe("b");
      expect(await records.findByKey("thing", "s", "K")).toBeNull();
      await records.write([
        { op: "replace", record: record("a", { archived_at: at(1) }), revision: 1 },
        { op: "insert", record: record("e", { key: "k" }) },
      ]);
      expect((await records.findByKey("thing", "", "k"))?.id).toBe("e");
      await records.write([{ op: "replace", record: record("e", { key: "k", body: 1 }), revision: 1 }]);
    });

    test("writes are all or none", async () => {
      const records = await open();
      await insert(records, record("a"));
      const half = records.write([
        { op: "insert", record: record("b") },
        { op: "delete", kind: "thing", id: "a" },
        { op: "insert", record: record("b") },
      ]);
      expect(await conflict(half)).toBe("exists");
      expect(ids(await records.list("thing", { limit: 9 }))).toEqual(["a"]);
      await records.write([{ op: "delete", kind: "thing", id: "nothing" }]);
      await records.write([{ op: "delete", kind: "thing", id: "a", revision: 1 }]);
      expect(await records.get("thing", "a")).toBeNull();
    });

    test("lists are by creation, filtered and paged", async () => {
      const records = await open();
      const rows = ["a", "b", "c", "d", "e"].map((id, index) => record(id, { created_at: at(index >> 1), scope: "s" }));
      await insert(records, ...rows, record("z", { archived_at: at(9), state: "off" }), record("y", { state: "on" }));
      expect(ids(await records.list("thing", { scope: "s", limit: 2 }))).toEqual(["e", "d"]);
      const after = { created_at: at(1), id: "d" };
      expect(ids(await records.list("thing", { scope: "s", limit: 9, after }))).toEqual(["c", "b", "a"]);
      expect(ids(await records.list("thing", { scope: "s", limit: 9, order: "asc", after }))).toEqual(["e"]);
      expect(ids(await records.list("thing", { scope: "s", limit: 9, created_gt: at(0), created_lt: at(2) }))).toEqual([
        "d",
        "c",
      ]);
      expect(ids(await records.list("thing", { scope: "", limit: 9 }))).toEqual(["y"]);
      expect(ids(await records.list("thing", { scope: "", limit: 9, include_archived: true }))).toEqual(["z", "y"]);
      expect(ids(await records.list("thing", { limit: 9, states: ["on", "off"] }))).toEqual(["y"]);
      expect(ids(await records.list("thing", { limit: 9, ids: ["a", "y", "?"], order: "asc" }))).toEqual(["a", "y"]);
      expect(await records.count("thing")).toBe(6);
      expect(await records.count("thing", "s")).toBe(5);
    });

    test("keys list in the order of their bytes, by prefix", async () => {
      const records = await open();
      const keys = ["/b", "/a/x", "/a", "/a/\u{10FFFF}", "/a_", "/é", "/a/%", "/A"];
      await insert(records, ...keys.map((key, index) => record(`r${index}`, { key, scope: "s" })), record("none"));
      const listed = async (prefix: string, after?: string) =>
        (
          await records.listByKey("thing", { scope: "s", prefix, limit: 9, ...(after === undefined ? {} : { after }) })
        ).map(({ key }) => key);
      expect(await listed("")).toEqual(["/A", "/a", "/a/%", "/a/x", "/a/\u{10FFFF}", "/a_", "/b", "/é"]);
      expect(await listed("/a/")).toEqual(["/a/%", "/a/x", "/a/\u{10FFFF}"]);
      expect(await listed("/a/", "/a/%")).toEqual(["/a/x", "/a/\u{10FFFF}"]);
      expect(await records.listByKey("thing", { scope: "s", limit: 1 })).toHaveLength(1);
    });
  });
}
