/** Follows one session's ledger by position: each event once, in order, whatever the speed of the reader. */
import type { StoredEvent } from "../../contract/events.ts";
import type { LiveFrame } from "../../session/live.ts";
import type { Deps } from "../http/context.ts";
import { asApiError, isOurFault } from "../http/failure.ts";
import { existingSession } from "../v1/sessions/session.ts";
import { feedOf } from "./feed.ts";
import { Inbox, type InboxItem } from "./inbox.ts";
import { SseWriter } from "./writer.ts";

/**
 * Events read from the ledger at a time: a database cursor must not stay open while a reader is slow. A batch waits in
 * memory with its bodies, so it grows only where events are small.
 */
const FIRST_BATCH = 8;
const MAX_BATCH = 200;
const SMALL_BATCH_CHARS = 64 * 1024;
const LARGE_BATCH_CHARS = 512 * 1024;
/** Less than the ledger takes out of an event as a large body. */
const MAX_INLINE_CHARS = 16 * 1024;

export interface Follower {
  /** Puts one stored event on the stream. */
  event(stored: StoredEvent): void | Promise<void>;
  /** Called once, after the history was sent. */
  caughtUp?(seq: number): void | Promise<void>;
  /** Puts a live frame or a change of activity on the stream; called in order with the events. */
  item?(item: InboxItem): void | Promise<void>;
  /** The session was deleted; the stream ends afterwards. `event` is its `session.deleted`, not sent before. */
  deleted(event: StoredEvent): void;
}

export interface FollowOptions {
  sessionId: string;
  requestId: string;
  /** Path of the request, for the log. */
  path: string;
  /** Position after which to begin; null begins after the newest event. */
  afterSeq: number | null;
  /** false: large bodies stay markers. */
  hydrate: boolean;
  /** Live frames: none, those from now on, or those preceded by what has streamed of the answer in flight. */
  live: "none" | "watch" | "join";
  activity: boolean;
  /** Asked before anything new is sent and now and then in between: a stream may outlive the credential that opened it. */
  standing: (() => Promise<"granted" | "over" | "revoked">) | null;
  follower: (writer: SseWriter, inbox: Inbox) => Follower;
}

/** Longest time that a stream on which nothing happens stays open after its credential was revoked. */
const RECHECK_MS = 15_000;
/** Live frames come many times a second. */
const RECHECK_LIVE_MS = 1_000;

/**
 * Opens the stream. Subscribes before it looks at the ledger, so that nothing committed after the response began can
 * be missed, and reads by position, so that nothing is sent twice.
 * @throws ApiError 404 when the session does not exist
 */
export async function followSession(deps: Deps, options: FollowOptions): Promise<Response> {
  const { sessionId } = options;
  const inbox = new Inbox();
  let deletion: StoredEvent | null = null;
  const stops = [
    feedOf(deps.ledger).follow(sessionId, (events) => {
      for (const stored of events) if (stored.event.type === "session.deleted") deletion = stored;
      inbox.committed(events);
    }),
  ];
  if (options.live !== "none") {
    const watcher = (frame: LiveFrame): void => inbox.live(frame);
    stops.push(options.live === "join" ? deps.live.join(sessionId, watcher) : deps.live.watch(sessionId, watcher));
  }
  if (options.activity) {
    stops.push(
      deps.orchestrator.onActivity((id) => {
        if (id === sessionId) inbox.activityChanged();
      }),
    );
  }
  const stop = () => {
    for (const unsubscribe of stops) unsubscribe();
    inbox.close();
  };
  let newest: number;
  try {
    newest = (await existingSession(deps, sessionId)).last_seq;
  } catch (error) {
    stop();
    throw error;
  }
  const writer = new SseWriter();
  stops.push(endWhenRevoked(writer, options.standing));
  writer.onClose(stop);
  const run = async () => {
    try {
      await pump(deps, options, writer, inbox, newest, () => deletion);
    } catch (error) {
      // The status line is gone already: the error travels as the stream's own error event.
      if (isOurFault(error)) {
        deps.reportFailure?.({ request_id: options.requestId, method: "GET", path: options.path, error });
      }
      writer.frame("error", asApiError(error).envelope(options.requestId));
    }
    writer.end();
  };
  void run();
  return writer.response;
}

