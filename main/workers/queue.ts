/**
 * The work queue over the records: every change is a compare-and-set of one record, so two pollers never get one item.
 * Nothing runs by itself: leases that ran out are noticed by whoever looks next.
 */
import type { EventDraft } from "../contract/events.ts";
import type { ThreadCall } from "../contract/threads/view.ts";
import type { Ledger } from "../session/ledger.ts";
import { RecordTable } from "../session/records/record_table.ts";
import { RecordConflict, type Records, type RecordWrite } from "../session/records/records.ts";
import { bearerHash, newItemToken, tokenTable } from "./credentials.ts";
import {
  acknowledged,
  beaten,
  delivered,
  iso,
  offeredAgain,
  offeredAt,
  runsOutAt,
  stopped,
  stopRequested,
} from "./item.ts";
import {
  type HeartbeatAnswer,
  type HeartbeatRequest,
  type PollRequest,
  type StopCause,
  WorkConflict,
  type WorkItem,
  type WorkPage,
  type WorkQueue,
  type WorkQueueStats,
} from "./port.ts";
import { inFlightAtWorker, isOver } from "./session_needs.ts";
import { Bells, Presence } from "./waiting.ts";

/** What statistics take for the time that a poller has to acknowledge an item. */
const DEFAULT_RECLAIM_MS = 5_000;
/** More than anybody runs at once; the rest is looked at in the next round. */
const BATCH = 1_000;

/** The items of all environments. The key, one live item per session, is what makes queueing idempotent. */
export function itemTable(records: Records): RecordTable<WorkItem> {
  return new RecordTable<WorkItem>(records, {
    kind: "work",
    scope: (item) => item.environment_id,
    key: (item) => (item.state === "stopped" ? null : item.session_id),
    state: (item) => item.state,
  });
}

export interface QueueOptions {
  records: Records;
  ledger: Ledger;
  now: () => number;
  /** Resolves when what was committed so far is in the queue: who sends work and polls at once must get it. */
  caughtUp: () => Promise<void>;
  /** Told when an item has stopped: the session may have to be offered again. */
  onStopped: (item: WorkItem) => Promise<void>;
}

