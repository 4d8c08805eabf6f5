/** The rules of previews on one connection (contract.md §2.4). */
import type { StoredEvent } from "../../contract/events.ts";
import type { PreviewFrame } from "../../contract/local_api.ts";

export type PreviewType = "agent.message" | "agent.thinking";

const REMEMBERED = 256;

/**
 * At most one start per id; no delta without its start (a connection may open in the middle of a message); nothing
 * after the buffered event with the same id or after the end of the model request.
 */
export class PreviewGate {
  readonly #types: ReadonlySet<PreviewType>;
  /** Message that streams → its thread. */
  readonly #open = new Map<string, string>();
  /** Ids that were started or ended, oldest first: none of them may start again. */
  readonly #known = new Set<string>();

  constructor(types: ReadonlySet<PreviewType>) {
    this.#types = types;
  }

  /** True when the frame may be sent. */
  admits(frame: PreviewFrame, threadId: string): boolean {
    if (frame.type === "event_delta") return this.#open.has(frame.event_id);
    const { id, type } = frame.event;
    if (!this.#types.has(type) || this.#known.has(id)) return false;
    this.#remember(id);
    this.#open.set(id, threadId);
    return true;
  }

  /** To be told of every stored event that is sent. */
  stored({ event, thread_id }: Pick<StoredEvent, "event" | "thread_id">): void {
    if (event.type === "span.model_request_end") {
      for (const [id, thread] of this.#open) if (thread === thread_id) this.#open.delete(id);
    }
    if (event.type !== "agent.message" && event.type !== "agent.thinking") return;
    this.#open.delete(event.id);
    this.#remember(event.id);
  }

  #remember(id: string): void {
    this.#known.add(id);
    if (this.#known.size <= REMEMBERED) return;
    const [oldest] = this.#known;
    if (oldest !== undefined) this.#known.delete(oldest);
  }
}
