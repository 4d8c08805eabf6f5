/** Leases that ran out: nothing watches them, so whoever looks at the queue acts on them. */
import type { EventDraft } from "../contract/events.ts";
import type { ThreadCall } from "../contract/threads/view.ts";
import type { Ledger } from "../session/ledger.ts";
import { offeredAgain, runsOutAt, stopped } from "./item.ts";
import type { ItemStore } from "./item_store.ts";
import type { StopCause, WorkItem } from "./port.ts";
import { inFlightAtWorker, isOver } from "./session_needs.ts";

export interface LeaseOptions {
  ledger: Ledger;
  now: () => number;
  onStopped: (item: WorkItem) => Promise<void>;
}

export class Leases {
  readonly #items: ItemStore;
  readonly #options: LeaseOptions;
  readonly #started: number;

  constructor(items: ItemStore, options: LeaseOptions) {
    this.#items = items;
    this.#options = options;
    this.#started = options.now();
  }

  /** Ends or offers again what has run out; says when, in ms, the next one does. */
  async lookAtAll(environmentId: string): Promise<number> {
    let next = Number.POSITIVE_INFINITY;
    for await (const seen of this.#items.each(environmentId, ["starting", "active", "stopping"])) {
      const at = runsOutAt(seen, this.#started);
      if (at === null) continue;
      if (at <= this.#options.now()) await this.lookAt(seen);
      else next = Math.min(next, at);
    }
    return next;
  }

  /** The item as it is once a lease that ran out was acted on. */
  async lookAt(seen: WorkItem): Promise<WorkItem> {
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
    const item = await this.#items.change(seen.id, (current) => {
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
}
