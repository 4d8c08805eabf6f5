/**
 * The ledger against what it stands on: a bare fdatasync, and a bare better-sqlite3 insert in the same mode. Variants
 * take turns within one run, so that a noisy disk disturbs all of them alike; ratios are between neighbours.
 */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import Database from "better-sqlite3";
import type { EventDraft } from "../main/contract/events.ts";
import { newId } from "../main/contract/ids.ts";
import { SecretScanner } from "../main/contract/secrets/scanner.ts";
import { fileBlobStore } from "../main/session/blobs.ts";
import { eventScrubber } from "../main/session/secrets/mask_event.ts";
import { openSqliteLedger, type SqliteStore } from "../main/session/sqlite/open.ts";
import { agentMessage, sessionCreated } from "../main/session/testing/drafts.ts";
import { printKey } from "../main/vault/prints/keys.ts";
import { Prints } from "../main/vault/prints/prints.ts";

const ROUNDS = 40;
/** Operations per round and variant; fewer of the large ones. */
const opsPerRound = (events: number): number => (events === 100 ? 4 : 20);
/** About 1 KB as JSON. */
const TEXT = "the quick brown fox jumps over the lazy dog ".repeat(21);
const THREAD = "sthr_01KAJ0BENCH000000000000000";
const HASH = "0".repeat(64);
const SESSION = "sesn_01KAJ0BENCH000000000000000";

interface Variant {
  name: string;
  /** Events per operation. */
  events: number;
  /** Name of the variant that this one is compared with. */
  baseline: string | null;
  operate: () => Promise<void> | void;
}

interface Row {
  name: string;
  p50_ms: number;
  p95_ms: number;
  events_per_s: number;
  /** Baseline's p50 over this one's: 1 is as fast. */
  ratio: number | null;
}

function draft(): EventDraft {
  return agentMessage(TEXT);
}

function bareFlush(dir: string): () => void {
  const handle = fs.openSync(path.join(dir, "bare.log"), "a");
  return () => {
    fs.writeSync(handle, `${JSON.stringify(draft())}\n`);
    fs.fdatasyncSync(handle);
  };
}

interface BareTable {
  name: string;
  schema: string;
  insert: string;
  row: (seq: number) => unknown[];
}

/** The least that keeps an event: one table, no index. */
const LEAST: BareTable = {
  name: "least",
  schema: "CREATE TABLE events (pos INTEGER PRIMARY KEY, session_id TEXT, seq INTEGER, type TEXT, at TEXT, event TEXT)",
  insert: "INSERT INTO events (session_id, seq, type, at, event) VALUES (?, ?, ?, ?, ?)",
  row: (seq) => {
    const event = draft();
    return [SESSION, seq, event.type, new Date().toISOString(), JSON.stringify(event)];
  },
};

/** The ledger's own rows in the ledger's own table with its index by id; no chain, fold, queue or subscribers. */
const SAME_ROWS: BareTable = {
  name: "same",
  schema: `
    CREATE TABLE events (pos INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, thread_id TEXT NOT NULL,
      created_at TEXT NOT NULL, event TEXT NOT NULL, bodies TEXT, hash TEXT NOT NULL) STRICT;
    CREATE UNIQUE INDEX events_by_id ON events (pos >> 30, id)`,
  insert: "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
  row: (seq) => {
    const id = newId("event");
    const created_at = new Date().toISOString();
    const event = { id, ...draft(), processed_at: created_at };
    return [2 ** 30 + seq, id, event.type, THREAD, created_at, JSON.stringify(event), null, HASH];
  },
};

function bareInsert(dir: string, bare: BareTable): (count: number) => void {
  const db = new Database(path.join(dir, `${bare.name}.db`));
  db.pragma("journal_mode = WAL");
  db.pragma("synchronous = FULL");
  db.exec(bare.schema);
  const insert = db.prepare(bare.insert);
  const [begin, commit] = [db.prepare("BEGIN IMMEDIATE"), db.prepare("COMMIT")];
  let seq = 0;
  return (count) => {
    begin.run();
    for (let index = 0; index < count; index++) insert.run(...bare.row(++seq));
    commit.run();
  };
}

/** Knows as many values as a person with a hundred credentials has. */
function scannerOfHundred(): SecretScanner {
  const launch = "ab".repeat(32);
  const scanner = new SecretScanner(printKey(launch));
  scanner.add(
    new Prints(
      launch,
      Array.from({ length: 100 }, (_, index) => `canary-value-${index}-of-a-hundred`),
    ).all(),
  );
  return scanner;
}

