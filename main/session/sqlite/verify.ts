/** Walks a session's hash chain (L9) and reads every body that was taken out of it. */
import { setImmediate } from "node:timers";
import Database from "better-sqlite3";
import type { BlobStore } from "../catalog.ts";
import { UnknownSessionError } from "../ledger.ts";
import { bodyHashes } from "../record/large_bodies.ts";
import { chainHash } from "../record/seal.ts";
import { basePos, endPos, seqOf } from "./event_rows.ts";

export interface Verdict {
  /** Number of events that were read. */
  events: number;
  broken_at: number | null;
  reason: string | null;
}

interface Row {
  pos: number;
  id: string;
  type: string;
  thread_id: string;
  created_at: string;
  event: string;
  bodies: string | null;
  hash: string;
}

const BATCH = 200;

/** @throws {UnknownSessionError} */
export async function verifySession(db: Database.Database, blobs: BlobStore, sessionId: string): Promise<Verdict> {
  const no = db.prepare<unknown[], number>("SELECT no FROM session_keys WHERE id = ?").pluck().get(sessionId);
  if (no === undefined) throw new UnknownSessionError(sessionId);
  const listed = db.prepare<unknown[], number>("SELECT last_seq FROM sessions WHERE no = ?").pluck().get(no) ?? 0;
  const read = db.prepare<unknown[], Row>("SELECT * FROM events WHERE pos > ? AND pos < ? ORDER BY pos LIMIT ?");
  let seq = 0;
  let previous = "";
  const broken = (reason: string): Verdict => ({ events: seq, broken_at: seq + 1, reason });
  for (;;) {
    let rows: Row[];
    try {
      rows = read.all(basePos(no) + seq, endPos(no), BATCH);
    } catch (error) {
      if (!(error instanceof Database.SqliteError)) throw error;
      return broken(`the file cannot be read from here on: ${error.message} (${error.code})`);
    }
    for (const row of rows) {
      const reason = problemOf(row, seq + 1, previous, sessionId) ?? (await bodyProblem(row, blobs));
      if (reason !== null) return broken(reason);
      seq += 1;
      previous = row.hash;
    }
    if (rows.length < BATCH) break;
    // A long chain takes seconds; the engine answers others in between.
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (seq < listed) return broken(`the last ${listed - seq} events are missing: the session list knows ${listed}`);
  return { events: seq, broken_at: null, reason: null };
}

function problemOf(row: Row, seq: number, previous: string, sessionId: string): string | null {
  const found = seqOf(row.pos);
  if (found !== seq) return `event ${seq} is missing; the next one is ${found}`;
  const { thread_id, created_at, event: text, bodies } = row;
  if (chainHash(previous, sessionId, { seq, thread_id, created_at, text, bodies }) !== row.hash) {
    return "it does not have the hash that it was written with: it, or an event before it, was changed";
  }
  const event: unknown = JSON.parse(text);
  // Both columns stand outside the hash; they repeat what is inside.
  const { id, type } = event as { id: unknown; type: unknown };
  return id === row.id && type === row.type ? null : "its id or type column differs from the event itself";
}

async function bodyProblem(row: Row, blobs: BlobStore): Promise<string | null> {
  if (row.bodies === null) return null;
  for (const sha256 of bodyHashes(JSON.parse(row.event), row.bodies)) {
    try {
      await blobs.get(sha256);
    } catch (error) {
      return `a large body of it cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  return null;
}
