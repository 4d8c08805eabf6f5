/** What waits to be put on a stream, in order of arrival, with bounded memory. */
import type { StoredEvent } from "../../contract/events.ts";
import type { LiveFrame } from "../../session/live.ts";

export type InboxItem =
  /**
   * Events up to this position were committed. `events` are the newest of them, for a reader that keeps up; null, or
   * with some missing before them: read from the ledger.
   */
  | { type: "commit"; through: number; events: readonly StoredEvent[] | null }
  | { type: "activity" }
  | { type: "live"; frame: LiveFrame };

const MAX_LIVE_ITEMS = 512;
const MAX_LIVE_CHARS = 1024 * 1024;
const MAX_SHED = 1000;

/**
 * Committed events wait here only for a reader that has nothing else to do. For any other they are announced, and read
 * by position later, so a slow reader lags behind and loses none; at most one announcement stands between two live frames. Live frames exist nowhere else: beyond the bounds they are dropped,
 * and with one frame all later ones of the same message or call, so that what was shown stays a prefix of the whole.
 */
export class Inbox {
  #items: InboxItem[] = [];
  #wake: (() => void) | null = null;
  #closed = false;
  #activityWaits = false;
  #liveItems = 0;
  #liveChars = 0;
  readonly #shed = new Set<string>();

  /** @param events what one transaction appended, in order; at least one */
  committed(events: readonly StoredEvent[]): void {
    const through = events.at(-1)?.seq ?? 0;
    const last = this.#items.at(-1);
    if (last === undefined) this.#push({ type: "commit", through, events });
    else if (last.type === "commit") {
      last.through = through;
      last.events = null;
    } else this.#push({ type: "commit", through, events: null });
  }

  activityChanged(): void {
    if (this.#activityWaits) return;
    this.#activityWaits = true;
    this.#push({ type: "activity" });
  }

  live(frame: LiveFrame): void {
    const key = liveKey(frame);
    if (this.#shed.has(key)) return;
    if (this.#liveItems >= MAX_LIVE_ITEMS || this.#liveChars >= MAX_LIVE_CHARS) {
      this.shed(key);
      return;
    }
    this.#liveItems += 1;
    this.#liveChars += liveChars(frame);
    this.#push({ type: "live", frame });
  }

  /** Drops every later frame of this message or call. */
  shed(key: string): void {
    if (this.#shed.size >= MAX_SHED) this.#shed.clear();
    this.#shed.add(key);
  }

  /** The next item; null once closed. */
  async next(): Promise<InboxItem | null> {
    for (;;) {
      if (this.#closed) return null;
      const item = this.#items.shift();
      if (item !== undefined) {
        if (item.type === "activity") this.#activityWaits = false;
        if (item.type === "live") {
          this.#liveItems -= 1;
          this.#liveChars -= liveChars(item.frame);
          if (this.#shed.has(liveKey(item.frame))) continue;
        }
        return item;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#closed = true;
    this.#items = [];
    this.#wake?.();
  }

  #push(item: InboxItem): void {
    if (this.#closed) return;
    this.#items.push(item);
    this.#wake?.();
    this.#wake = null;
  }
}

/** Id of the message or call that a live frame belongs to. */
export function liveKey(frame: LiveFrame): string {
  if (frame.type === "tool_output") return frame.tool_use_id;
  if (frame.type === "sandbox_progress") return "sandbox_progress";
  return frame.frame.type === "event_start" ? frame.frame.event.id : frame.frame.event_id;
}

function liveChars(frame: LiveFrame): number {
  if (frame.type === "tool_output") return frame.chunk.length;
  if (frame.type === "sandbox_progress") return frame.text.length;
  return frame.frame.type === "event_delta" ? frame.frame.delta.content.text.length : 0;
}