function variants(dir: string, { ledger }: SqliteStore, { ledger: scrubbing }: SqliteStore): Variant[] {
  const bare = bareInsert(dir, SAME_ROWS);
  const least = bareInsert(dir, LEAST);
  // Its commits are too few to bring its log to full size while the others warm up, and a log that grows is slower.
  least(4000);
  const many = (count: number): EventDraft[] => Array.from({ length: count }, draft);
  const ours = (count: number): Variant[] => [
    {
      name: `bare better-sqlite3, same rows, ${count} per commit`,
      events: count,
      baseline: null,
      operate: () => bare(count),
    },
    {
      name: count === 1 ? "emitEvent, one after the other" : `emitEvents of ${count}`,
      events: count,
      baseline: `bare better-sqlite3, same rows, ${count} per commit`,
      operate: async () => void (await ledger.emitEvents(SESSION, many(count))),
    },
  ];
  const scrubbed = (count: number): Variant => ({
    name: `the same, 100 secrets known, ${count} per commit`,
    events: count,
    baseline: count === 1 ? "emitEvent, one after the other" : `emitEvents of ${count}`,
    operate: async () => void (await scrubbing.emitEvents(SESSION, many(count))),
  });
  const scanner = scannerOfHundred();
  const text = JSON.stringify(draft());
  const scans: Variant = {
    name: "1,000 scans of one event, 100 secrets known",
    events: 1_000,
    baseline: null,
    operate: () => {
      for (let count = 0; count < 1_000; count++) scanner.scan(text);
    },
  };
  const concurrent = (count: number): Variant => ({
    name: `${count} × emitEvent at once`,
    events: count,
    baseline: `bare better-sqlite3, same rows, ${count} per commit`,
    operate: async () => void (await Promise.all(many(count).map((one) => ledger.emitEvent(SESSION, one)))),
  });
  const flush: Variant = { name: "bare write + fdatasync", events: 1, baseline: null, operate: bareFlush(dir) };
  const event: Variant = {
    name: "bare better-sqlite3, event text only, 1 per commit",
    events: 1,
    baseline: null,
    operate: () => least(1),
  };
  return [
    flush,
    event,
    ...ours(1),
    scrubbed(1),
    ...ours(10),
    scrubbed(10),
    concurrent(10),
    ...ours(100),
    scrubbed(100),
    concurrent(100),
    scans,
  ];
}

function quantile(values: readonly number[], q: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * q)] ?? Number.NaN;
}

async function appendRows(dir: string, store: SqliteStore, scrubbing: SqliteStore): Promise<Row[]> {
  const all = variants(dir, store, scrubbing);
  const times = new Map(all.map(({ name }) => [name, [] as number[]]));
  // The first rounds warm up the compiler and let the logs reach their full size: after that they are overwritten.
  for (let round = -10; round < ROUNDS; round++) {
    for (const { name, events, operate } of all) {
      for (let count = 0; count < opsPerRound(events); count++) {
        const start = performance.now();
        await operate();
        if (round >= 0) times.get(name)?.push(performance.now() - start);
      }
    }
  }
  return all.map(({ name, events, baseline }) => {
    const own = times.get(name) ?? [];
    const p50_ms = quantile(own, 0.5);
    const ratio = baseline === null ? null : quantile(times.get(baseline) ?? [], 0.5) / p50_ms;
    return { name, p50_ms, p95_ms: quantile(own, 0.95), events_per_s: (events * 1000) / p50_ms, ratio };
  });
}

async function readRow(store: SqliteStore, count: number): Promise<Row> {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const start = performance.now();
    let read = 0;
    for await (const stored of store.ledger.getEvents(SESSION, { limit: count })) read += stored.seq > 0 ? 1 : 0;
    if (read !== count) throw new Error(`read ${read} events instead of ${count}`);
    times.push(performance.now() - start);
  }
  const p50_ms = quantile(times, 0.5);
  const name = `getEvents of ${count.toLocaleString("en")}`;
  return { name, p50_ms, p95_ms: quantile(times, 0.95), events_per_s: (count * 1000) / p50_ms, ratio: null };
}

async function restartRow(dir: string, store: SqliteStore): Promise<{ store: SqliteStore; row: Row }> {
  await store.close();
  const start = performance.now();
  const again = openSqliteLedger({ dataDir: dir, blobs: fileBlobStore(path.join(dir, "blobs")) });
  const record = await again.ledger.getSession(SESSION);
  const p50_ms = performance.now() - start;
  const name = `open and getSession at ${(record?.last_seq ?? 0).toLocaleString("en")} events`;
  return { store: again, row: { name, p50_ms, p95_ms: p50_ms, events_per_s: Number.NaN, ratio: null } };
}

function table(rows: readonly Row[]): string {
  const head = ["", "p50 ms", "p95 ms", "events/s", "of bare"];
  const lines = rows.map(({ name, p50_ms, p95_ms, events_per_s, ratio }) => [
    name,
    p50_ms.toFixed(3),
    p95_ms.toFixed(3),
    Number.isNaN(events_per_s) ? "" : Math.round(events_per_s).toLocaleString("en"),
    ratio === null ? "" : `${Math.round(ratio * 100)} %`,
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const format = (line: readonly string[]): string =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  return [head, ...lines].map(format).join("\n");
}

/** Measures appends, reads and a restart on a ledger in the temporary folder's file system. */
export async function run(): Promise<{ table: string; json: object }> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "longhaul-bench-"));
  let store = openSqliteLedger({ dataDir: dir, blobs: fileBlobStore(path.join(dir, "blobs")) });
  const scrubbingDir = path.join(dir, "scrubbing");
  fs.mkdirSync(scrubbingDir);
  const scrubbing = openSqliteLedger({
    dataDir: scrubbingDir,
    blobs: fileBlobStore(path.join(scrubbingDir, "blobs")),
    scrub: eventScrubber(scannerOfHundred()),
  });
  try {
    await store.ledger.createSession(SESSION, [sessionCreated()]);
    await scrubbing.ledger.createSession(SESSION, [sessionCreated()]);
    const rows = await appendRows(dir, store, scrubbing).finally(() => scrubbing.close());
    let { last_seq } = (await store.ledger.getSession(SESSION)) ?? { last_seq: 0 };
    for (; last_seq < 100_000; last_seq += 500)
      await store.ledger.emitEvents(SESSION, Array.from({ length: 500 }, draft));
    rows.push(await readRow(store, 10_000), await readRow(store, 100_000));
    const restarted = await restartRow(dir, store);
    store = restarted.store;
    rows.push(restarted.row);
    return { table: table(rows), json: { rows } };
  } finally {
    await store.close();
    fs.rmSync(dir, { recursive: true, force: true });
  }
}