/** For a stream on which nothing happens. Returns what ends the watch. */
function endWhenRevoked(writer: SseWriter, standing: FollowOptions["standing"]): () => void {
  if (standing === null) return () => undefined;
  const timer = setInterval(() => {
    standing().then(
      (now) => now !== "granted" && writer.end(),
      // What cannot be found out now is asked again.
      () => undefined,
    );
  }, RECHECK_MS);
  timer.unref();
  return () => clearInterval(timer);
}

async function pump(
  deps: Deps,
  options: FollowOptions,
  writer: SseWriter,
  inbox: Inbox,
  newest: number,
  deletion: () => StoredEvent | null,
): Promise<void> {
  const follower = options.follower(writer, inbox);
  let seq = await drain(deps, options, writer, follower, options.afterSeq ?? newest, newest);
  if (!writer.closed) await follower.caughtUp?.(seq);
  let checked = 0;
  for (let item = await inbox.next(); item !== null && !writer.closed; item = await inbox.next()) {
    if (options.standing !== null && (item.type !== "live" || performance.now() - checked > RECHECK_LIVE_MS)) {
      if ((await options.standing()) === "revoked") return;
      checked = performance.now();
    }
    if (item.type === "commit") {
      const { events, through } = item;
      // Not kept while the reader is waited for: what is left is read again.
      item.events = null;
      if (events !== null) seq = await direct(options, writer, follower, seq, events);
      seq = await drain(deps, options, writer, follower, seq, through);
    }
    const gone = deletion();
    // The rows may be gone before they were read here: the announcement itself is enough to end with.
    if (gone !== null && item.type === "commit") {
      follower.deleted(gone);
      return;
    }
    await follower.item?.(item);
  }
}

/**
 * Sends events as they were committed, without reading them from the ledger, and returns the new position. Stops where
 * one is missing before the next, where the reader is behind, and where the ledger would show something else.
 */
async function direct(
  options: FollowOptions,
  writer: SseWriter,
  follower: Follower,
  seq: number,
  events: readonly StoredEvent[],
): Promise<number> {
  let position = seq;
  for (const stored of events) {
    if (stored.seq <= position) continue;
    if (stored.seq !== position + 1 || writer.congested || writer.closed) break;
    // Its large bodies are markers for this reader.
    if (!options.hydrate && JSON.stringify(stored.event).length > MAX_INLINE_CHARS) break;
    if (stored.event.type !== "session.deleted") await follower.event(stored);
    position = stored.seq;
  }
  return position;
}

/** Sends everything after `seq` and up to `through`, and returns the new position; never sends `session.deleted`. */
async function drain(
  deps: Deps,
  options: FollowOptions,
  writer: SseWriter,
  follower: Follower,
  seq: number,
  through: number,
): Promise<number> {
  let position = seq;
  let limit = FIRST_BATCH;
  while (position < through) {
    const before = writer.written;
    const batch: StoredEvent[] = [];
    // Not further: live frames that arrived between this commit and the next one belong before the next one.
    const range = { after_seq: position, before_seq: through + 1, limit, hydrate: options.hydrate };
    for await (const stored of deps.ledger.getEvents(options.sessionId, range)) batch.push(stored);
    for (const stored of batch) {
      await writer.drained();
      if (writer.closed) return position;
      if (stored.event.type !== "session.deleted") await follower.event(stored);
      position = stored.seq;
    }
    if (batch.length === 0) return position;
    const chars = writer.written - before;
    if (chars < SMALL_BATCH_CHARS) limit = Math.min(MAX_BATCH, limit * 2);
    else if (chars > LARGE_BATCH_CHARS) limit = Math.max(1, Math.floor(limit / 4));
  }
  return position;
}