export class RecordWorkQueue implements WorkQueue {
  readonly #options: QueueOptions;
  readonly #items: RecordTable<WorkItem>;
  readonly #bells = new Bells();
  readonly #presence = new Presence();
  readonly #started: number;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#items = itemTable(options.records);
    this.#started = options.now();
  }

  /** Wakes pollers of an environment: something was queued. */
  ring(environmentId: string): void {
    this.#bells.ring(environmentId);
  }

  async poll(environmentId: string, request: PollRequest): Promise<{ item: WorkItem; token: string } | null> {
    const { now } = this.#options;
    const deadline = now() + request.block_ms;
    if (request.worker_id !== null) this.#presence.seen(environmentId, request.worker_id, now());
    await this.#options.caughtUp();
    for (;;) {
      // Listened for before looking: what is queued in between must not be missed.
      const bell = this.#bells.listen(environmentId, request.signal);
      try {
        const runsOut = await this.#lookAtLeases(environmentId);
        const { claimed, next } = await this.#claim(environmentId, request);
        if (claimed !== null) return claimed;
        const left = deadline - now();
        if (left <= 0 || request.signal.aborted) return null;
        await bell.rung(Math.max(1, Math.min(left, runsOut - now(), next - now())));
      } finally {
        bell.stop();
      }
    }
  }

  async get(environmentId: string, workId: string): Promise<WorkItem | null> {
    const found = await this.#items.get(workId);
    if (found === null || found.value.environment_id !== environmentId) return null;
    return this.#lookAt(found.value);
  }

  async list(environmentId: string, page: WorkPage): Promise<WorkItem[]> {
    await this.#options.caughtUp();
    await this.#lookAtLeases(environmentId);
    return this.#items.list({ scope: environmentId, order: "desc", ...page });
  }

  async stats(environmentId: string): Promise<WorkQueueStats> {
    const { now } = this.#options;
    await this.#options.caughtUp();
    await this.#lookAtLeases(environmentId);
    let depth = 0;
    let pending = 0;
    let oldest: string | null = null;
    for await (const item of this.#each(environmentId, ["queued"])) {
      const waits = item.polled_at === null || Date.parse(item.polled_at) + DEFAULT_RECLAIM_MS <= now();
      if (waits) depth += 1;
      else pending += 1;
      if (oldest === null || item.queued_at < oldest) oldest = item.queued_at;
    }
    return { depth, pending, oldest_queued_at: oldest, workers_polling: this.#presence.count(environmentId, now()) };
  }

  ack(item: WorkItem): Promise<WorkItem> {
    return this.#change(item.id, (current) => acknowledged(current, this.#options.now()));
  }

  async heartbeat(item: WorkItem, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    let lease_extended = false;
    const next = await this.#change(item.id, (current) => {
      const answer = beaten(current, request, this.#options.now());
      lease_extended = answer.lease_extended;
      return answer.item;
    });
    return { item: next, lease_extended };
  }

  async stop(
    item: WorkItem,
    request: { force: boolean; by: "person" | "worker"; token: string | null },
  ): Promise<WorkItem> {
    const next = await this.#change(item.id, (current) => {
      const { lease_token } = current;
      if (
        current.state !== "stopped" &&
        request.token !== null &&
        lease_token !== null &&
        lease_token !== request.token
      ) {
        throw new WorkConflict(`Work item ${item.id} is held by another worker now. It goes on there.`);
      }
      return stopRequested(current, { force: request.force, cause: request.by }, this.#options.now());
    });
    if (next.state === "stopped") await this.#options.onStopped(next);
    return next;
  }

  setMetadata(item: WorkItem, patch: (before: Record<string, string>) => Record<string, string>): Promise<WorkItem> {
    return this.#change(item.id, (current) => ({ ...current, metadata: patch(current.metadata) }));
  }

  /** Ends the item of a session that is over: at once when it is gone, else after its worker has cleaned up. */
  async endSession(item: WorkItem, gone: boolean): Promise<void> {
    const request = { force: gone, cause: "session_over" as const };
    await this.#change(item.id, (current) =>
      current.state === "stopped" ? current : stopRequested(current, request, this.#options.now()),
    );
    this.ring(item.environment_id);
  }

  async sessionInUse(environmentId: string): Promise<string | null> {
    const known = new Set<string>();
    for await (const { session_id } of this.#each(environmentId)) {
      if (known.has(session_id)) continue;
      known.add(session_id);
      const session = await this.#options.ledger.getSession(session_id);
      if (session !== null && !isOver(session.fold)) return session_id;
    }
    return null;
  }

  async forget(environmentId: string): Promise<void> {
    const tokens = tokenTable(this.#options.records);
    for await (const { id, session_id } of this.#each(environmentId)) {
      const deletions: RecordWrite[] = [this.#items.deletion(id)];
      for (const token of await tokens.list({ scope: session_id, limit: BATCH }))
        deletions.push(tokens.deletion(token.id));
      await this.#options.records.write(deletions);
    }
  }

  /** Hands out the oldest item that can be; `next` says when, in ms, one that cannot be yet can. */
  async #claim(
    environmentId: string,
    request: PollRequest,
  ): Promise<{ claimed: { item: WorkItem; token: string } | null; next: number }> {
    let next = Number.POSITIVE_INFINITY;
    for await (const seen of this.#each(environmentId, ["queued"])) {
      if (request.signal.aborted) break;
      const now = this.#options.now();
      const at = offeredAt(seen, request.reclaim_older_than_ms);
      if (at > now) {
        next = Math.min(next, at);
        continue;
      }
      const claimed = await this.#hand(seen.id, request, now);
      if (claimed !== null) return { claimed, next };
    }
    return { claimed: null, next };
  }

  /** Null when somebody else was quicker, or its session is over. */
  async #hand(id: string, request: PollRequest, now: number): Promise<{ item: WorkItem; token: string } | null> {
    const found = await this.#items.get(id);
    if (found === null || found.value.state !== "queued") return null;
    if (offeredAt(found.value, request.reclaim_older_than_ms) > now) return null;
    const session = await this.#options.ledger.getSession(found.value.session_id);
    if (session === null || isOver(session.fold)) {
      await this.endSession(found.value, true);
      return null;
    }
    const item = delivered(found.value, now);
    const token = newItemToken();
    const { environment_id, session_id } = item;
    const tokens = tokenTable(this.#options.records);
    const note = { id: bearerHash(token), environment_id, session_id, work_id: id, created_at: iso(now) };
    try {
      await this.#options.records.write([this.#items.replacement(item, found.revision), tokens.insertion(note)]);
    } catch (error) {
      if (error instanceof RecordConflict) return null;
      throw error;
    }
    return { item, token };
  }

  /** Ends or offers again what has run out; says when, in ms, the next one does. */
  async #lookAtLeases(environmentId: string): Promise<number> {
    let next = Number.POSITIVE_INFINITY;
    for await (const seen of this.#each(environmentId, ["starting", "active", "stopping"])) {
      const at = runsOutAt(seen, this.#started);
      if (at === null) continue;
      if (at <= this.#options.now()) await this.#lookAt(seen);
      else next = Math.min(next, at);
    }
    return next;
  }

  async #lookAt(seen: WorkItem): Promise<WorkItem> {
    const { ledger, now, onStopped } = this.#options;
    const ranOut = (item: WorkItem): boolean => {
      const at = runsOutAt(item, this.#started);
      return at !== null && at <= now();
    };
    if (!ranOut(seen)) return seen;
    const session = await ledger.getSession(seen.session_id);
    const over = session === null || isOver(session.fold);
    const cause: StopCause = over ? "session_over" : "lease_lost";
    let before = seen;
    const item = await this.#change(seen.id, (current) => {
      before = current;
      if (!ranOut(current)) return current;
      return over || current.state === "stopping" ? stopped(current, cause, now()) : offeredAgain(current, now());
    });
    if (item.state === "stopped" && before.state !== "stopped") await onStopped(item);
    if (item.state === "queued" && before.state === "active" && session !== null) {
      await this.#tellOfLostWorker(item, inFlightAtWorker(session.fold));
    }
    return item;
  }

  /** The journal of a call is its worker's: what a lost one had in hand may be run a second time by the next. */
  async #tellOfLostWorker(item: WorkItem, calls: readonly ThreadCall[]): Promise<void> {
    const events = calls.map(
      (call): EventDraft => ({
        type: "longhaul.outcome_unknown",
        thread_id: call.thread_id,
        tool_use_id: call.id,
        tool_name: call.name,
        message:
          "The worker that had this call was lost before it answered. The call is offered to the next worker and may take effect twice.",
      }),
    );
    if (events.length > 0) await this.#options.ledger.emitEvents(item.session_id, events);
  }

  async #change(id: string, next: (current: WorkItem) => WorkItem): Promise<WorkItem> {
    for (;;) {
      const found = await this.#items.get(id);
      if (found === null) throw new WorkConflict(`Work item ${id} was removed with its environment.`);
      const item = next(found.value);
      if (item === found.value) return item;
      try {
        await this.#items.replace(item, found.revision);
        return item;
      } catch (error) {
        if (!(error instanceof RecordConflict)) throw error;
      }
    }
  }

  /** Oldest first, in batches. */
  async *#each(environmentId: string, states?: readonly string[]): AsyncGenerator<WorkItem> {
    let after: { created_at: string; id: string } | undefined;
    for (;;) {
      const batch = await this.#items.list({
        scope: environmentId,
        order: "asc",
        limit: BATCH,
        ...(states === undefined ? {} : { states }),
        ...(after === undefined ? {} : { after }),
      });
      yield* batch;
      const last = batch.at(-1);
      if (last === undefined || batch.length < BATCH) return;
      after = { created_at: last.created_at, id: last.id };
    }
  }
}
