import { Readable } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LonghaulEventOf } from "../../contract/events.ts";
import { SandboxLost } from "../../sandbox/port.ts";
import { memoryBlobStore } from "../../session/blobs.ts";
import { MemoryCatalog } from "../../session/memory_catalog.ts";
import { MemoryLedger } from "../../session/memory_ledger.ts";
import { MemoryRecords } from "../../session/records/memory_records.ts";
import { RemovedOutputs } from "../../session/records/removed_outputs.ts";
import { newSession } from "../../session/testing/drafts.ts";
import { MAX_STORED_OUTPUTS, OutputFiles } from "./output_files.ts";
import type { OutputPorts } from "./stored_output.ts";

const NOW = Date.parse("2026-06-01T12:00:00Z");
const BEFORE = "2026-06-01T11:00:00.000Z";

/** A folder of outputs; `text: null` is a file that vanishes before it is read. */
interface Output {
  text: string | null;
  modified_at?: string;
  /** What the list says; default: the length of the text. */
  size?: number;
}

let ledger: MemoryLedger;
let catalog: MemoryCatalog;
let records: MemoryRecords;
let outputs: Record<string, Output>;
let reads: string[];
let errors: unknown[];
let failure: Error | null;
let atWork: boolean;
let sandboxes: OutputPorts["sandboxes"];
let files: OutputFiles;
let id: string;

beforeEach(async () => {
  ledger = new MemoryLedger();
  catalog = new MemoryCatalog();
  records = new MemoryRecords();
  outputs = {};
  reads = [];
  errors = [];
  failure = null;
  atWork = false;
  files = open();
  id = await newSession(ledger);
  const ready = { provider: "embedded", duration_ms: 1, adopted: false };
  await ledger.emitEvent(id, { type: "longhaul.sandbox_ready", ...ready });
});
afterEach(async () => {
  await files.stop();
  vi.useRealTimers();
});

function open(): OutputFiles {
  sandboxes = {
    outputs: async () => {
      if (failure !== null) throw failure;
      return Object.entries(outputs).map(([path, { text, size, modified_at = BEFORE }]) => {
        return { path, size: size ?? text?.length ?? 0, modified_at };
      });
    },
    readOutput: async (_session, path) => {
      reads.push(path);
      const output = outputs[path];
      if (output?.text == null) return null;
      return { size: output.size ?? output.text.length, stream: Readable.from([Buffer.from(output.text)]) };
    },
  };
  return new OutputFiles({
    ledger,
    catalog,
    blobs: memoryBlobStore(),
    records,
    sandboxes,
    isAtWork: () => atWork,
    now: () => NOW,
    onError: (_session, error) => errors.push(error),
  });
}

/** A pass that begins now. */
async function pass(): Promise<void> {
  await ledger.emitEvent(id, { type: "agent.tool_result", tool_use_id: "sevt_x", content: [] });
  await files.refresh(id);
}

async function stored() {
  const all = await catalog.listFiles({ scope_id: id, limit: 5000 });
  return all.sort((a, b) => ((a.output?.path ?? "") < (b.output?.path ?? "") ? -1 : 1));
}

async function told(): Promise<LonghaulEventOf<"longhaul.outputs_stored">[]> {
  const found: LonghaulEventOf<"longhaul.outputs_stored">[] = [];
  for await (const { event } of ledger.getEvents(id)) if (event.type === "longhaul.outputs_stored") found.push(event);
  return found;
}

test("outputs become files of the session, once; a changed one replaces its former self", async () => {
  outputs = { "a/report.csv": { text: "1,2" }, "b/report.csv": { text: "" } };
  await pass();
  const [a, b] = await stored();
  expect(a).toMatchObject({
    filename: "report.csv",
    mime_type: "text/csv",
    size_bytes: 3,
    downloadable: true,
    scope: { id, type: "session" },
  });
  expect(b).toMatchObject({ filename: "report.csv", size_bytes: 0 });
  expect(await told()).toMatchObject([
    { count: 2, skipped: [], files: [{ file_id: a?.id, path: "a/report.csv" }, {}] },
  ]);
  await pass();
  expect(reads).toEqual(["a/report.csv", "b/report.csv"]);
  outputs["a/report.csv"] = { text: "1,3", modified_at: "2026-06-01T11:30:00.000Z" };
  delete outputs["b/report.csv"];
  await pass();
  const [next, kept] = await stored();
  expect(next?.id).not.toBe(a?.id);
  expect(next?.sha256).not.toBe(a?.sha256);
  // The agent may tidy up, and a sandbox may be lost: what was stored stays.
  expect(kept).toEqual(b);
  expect(await stored()).toHaveLength(2);
  expect(errors).toEqual([]);
});

test("a touched file keeps its id, and one that has just been written is looked at again", async () => {
  outputs = { "x.txt": { text: "one", modified_at: new Date(NOW - 500).toISOString() } };
  await pass();
  const [first] = await stored();
  outputs["x.txt"] = { text: "two", modified_at: new Date(NOW - 500).toISOString() };
  await pass();
  const [second] = await stored();
  expect(second?.id).not.toBe(first?.id);
  outputs["x.txt"] = { text: "two", modified_at: BEFORE };
  await pass();
  expect((await stored())[0]?.id).toBe(second?.id);
  await pass();
  expect(reads).toHaveLength(3);
});

