/** Memory of all sessions of an engine: fills mounts when a sandbox is provisioned, and follows its calls. */
import { setTimeout as sleep } from "node:timers/promises";
import type { EventDraft } from "../../contract/events.ts";
import { type ExecuteCall, type Hand, type ProvisionRequest, type SandboxProvider, ToolFailure } from "../port.ts";
import { type MemorySession, type MemorySource, memoryMounts, type SandboxMemory } from "./port.ts";
import { SessionMemory } from "./session_memory.ts";
import { withMemoryNotices } from "./words.ts";

const INTERVAL_MS = 5000;
/** How long a session's rest waits for its memory. What takes longer goes on after it. */
const REST_MS = 30_000;

export interface MemoryKeeperOptions {
  source: MemorySource;
  /** Appends an event to a session outside of its lease. Never rejects. */
  tell: (sessionId: string, event: EventDraft) => void;
  interval_ms?: number;
}

export class MemoryKeeper implements SandboxMemory {
  readonly #options: MemoryKeeperOptions;
  readonly #sessions = new Map<string, SessionMemory>();

  constructor(options: MemoryKeeperOptions) {
    this.#options = options;
  }

  async mounted(
    provider: SandboxProvider,
    fold: MemorySession,
    hand: Hand,
    onStep: ProvisionRequest["onStep"],
  ): Promise<Hand> {
    const memory = this.#open(provider, fold);
    if (memory === null) return hand;
    await memory.mount(onStep);
    return new MemoryHand(hand, memory);
  }

  async rest(provider: SandboxProvider, fold: MemorySession): Promise<void> {
    let memory = this.#sessions.get(fold.session_id) ?? null;
    // Without stores there is nothing to ask a sandbox for: asking would wake a stopped container.
    if (memory === null && memoryMounts(fold.resources).length > 0) {
      // An earlier process had the session's calls, and may have ended before it brought home what they left.
      const ready = await provider
        .memoryFiles?.(fold.session_id)
        .ready()
        .catch(() => false);
      if (ready === true) memory = this.#open(provider, fold);
    }
    const timer = new AbortController();
    await Promise.race([
      memory?.rest(),
      sleep(REST_MS, undefined, { ref: false, signal: timer.signal }).catch(() => undefined),
    ]);
    timer.abort();
  }

  forget(sessionId: string): void {
    this.#sessions.delete(sessionId);
  }

  /** Null when the session has no stores, or its provider's sandboxes synchronise them by themselves. */
  #open(provider: SandboxProvider, fold: MemorySession): SessionMemory | null {
    const mounts = memoryMounts(fold.resources);
    const { session_id } = fold;
    const files = mounts.length === 0 ? undefined : provider.memoryFiles?.(session_id);
    if (files === undefined) return null;
    const { source, tell, interval_ms = INTERVAL_MS } = this.#options;
    const memory = new SessionMemory({
      session_id,
      mounts,
      files,
      source,
      tell: (event) => tell(session_id, event),
      interval_ms,
    });
    this.#sessions.set(session_id, memory);
    return memory;
  }
}

/** A hand whose results tell what became of the agent's memories. */
class MemoryHand implements Hand {
  readonly #hand: Hand;
  readonly #memory: SessionMemory;

  constructor(hand: Hand, memory: SessionMemory) {
    this.#hand = hand;
    this.#memory = memory;
  }

  async execute(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    this.#memory.begin();
    let text: string;
    try {
      text = await this.#hand.execute(name, input, call);
    } catch (error) {
      if (error instanceof ToolFailure)
        throw new ToolFailure(withMemoryNotices(error.message, await this.#memory.afterCall()));
      this.#memory.abandon();
      throw error;
    }
    return withMemoryNotices(text, await this.#memory.afterCall());
  }
}
