/** Keeps the queue filled: a session of a `self_hosted` environment that needs a worker has exactly one live item. */
import type { StoredEvent } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";
import { newId } from "../contract/ids.ts";
import { parseLeaseSeconds } from "../contract/schemas/sandbox_settings.ts";
import type { Ledger } from "../session/ledger.ts";
import type { Records } from "../session/records/records.ts";
import { DEFAULT_TTL_SECONDS, iso, newItem } from "./item.ts";
import { ItemStore } from "./item_store.ts";
import type { WorkItem, WorkState } from "./port.ts";
import { RecordWorkQueue } from "./queue.ts";
import { isOver, isSelfHosted, needsWorker } from "./session_needs.ts";

export interface SupplyOptions {
  records: Records;
  ledger: Ledger;
  now: () => number;
  /** Told about a session that could not be offered now; it is tried again when somebody polls. */
  onError: (sessionId: string, error: unknown) => void;
}

/** Events that bring work for a worker, or may find a session without one. */
const BRINGS_WORK = new Set<string>([
  "longhaul.session_created",
  "user.message",
  "user.interrupt",
  "user.tool_confirmation",
  "user.define_outcome",
  "agent.tool_use",
  "agent.custom_tool_use",
]);
const ENDS = new Set<string>(["longhaul.session_archived", "session.status_terminated", "session.deleted"]);
const LIVE: readonly WorkState[] = ["queued", "starting", "active", "stopping"];
/** Sessions remembered as none of ours. */
const MAX_OTHERS = 20_000;

export class WorkSupply {
  readonly queue: RecordWorkQueue;
  readonly #options: SupplyOptions;
  readonly #items: ItemStore;
  /** Environment of each session of ours. */
  readonly #hosted = new Map<string, string>();
  readonly #others = new Set<string>();
  /** What is being done for a session: events that come in close together are handled one after the other. */
  readonly #tasks = new Map<string, Promise<void>>();
  /** Sessions that could not be offered because the records could not be written. */
  readonly #owed = new Set<string>();
  #unsubscribe: (() => void) | null = null;

  constructor(options: SupplyOptions) {
    this.#options = options;
    this.#items = new ItemStore(options.records);
    const { records, ledger, now } = options;
    const caughtUp = () => this.#caughtUp();
    const onStopped = (item: WorkItem) => this.#afterStop(item).catch((error) => this.#failed(item.session_id, error));
    this.queue = new RecordWorkQueue({ records, ledger, now, caughtUp, onStopped });
  }

  /** Follows the ledger from now on, then offers what an earlier process left without an item. Call {@link stop} when done. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#options.ledger.subscribe((events) => this.#take(events));
    for (const { id, fold } of await this.#options.ledger.unfinishedSessions()) {
      if (isSelfHosted(fold)) this.#later(id, () => this.#offer(id, false));
    }
    for await (const { session_id, environment_id } of this.#items.each(null, LIVE)) {
      this.#hosted.set(session_id, environment_id);
    }
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  async #caughtUp(): Promise<void> {
    for (const sessionId of this.#owed) this.#later(sessionId, () => this.#offer(sessionId, true));
    this.#owed.clear();
    await Promise.all(this.#tasks.values());
  }

  #take(events: readonly StoredEvent[]): void {
    for (const { event, session_id } of events) {
      if (event.type === "longhaul.session_created" && event.session.environment.config.type !== "self_hosted") {
        this.#remember(session_id);
      }
      if (this.#others.has(session_id)) continue;
      if (ENDS.has(event.type)) this.#later(session_id, () => this.#end(session_id, event.type === "session.deleted"));
      else if (BRINGS_WORK.has(event.type)) this.#later(session_id, () => this.#offer(session_id, true));
    }
  }

  #failed(sessionId: string, error: unknown): void {
    this.#owed.add(sessionId);
    this.#options.onError(sessionId, error);
  }

  #remember(sessionId: string): void {
    if (this.#others.size >= MAX_OTHERS) this.#others.clear();
    this.#others.add(sessionId);
  }

  #later(sessionId: string, task: () => Promise<void>): void {
    const before = this.#tasks.get(sessionId) ?? Promise.resolve();
    const mine = before.then(task).catch((error: unknown) => this.#failed(sessionId, error));
    const done = mine.finally(() => {
      if (this.#tasks.get(sessionId) === done) this.#tasks.delete(sessionId);
    });
    this.#tasks.set(sessionId, done);
  }

  /**
   * Makes sure that the session has a live item.
   * @param urgent new work arrived: an item that waits out a pause is offered now, and one that stops is followed by another
   */
  async #offer(sessionId: string, urgent: boolean): Promise<void> {
    const record = await this.#options.ledger.getSession(sessionId);
    if (record === null) return;
    if (!isSelfHosted(record.fold)) return this.#remember(sessionId);
    if (isOver(record.fold)) return;
    const environmentId = record.fold.environment.id;
    this.#hosted.set(sessionId, environmentId);
    for (;;) {
      const live = await this.#items.live(environmentId, sessionId);
      if (live === null) {
        if (await this.#insert(record.fold, 0)) return;
        continue;
      }
      const next = urgent ? this.#hurried(live.value) : live.value;
      if (next === live.value) return;
      if (await this.#items.replace(next, live.revision)) return this.queue.ring(environmentId);
    }
  }

  #hurried(item: WorkItem): WorkItem {
    const now = this.#options.now();
    if (item.state === "stopping") return item.wanted_again ? item : { ...item, wanted_again: true };
    if (item.state === "queued" && Date.parse(item.available_at) > now) return { ...item, available_at: iso(now) };
    return item;
  }

  /** False when another live item was there first. */
  async #insert(fold: SessionFold, quick_stops: number): Promise<boolean> {
    const item = newItem(
      {
        id: newId("work"),
        environment_id: fold.environment.id,
        session_id: fold.session_id,
        ttl_seconds:
          parseLeaseSeconds(fold.environment.metadata?.["longhaul.worker_lease"] ?? "") ?? DEFAULT_TTL_SECONDS,
        quick_stops,
      },
      this.#options.now(),
    );
    if (!(await this.#items.insert(item))) return false;
    this.queue.ring(item.environment_id);
    return true;
  }

  /** A worker that gave up, or was lost while it stopped, leaves the session to the next one; a person's stop stands. */
  async #afterStop(item: WorkItem): Promise<void> {
    const record = await this.#options.ledger.getSession(item.session_id);
    if (record === null || isOver(record.fold)) return;
    const byPerson = item.stop_cause === "person";
    if (!item.wanted_again && (byPerson || !needsWorker(record.fold, this.#options.now()))) return;
    await this.#insert(record.fold, item.wanted_again ? 0 : item.quick_stops);
  }

  async #end(sessionId: string, gone: boolean): Promise<void> {
    const environmentId =
      this.#hosted.get(sessionId) ?? (await this.#options.ledger.getSession(sessionId))?.fold.environment.id;
    const live = environmentId === undefined ? null : await this.#items.live(environmentId, sessionId);
    this.#hosted.delete(sessionId);
    if (gone) await this.queue.forgetSession(sessionId, live?.value ?? null);
    else if (live !== null) await this.queue.endSession(live.value);
  }
}