test("a stored output that somebody deletes does not come back before it changes", async () => {
  outputs = { "x.txt": { text: "one" }, "y.txt": { text: "y" } };
  await pass();
  const removed = new RemovedOutputs(records);
  for (const file of await stored()) {
    // Twice, as when two delete it at the same time.
    for (let times = 0; times < 2; times += 1) await removed.add(file);
    await catalog.deleteFile(file.id);
  }
  await pass();
  expect(await stored()).toEqual([]);
  outputs["x.txt"] = { text: "two", modified_at: "2026-06-01T11:30:00.000Z" };
  await pass();
  expect((await stored()).map(({ filename }) => filename)).toEqual(["x.txt"]);
  await removed.forget(id);
  await pass();
  expect(await stored()).toHaveLength(2);
});

test("what cannot be stored is told once and holds up nothing else", async () => {
  outputs = {
    gone: { text: null },
    grows: { text: "more than it said", size: 3 },
    huge: { text: "", size: 501 * 1024 * 1024 },
    ok: { text: "ok" },
    shrinks: { text: "x", size: 3 },
  };
  await pass();
  await pass();
  expect((await stored()).map(({ filename }) => filename)).toEqual(["ok"]);
  const [event, ...more] = await told();
  expect(event?.skipped).toEqual([
    { path: "huge", reason: expect.stringMatching(/larger than 500 MB/) },
    { path: "gone", reason: expect.stringMatching(/removed/) },
    { path: "grows", reason: expect.stringMatching(/changed while/) },
    { path: "shrinks", reason: expect.stringMatching(/changed while/) },
  ]);
  expect(more).toEqual([]);
  expect(reads).not.toContain("huge");
});

test("one that became larger than memory since it was listed is not read", async () => {
  outputs = { bomb: { text: "x", size: 1 } };
  const stream = Readable.from([Buffer.alloc(1)]);
  sandboxes.readOutput = async () => ({ size: 2 ** 50, stream });
  await pass();
  expect([await stored(), stream.destroyed]).toEqual([[], true]);
  expect((await told())[0]?.skipped).toEqual([{ path: "bomb", reason: expect.stringMatching(/changed while/) }]);
});

test("of very many outputs the first thousand are stored, and the rest is told", async () => {
  outputs = Object.fromEntries(Array.from({ length: 1200 }, (_, i) => [String(i).padStart(5, "0"), { text: "x" }]));
  await pass();
  expect(await stored()).toHaveLength(MAX_STORED_OUTPUTS);
  const [event] = await told();
  expect(event?.count).toBe(MAX_STORED_OUTPUTS);
  expect(event?.files).toHaveLength(100);
  expect(event?.skipped).toEqual([{ path: "01000", reason: expect.stringMatching(/has 1000 stored outputs/) }]);
});

test("a large file waits until the session rests", async () => {
  outputs = { big: { text: "x".repeat(11 * 1024 * 1024) } };
  atWork = true;
  await pass();
  expect(reads).toEqual([]);
  atWork = false;
  files.rested(id);
  await vi.waitFor(async () => expect(await stored()).toHaveLength(1));
  expect(await told()).toMatchObject([{ count: 1 }]);
});

test("calls are followed by one pass a few seconds later, however many there are", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  outputs = { a: { text: "a" } };
  // A turn without a call leaves nothing that is worth a look.
  files.rested(id);
  vi.advanceTimersByTime(10_000);
  for (let i = 0; i < 20; i += 1) {
    await ledger.emitEvent(id, { type: "agent.tool_result", tool_use_id: "sevt_x", content: [] });
    vi.advanceTimersByTime(100);
  }
  expect(reads).toEqual([]);
  vi.advanceTimersByTime(1000);
  vi.useRealTimers();
  await vi.waitFor(async () => expect(await stored()).toHaveLength(1));
  expect(reads).toEqual(["a"]);
});

test("a sandbox that cannot be reached is reported, and asked again the next time", async () => {
  outputs = { a: { text: "a" } };
  failure = new SandboxLost("no engine");
  await pass();
  expect(errors).toEqual([failure]);
  failure = null;
  await pass();
  expect(await stored()).toHaveLength(1);
});

test("nothing is stored for a session that is deleted meanwhile, or that never had a sandbox", async () => {
  outputs = { a: { text: "a" }, b: { text: "b" } };
  const put = catalog.putFile.bind(catalog);
  catalog.putFile = async (file) => {
    await put(file);
    await ledger.deleteSession(id);
  };
  await files.refresh(id);
  expect(await stored()).toEqual([]);
  expect(reads).toEqual(["a"]);
  catalog.putFile = put;
  id = await newSession(ledger);
  await files.refresh(id);
  expect(reads).toEqual(["a"]);
  expect(errors).toEqual([]);
});

test("two records of one path, left by a crash, become one", async () => {
  outputs = { a: { text: "a" } };
  await pass();
  const [one] = await stored();
  if (one === undefined) throw new Error("nothing was stored");
  await catalog.putFile({ ...one, id: "file_older", created_at: BEFORE, sha256: "0".repeat(64) });
  await pass();
  expect((await stored()).map(({ id: file }) => file)).toEqual([one.id]);
});
