/** One session as it happens: its stored events folded to a timeline, and what streams on top of them. */
import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";
import type { StoredEvent } from "../../main/contract/events.ts";
import type { Activity, PreviewFrame, TimelineFrame } from "../../main/contract/local_api.ts";
import type { Work } from "../../main/contract/work.ts";
import { follow } from "../api/follow.ts";
import { call } from "../api/local.ts";
import type { Problem } from "../api/problem.ts";
import { appendEvents } from "../timeline/append.ts";
import { emptyTimeline, type Timeline } from "../timeline/timeline.ts";
import { LiveText } from "./live_text.ts";

export type FeedState = "loading" | "live" | "away" | "missing" | "deleted";

/** Frames are applied together once per drawn frame; a hidden page, which draws none, does so less often. */
const HIDDEN_MS = 400;
/** While a long log is being read, drawing every piece of it would take longer than reading it. */
const CATCH_UP_MS = 300;

export class Feed {
  readonly id: string;
  timeline: Timeline = emptyTimeline();
  readonly live = new LiveText();
  state: FeedState = "loading";
  problem: Problem | null = null;
  activity: Activity = null;
  work: Work = "none";
  /** True once every event that was stored when the view opened is here. */
  caughtUp = false;
  version = 0;
  readonly #listeners = new Set<() => void>();
  #buffer: TimelineFrame[] = [];
  #scheduled = false;
  #stop: (() => void) | null = null;
  #users = 0;

  constructor(id: string) {
    this.id = id;
  }

  /** Connects while somebody uses the feed; what has been read is kept for the next time. */
  use(): () => void {
    this.#users += 1;
    this.#stop ??= this.#follow();
    return () => {
      this.#users -= 1;
      if (this.#users > 0) return;
      this.#stop?.();
      this.#stop = null;
    };
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  #follow(): () => void {
    return follow({
      open: (signal) => {
        this.#apply();
        const after = this.timeline.lastSeq;
        return call(`sessions/${encodeURIComponent(this.id)}/timeline?after=${after}`, { signal });
      },
      onFrame: (frame) => this.#receive(frame as TimelineFrame),
      onState: (state, problem) => {
        if (state === "open") {
          // Previews are never replayed: what a lost connection showed of an answer cannot be continued.
          this.live.clear();
          this.state = this.caughtUp ? "live" : "loading";
        } else this.state = problem?.kind === "missing" ? "missing" : this.state === "deleted" ? "deleted" : "away";
        this.problem = problem;
        // The engine has another ledger than the one read so far: what is shown is not its session.
        if (problem?.kind === "rejected") this.#startOver();
        this.#changed();
      },
    });
  }

  #startOver(): void {
    this.timeline = emptyTimeline();
    this.caughtUp = false;
  }

  #receive(frame: TimelineFrame): void {
    this.#buffer.push(frame);
    if (frame.type === "caught_up") {
      this.#apply();
      return;
    }
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (!this.caughtUp) setTimeout(() => this.#apply(), CATCH_UP_MS);
    else if (document.hidden) setTimeout(() => this.#apply(), HIDDEN_MS);
    else requestAnimationFrame(() => this.#apply());
  }

  #apply(): void {
    this.#scheduled = false;
    if (this.#buffer.length === 0) return;
    let stored: StoredEvent[] = [];
    const flush = (): void => {
      appendEvents(this.timeline, stored);
      stored = [];
    };
    for (const frame of this.#buffer.splice(0)) {
      if (frame.type === "stored") {
        stored.push(frame.stored);
        this.live.settle(frame.stored);
        continue;
      }
      flush();
      this.#control(frame);
    }
    flush();
    this.#changed();
  }

  #control(frame: Exclude<TimelineFrame, { type: "stored" }>): void {
    switch (frame.type) {
      case "caught_up":
        this.caughtUp = true;
        this.state = "live";
        return;
      case "preview":
        return this.live.preview(frame.frame satisfies PreviewFrame, frame.thread_id);
      case "tool_output":
        return this.live.output(frame.tool_use_id, frame.chunk);
      case "sandbox_progress":
        return this.live.progress(frame.text);
      case "activity":
        this.activity = frame.activity;
        this.work = frame.work;
        return;
      case "deleted":
        this.state = "deleted";
    }
  }

  #changed(): void {
    this.version += 1;
    for (const listener of this.#listeners) listener();
  }
}

const KEPT = 4;
const feeds = new Map<string, Feed>();

/** The feed of a session; the last few are kept, so that going back is immediate. */
export function feedOf(id: string): Feed {
  const feed = feeds.get(id) ?? new Feed(id);
  feeds.delete(id);
  feeds.set(id, feed);
  for (const old of feeds.keys()) {
    if (feeds.size <= KEPT) break;
    feeds.delete(old);
  }
  return feed;
}

/** Follows a session while the component shows it; renders again when anything changes. */
export function useFeed(id: string): Feed {
  const feed = useMemo(() => feedOf(id), [id]);
  useEffect(() => feed.use(), [feed]);
  const version = useCallback(() => feed.version, [feed]);
  useSyncExternalStore(feed.subscribe, version);
  return feed;
}
