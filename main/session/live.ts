/** Live deltas: previews and tool output for whoever watches now. Never stored (L5). */
import type { PreviewFrame } from "../contract/local_api.ts";
import type { SecretScanner } from "../contract/secrets/scanner.ts";
import { LiveMask } from "./secrets/live_mask.ts";

export type LiveFrame =
  /** `thread_id`: the thread whose answer streams. */
  | { type: "preview"; thread_id: string; frame: PreviewFrame }
  | { type: "tool_output"; tool_use_id: string; chunk: string }
  | { type: "sandbox_progress"; text: string };

type Watcher = (frame: LiveFrame) => void;

/** Beyond this the beginning of a message is not caught up with; its stored event brings all of it. */
const MAX_CATCH_UP_CHARS = 1_000_000;

/** The message that streams now: what a watcher that comes in its middle is shown first. */
interface Open {
  thread_id: string;
  start: PreviewFrame;
  id: string;
  text: string;
}

export class LiveDeltas {
  readonly #watchers = new Map<string, Set<Watcher>>();
  readonly #open = new Map<string, Open[]>();
  readonly #scanner: SecretScanner | null;
  readonly #mask: LiveMask | null;

  /** @param scanner of secret values that nobody is to see; null when there are none to be known */
  constructor(scanner: SecretScanner | null = null) {
    this.#scanner = scanner;
    this.#mask = scanner === null ? null : new LiveMask(scanner, (sessionId, frame) => this.#tell(sessionId, frame));
  }

  /** Calls `watcher` with every frame of the session from now on. Returns the unsubscriber. */
  watch(sessionId: string, watcher: Watcher): () => void {
    const watchers = this.#watchers.get(sessionId) ?? new Set();
    this.#watchers.set(sessionId, watchers);
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
      if (watchers.size === 0 && this.#watchers.get(sessionId) === watchers) this.#watchers.delete(sessionId);
    };
  }

  /**
   * {@link watch}, preceded by what has streamed of the answer in flight: for the timeline, which may be opened in the
   * middle of it. The contract's streams never replay, so they must not use this.
   */
  join(sessionId: string, watcher: Watcher): () => void {
    for (const { thread_id, start, id, text } of this.#open.get(sessionId) ?? []) {
      watcher({ type: "preview", thread_id, frame: start });
      if (text === "") continue;
      const delta = { type: "content_delta" as const, index: 0, content: { type: "text" as const, text } };
      watcher({ type: "preview", thread_id, frame: { type: "event_delta", event_id: id, delta } });
    }
    return this.watch(sessionId, watcher);
  }

  /** True while somebody watches: a reader that has gone must not be kept. */
  isWatched(sessionId: string): boolean {
    return this.#watchers.has(sessionId);
  }

  /** Hands a frame to every watcher, secrets masked; the last few letters may come a moment later. A watcher must not throw. */
  publish(sessionId: string, frame: LiveFrame): void {
    if (this.#mask !== null && this.#scanner?.active === true) this.#mask.pass(sessionId, frame);
    else this.#tell(sessionId, frame);
  }

  #tell(sessionId: string, frame: LiveFrame): void {
    if (frame.type === "preview") this.#remember(sessionId, frame.thread_id, frame.frame);
    for (const watcher of this.#watchers.get(sessionId) ?? []) watcher(frame);
  }

  /** The thread's answer in flight has ended: its stored events take over. */
  ended(sessionId: string, threadId: string): void {
    this.#mask?.ended(sessionId, threadId);
    const others = (this.#open.get(sessionId) ?? []).filter(({ thread_id }) => thread_id !== threadId);
    if (others.length === 0) this.#open.delete(sessionId);
    else this.#open.set(sessionId, others);
  }

  #remember(sessionId: string, thread_id: string, frame: PreviewFrame): void {
    const open = this.#open.get(sessionId) ?? [];
    if (frame.type === "event_start") {
      this.#open.set(sessionId, [...open, { thread_id, start: frame, id: frame.event.id, text: "" }]);
      return;
    }
    const message = open.find((each) => each.id === frame.event_id);
    if (message !== undefined && message.text.length < MAX_CATCH_UP_CHARS) message.text += frame.delta.content.text;
  }
}
