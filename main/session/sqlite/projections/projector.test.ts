import * as path from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import type { EventDraft } from "../../../contract/events.ts";
import type { SessionRecord } from "../../ledger.ts";
import { agentMessage, consumed, label, newSession, read, userMessage } from "../../testing/drafts.ts";
import { temporaryDir, temporaryStore } from "../../testing/temporary_store.ts";
import type { SqliteLedger } from "../sqlite_ledger.ts";

const LOCAL: EventDraft = { type: "longhaul.resume_requested", by: "user" };

async function work(ledger: SqliteLedger): Promise<string> {
  const id = await newSession(ledger, { title: "t" });
  const input = await ledger.emitEvent(id, userMessage("first words"));
  await ledger.emitEvents(id, [agentMessage("answer"), consumed(input), LOCAL, userMessage("second words")]);
  return id;
}

/** Everything that projections serve. */
async function served(ledger: SqliteLedger, id: string): Promise<unknown> {
  const strip = ({ fold }: SessionRecord): unknown => fold;
  return {
    session: strip((await ledger.getSession(id)) as SessionRecord),
    list: (await ledger.listSessions({ limit: 9 })).map(strip),
    unfinished: (await ledger.unfinishedSessions()).map(strip),
    order: (await ledger.listPublicEvents(id, { limit: 99 })).events.map(label),
    found: (await ledger.search("words", 9)).map(({ seq }) => seq),
    minutes: ledger.minutes(id),
  };
}

function damage(dataDir: string, sql: string): void {
  const db = new Database(path.join(dataDir, "ledger.db"));
  // SQLite guards the tables of an index against just this.
  db.unsafeMode();
  db.exec(sql);
  db.close();
}

test("L10 projections made anew from the events are the ones made while appending", async () => {
  const { ledger } = temporaryStore();
  const id = await work(ledger);
  const before = await served(ledger, id);
  expect(before).toMatchObject({ order: ["answer", "first words", "second words"], found: [2, 6] });
  ledger.rebuildProjections();
  expect(await served(ledger, id)).toEqual(before);
});

test.each([
  ["a table is gone", "DROP TABLE inputs"],
  ["the row's table is gone", "DROP TABLE sessions"],
])("L10 an append succeeds although %s", async (_, sql) => {
  const { ledger, dataDir, problems } = temporaryStore({ expected: /projections|Search/ });
  const id = await newSession(ledger);
  damage(dataDir, sql);
  for (const text of ["a", "b"])
    await ledger.emitEvents(id, [userMessage(text), { type: "longhaul.session_archived" }]);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(/projections of sesn_.* could not be updated: .*no such table.* Its events are safe/);
  expect(await read(ledger, id)).toHaveLength(5);
  expect(await ledger.getSession(id)).toMatchObject({ last_seq: 5, fold: { inputs: [{}, {}] } });
});

test.each([
  ["is gone", "DROP TABLE search_index"],
  ["is damaged", "UPDATE search_index_data SET block = x'00'"],
])("L10 a search index that %s fails neither appends nor deletion, and is made anew", async (_, sql) => {
  const { ledger, dataDir, problems } = temporaryStore({ expected: /search index/ });
  const [id, other] = [await work(ledger), await work(ledger)];
  expect(await ledger.search("words", 9)).toHaveLength(4);
  damage(dataDir, sql);
  await ledger.emitEvent(id, agentMessage("still here"));
  await ledger.deleteSession(other);
  expect(await ledger.search("still", 5)).toHaveLength(1);
  expect(await ledger.search("words", 9)).toHaveLength(2);
  expect(problems.join()).toMatch(/search index is damaged .* made anew from the events/);
});

test.each([
  ["a row is behind", "UPDATE sessions SET last_seq = 3, fold = json_set(fold, '$.last_seq', 3)", false],
  ["a row is ahead", "UPDATE sessions SET last_seq = 99, fold = json_set(fold, '$.last_seq', 99)", true],
  ["a row is missing", "DELETE FROM sessions", true],
  ["a row is no JSON", "UPDATE sessions SET fold = '{'", true],
  ["the snapshot is gone", "DELETE FROM session_snapshots", true],
  [
    "the code that made them was another",
    "UPDATE projections SET made_by = '0'; DELETE FROM inputs; DELETE FROM minutes",
    true,
  ],
])("L10 at the next start projections are right again although %s", async (_, sql, everything) => {
  const dataDir = temporaryDir();
  const first = temporaryStore({ dataDir });
  const id = await work(first.ledger);
  const before = await served(first.ledger, id);
  await first.close();
  damage(dataDir, everything ? sql : `${sql}; UPDATE inputs SET place = place`);
  const second = temporaryStore({ dataDir });
  const after = await served(second.ledger, id);
  if (everything) expect(after).toEqual(before);
  else expect(after).toMatchObject({ order: ["answer", "first words", "second words"], found: [2, 6] });
  await second.ledger.emitEvent(id, agentMessage("more words"));
  expect(await second.ledger.search("more", 5)).toHaveLength(1);
});

test("L10 an event that the fold cannot digest is kept, reported and skipped, now and at the next start", async () => {
  const dataDir = temporaryDir();
  const expected = /was not folded/;
  const first = temporaryStore({ dataDir, expected });
  const id = await newSession(first.ledger);
  await first.ledger.emitEvent(id, { type: "agent.message" } as unknown as EventDraft);
  await first.ledger.emitEvent(id, { type: "longhaul.inputs_consumed" } as unknown as EventDraft);
  await first.ledger.emitEvent(id, agentMessage("after"));
  expect(first.problems[0]).toMatch(/Event 2 of sesn_.* \(agent.message\) was not folded/);
  const before = await served(first.ledger, id);
  await first.close();
  damage(dataDir, "UPDATE projections SET made_by = ''");
  const second = temporaryStore({ dataDir, expected });
  expect(await served(second.ledger, id)).toEqual(before);
  expect(await second.ledger.getSession(id)).toMatchObject({ last_seq: 4, fold: { last_act: "after" } });
});

test("what the late projections had not taken in when the process ended is taken in by the next one", async () => {
  const dataDir = temporaryDir();
  const first = temporaryStore({ dataDir });
  const id = await newSession(first.ledger);
  await first.ledger.emitEvents(
    id,
    Array.from({ length: 100 }, (_, index) => agentMessage(`needle ${index}`)),
  );
  damage(dataDir, "DELETE FROM index_progress; DELETE FROM minutes");
  await first.close();
  damage(dataDir, "DELETE FROM index_progress; DELETE FROM minutes; DELETE FROM search_index");
  const second = temporaryStore({ dataDir });
  expect(await second.ledger.search("needle", 200)).toHaveLength(100);
  const counted = second.ledger.minutes(id).reduce((sum, { events }) => sum + events, 0);
  expect(counted).toBe(101);
});
