/**
 * The work queue over the records: every change is a compare-and-set of one record, so two pollers never get one item.
 * Nothing runs by itself: leases that ran out are noticed by whoever looks next.
 */
import type { Ledger } from "../session/ledger.ts";
import type { Records } from "../session/records/records.ts";
import { bearerHash, newItemToken, tokenTable } from "./credentials.ts";
import { acknowledged, beaten, delivered, iso, offeredAt, stopRequested } from "./item.ts";
import { ItemStore } from "./item_store.ts";
import { Leases } from "./leases.ts";
import {
  type HeartbeatAnswer,
  type HeartbeatRequest,
  type PollRequest,
  WorkConflict,
  type WorkItem,
  type WorkPage,
  type WorkQueue,
  type WorkQueueStats,
} from "./port.ts";
import { isOver } from "./session_needs.ts";
import { Bells, Presence } from "./waiting.ts";

/** What statistics take for the time that a poller has to acknowledge an item. */
const DEFAULT_RECLAIM_MS = 5_000;
/** Tokens of one session that are kept, newest first: who is handed the item again and again must not fill the disk. */
const KEPT_TOKENS = 16;
const MAX_TOKENS = 1_000;

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
  readonly #items: ItemStore;
  readonly #bells = new Bells();
  readonly #presence = new Presence();
  readonly #leases: Leases;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#items = new ItemStore(options.records);
    this.#leases = new Leases(this.#items, options);
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
        const runsOut = await this.#leases.lookAtAll(environmentId);
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
    return this.#leases.lookAt(found.value);
  }

  async list(environmentId: string, page: WorkPage): Promise<WorkItem[]> {
    await this.#options.caughtUp();
    await this.#leases.lookAtAll(environmentId);
    return this.#items.page(environmentId, page);
  }

  async stats(environmentId: string): Promise<WorkQueueStats> {
    const { now } = this.#options;
    await this.#options.caughtUp();
    await this.#leases.lookAtAll(environmentId);
    let depth = 0;
    let pending = 0;
    let oldest: string | null = null;
    for await (const item of this.#items.each(environmentId, ["queued"])) {
      const waits = item.polled_at === null || Date.parse(item.polled_at) + DEFAULT_RECLAIM_MS <= now();
      if (waits) depth += 1;
      else pending += 1;
      if (oldest === null || item.queued_at < oldest) oldest = item.queued_at;
    }
    return { depth, pending, oldest_queued_at: oldest, workers_polling: this.#presence.count(environmentId, now()) };
  }

  ack(item: WorkItem): Promise<WorkItem> {
    return this.#items.change(item.id, (current) => acknowledged(current, this.#options.now()));
  }

  async heartbeat(item: WorkItem, request: HeartbeatRequest): Promise<HeartbeatAnswer> {
    let lease_extended = false;
    const next = await this.#items.change(item.id, (current) => {
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
    const next = await this.#items.change(item.id, (current) => {
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
    return this.#items.change(item.id, (current) => ({ ...current, metadata: patch(current.metadata) }));
  }

  /** Ends the item of a session that is over: at once when nobody holds it, else after its worker has cleaned up. */
  async endSession(item: WorkItem): Promise<void> {
    const request = { force: false, cause: "session_over" as const };
    await this.#items.change(item.id, (current) =>
      current.state === "stopped" ? current : stopRequested(current, request, this.#options.now()),
    );
  }

  /** Removes what is known of a session that was deleted; its worker's token ends with that. */
  async forgetSession(sessionId: string, live: WorkItem | null): Promise<void> {
    const tokens = tokenTable(this.#options.records);
    const known = await tokens.list({ scope: sessionId, limit: MAX_TOKENS });
    const items = new Set([...known.map((token) => token.work_id), ...(live === null ? [] : [live.id])]);
    await this.#options.records.write([
      ...[...items].map((id) => this.#items.deletion(id)),
      ...known.map((token) => tokens.deletion(token.id)),
    ]);
  }

  async sessionInUse(environmentId: string): Promise<string | null> {
    const known = new Set<string>();
    for await (const { session_id } of this.#items.each(environmentId)) {
      if (known.has(session_id)) continue;
      known.add(session_id);
      const session = await this.#options.ledger.getSession(session_id);
      if (session !== null && !isOver(session.fold)) return session_id;
    }
    return null;
  }

  async forget(environmentId: string): Promise<void> {
    for await (const item of this.#items.each(environmentId)) await this.forgetSession(item.session_id, item);
  }

  /** Hands out the oldest item that can be; `next` says when, in ms, one that cannot be yet can. */
  async #claim(
    environmentId: string,
    request: PollRequest,
  ): Promise<{ claimed: { item: WorkItem; token: string } | null; next: number }> {
    let next = Number.POSITIVE_INFINITY;
    for await (const seen of this.#items.each(environmentId, ["queued"])) {
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
      if (session === null) await this.forgetSession(found.value.session_id, found.value);
      else await this.endSession(found.value);
      return null;
    }
    const item = delivered(found.value, now);
    const token = newItemToken();
    const { environment_id, session_id } = item;
    const tokens = tokenTable(this.#options.records);
    const note = { id: bearerHash(token), environment_id, session_id, work_id: id, created_at: iso(now) };
    const old = (await tokens.list({ scope: session_id, limit: MAX_TOKENS })).slice(KEPT_TOKENS - 1);
    const writes = [tokens.insertion(note), ...old.map((token) => tokens.deletion(token.id))];
    const mine = await this.#items.replace(item, found.revision, writes);
    return mine ? { item, token } : null;
  }
}
