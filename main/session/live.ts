/** Live deltas: previews and tool output for whoever watches now. Never stored, never replayed (L5). */
import type { PreviewFrame } from "../contract/local_api.ts";

export type LiveFrame =
  | { type: "preview"; frame: PreviewFrame }
  | { type: "tool_output"; tool_use_id: string; chunk: string };

type Watcher = (frame: LiveFrame) => void;

export class LiveDeltas {
  readonly #watchers = new Map<string, Set<Watcher>>();

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

  /** True when somebody watches: producing a frame for nobody is wasted work. */
  isWatched(sessionId: string): boolean {
    return this.#watchers.has(sessionId);
  }

  /** Hands a frame to every watcher. A watcher must not throw. */
  publish(sessionId: string, frame: LiveFrame): void {
    for (const watcher of this.#watchers.get(sessionId) ?? []) watcher(frame);
  }
}
