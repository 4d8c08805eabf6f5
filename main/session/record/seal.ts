/** From draft to event: what the ledger adds to an event before it is appended, alike in every adapter. */
import { hash } from "node:crypto";
import { type EventDraft, isQueuedType, type LedgerEvent, type StoredEvent } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import type { BlobStore } from "../catalog.ts";
import type { ScrubEvent } from "../secrets/mask_event.ts";
import { InvalidAppendError } from "./append_error.ts";
import { putBackBodies, takeOutBodies } from "./large_bodies.ts";

/** An event as it will be stored, all but its place in the session. */
export interface SealedEvent {
  event: LedgerEvent;
  thread_id: string;
  created_at: string;
  /** JSON of the event as it is stored: the hash chain is over exactly this text. */
  text: string;
  bodies: string | null;
}

/** A row of the ledger. */
export interface StoredRow {
  seq: number;
  thread_id: string;
  created_at: string;
  text: string;
  bodies: string | null;
}

/** The last time that was written out: several appends share a millisecond. */
let lastNow = Number.NaN;
let lastIso = "";

/** Time of an append: never before the session's last one, also when the clock was set back. */
export function appendTime(now: number, last: string): string {
  if (now !== lastNow) {
    lastIso = new Date(now).toISOString();
    lastNow = now;
  }
  return lastIso < last ? last : lastIso;
}

/**
 * Adds id, `processed_at` and thread, and takes secrets away and large bodies out into `blobs`.
 * @param threadId the session's primary thread, for drafts that name none
 * @param scrub what it makes of the event is the event, for readers now and later alike
 * @throws {InvalidAppendError} when the draft is not an event or not JSON
 */
export function sealEvent(
  draft: EventDraft,
  createdAt: string,
  threadId: string,
  blobs: BlobStore,
  scrub: ScrubEvent,
): SealedEvent {
  const type: unknown = draft.type;
  if (typeof type !== "string" || type === "") {
    throw new InvalidAppendError("An event needs a `type` (a non-empty string). Nothing was written.");
  }
  if (draft.id !== undefined && (typeof draft.id !== "string" || draft.id === "")) {
    throw new InvalidAppendError("`id` of an event must be a non-empty string. Leave it out to be given one.");
  }
  const { thread_id: named, ...content } = draft;
  const given = {
    ...content,
    id: draft.id ?? newId("event"),
    processed_at: isQueuedType(type) ? null : createdAt,
  } as LedgerEvent;
  const json = toJson(given);
  const clean = scrub(json);
  const event = clean === json ? given : (JSON.parse(clean) as LedgerEvent);
  const { text, bodies } = takeOutBodies(clean, blobs);
  return { event, thread_id: named ?? threadOf(event) ?? threadId, created_at: createdAt, text, bodies };
}

function threadOf(event: LedgerEvent): string | null {
  const named = "session_thread_id" in event ? event.session_thread_id : null;
  return typeof named === "string" && named !== "" ? named : null;
}

function toJson(event: LedgerEvent): string {
  try {
    return JSON.stringify(event);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvalidAppendError(`The event ${event.type} cannot be written as JSON (${reason}). Nothing was written.`);
  }
}

/** Reads a row back. With `hydrate`, large bodies are put back in place. */
export function readRow(sessionId: string, row: StoredRow, blobs: BlobStore, hydrate: boolean): StoredEvent {
  const event = JSON.parse(row.text) as LedgerEvent;
  if (hydrate && row.bodies !== null) putBackBodies(event, row.bodies, blobs);
  return { seq: row.seq, session_id: sessionId, thread_id: row.thread_id, created_at: row.created_at, event };
}

/**
 * Link of the hash chain (L9): SHA-256, hex, over the previous link (empty for the first) followed by
 * `{"seq","session_id","thread_id","created_at","event"[,"bodies"]}` as JSON in this order without white space, `event`
 * being the exact stored text. The order of keys within an event is kept, not sorted: request bytes are rebuilt from it.
 */
export function chainHash(previous: string, sessionId: string, row: StoredRow): string {
  const head = `{"seq":${row.seq},"session_id":${JSON.stringify(sessionId)},"thread_id":${JSON.stringify(row.thread_id)}`;
  const body = `,"created_at":"${row.created_at}","event":${row.text}`;
  const tail = row.bodies === null ? "}" : `,"bodies":${row.bodies}}`;
  return hash("sha256", previous + head + body + tail, "hex");
}
