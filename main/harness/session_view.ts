/**
 * What a harness knows of its session while it runs: the fold, and of each thread the transcript and the inputs of open
 * calls. All of it is rebuilt from the ledger at every wake; nothing here needs to survive a crash.
 */
import type { EventDraft, StoredEvent } from "../contract/events.ts";
import { foldEvent, type SessionFold } from "../contract/fold.ts";
import { childThread, type ThreadFold, threadFold } from "../contract/threads/view.ts";
import { type Lease, type Ledger, UnknownSessionError } from "../session/ledger.ts";
import { withSessionStatus } from "./statuses.ts";
import { ThreadView } from "./thread_view.ts";

/** What a transcript and the inputs of open calls are made of; most of a log is other things. */
const CONVERSATION_TYPES = [
  "user.message",
  "user.define_outcome",
  "system.message",
  "user.custom_tool_result",
  "user.tool_result",
  "agent.tool_use",
  "agent.mcp_tool_use",
  "agent.tool_result",
  "agent.mcp_tool_result",
  "agent.thread_message_received",
  "span.outcome_evaluation_end",
  "longhaul.inputs_consumed",
  "longhaul.continuation",
  "longhaul.model_response",
  "longhaul.compaction",
  "longhaul.mcp_tools",
];

/**
 * Messages that arrive before a compaction and may be consumed after it: their bodies are needed then. System messages
 * hold beyond it in any case, once they were consumed, and so do the tools that MCP servers have shown.
 */
const MESSAGE_TYPES = [
  "user.message",
  "user.define_outcome",
  "system.message",
  "agent.thread_message_received",
  "span.outcome_evaluation_end",
  "longhaul.inputs_consumed",
  "longhaul.mcp_tools",
];

export class SessionView {
  readonly sessionId: string;
  readonly #ledger: Ledger;
  readonly #now: () => number;
  #fold: SessionFold;
  #unsubscribe: (() => void) | null = null;
  /** Events that arrived before one with a lower seq was applied. */
  readonly #early = new Map<number, StoredEvent>();
  readonly #threads = new Map<string, ThreadView>();
  /** The last append: status events follow from what those before them left. */
  #appending: Promise<unknown> = Promise.resolve();
  #onChange: (() => void) | null = null;

  private constructor(ledger: Ledger, sessionId: string, fold: SessionFold, now: () => number) {
    this.#ledger = ledger;
    this.sessionId = sessionId;
    this.#fold = fold;
    this.#now = now;
  }

  /** Reads the session and follows it from then on. Rejects with UnknownSessionError. Call {@link close} when done. */
  static async open(ledger: Ledger, sessionId: string, now: () => number = Date.now): Promise<SessionView> {
    const live: StoredEvent[] = [];
    let take = (stored: StoredEvent): void => void live.push(stored);
    // Subscribed before anything is read: what is appended meanwhile comes this way, without a gap.
    const unsubscribe = ledger.subscribe((events) => {
      for (const stored of events) if (stored.session_id === sessionId) take(stored);
    });
    try {
      const record = await ledger.getSession(sessionId);
      if (record === null) throw new UnknownSessionError(sessionId);
      const view = new SessionView(ledger, sessionId, record.fold, now);
      await view.#load(record.fold);
      for (const stored of live) view.apply(stored);
      take = (stored) => view.apply(stored);
      view.#unsubscribe = unsubscribe;
      return view;
    } catch (error) {
      unsubscribe();
      throw error;
    }
  }

  /** The conversations up to the fold's position. The fold itself comes from the ledger's projection. */
  async #load(fold: SessionFold): Promise<void> {
    const since = [fold, ...fold.threads.filter(({ archived_at }) => archived_at === null)].map(
      ({ compacted_through }) => compacted_through,
    );
    const first = Math.min(...since);
    if (Math.max(...since) > 0) {
      const early = this.#ledger.getEvents(this.sessionId, { before_seq: fold.last_seq + 1, types: MESSAGE_TYPES });
      for await (const stored of early) {
        const thread = this.#threadOf(stored);
        if (thread !== null && stored.seq <= thread.fold.compacted_through) thread.take(stored);
      }
    }
    const range = { after_seq: first, before_seq: fold.last_seq + 1, types: CONVERSATION_TYPES };
    for await (const stored of this.#ledger.getEvents(this.sessionId, range)) {
      const thread = this.#threadOf(stored);
      if (thread !== null && stored.seq > thread.fold.compacted_through) thread.take(stored);
    }
  }

  get fold(): SessionFold {
    return this.#fold;
  }

  /** One of the session's threads. @throws Error when there is no such thread */
  thread(threadId: string): ThreadView {
    const known = this.#threads.get(threadId);
    if (known !== undefined) return known;
    const view = new ThreadView(this, threadId, threadFold(this.#fold, threadId));
    this.#threads.set(threadId, view);
    return view;
  }

  get primary(): ThreadView {
    return this.thread(this.#fold.primary_thread_id);
  }

  /** Calls `listener` after every event that was applied; null stops that. */
  onChange(listener: (() => void) | null): void {
    this.#onChange = listener;
  }

  /**
   * Appends for this harness, with the session's own status events where those of its threads change it; when it
   * resolves, fold and transcripts hold the events. Appends of several threads go one after the other: what the session
   * as a whole does is decided from all of them. A stale lease rejects.
   */
  emit(events: readonly EventDraft[], lease: Pick<Lease, "token">): Promise<StoredEvent[]> {
    const appended = this.#appending.then(async () => {
      const drafts = withSessionStatus(this.#fold, events, this.#now());
      const stored = await this.#ledger.emitEvents(this.sessionId, drafts, lease);
      for (const event of stored) this.apply(event);
      return stored;
    });
    this.#appending = appended.catch(() => undefined);
    return appended;
  }

  /** The fold as it would be after these drafts of a thread; the view itself stays as it is. */
  previewFold(drafts: readonly EventDraft[], threadId: string): { fold: SessionFold; events: StoredEvent[] } {
    let fold = this.#fold;
    const events: StoredEvent[] = [];
    for (const draft of withSessionStatus(fold, drafts, this.#now())) {
      const { thread_id = threadId, ...content } = this.#ledger.asAppended(draft);
      const stored: StoredEvent = {
        seq: fold.last_seq + 1,
        session_id: this.sessionId,
        thread_id,
        created_at: fold.updated_at,
        event: { id: "sevt_preview", processed_at: fold.updated_at, ...content } as StoredEvent["event"],
      };
      fold = foldEvent(fold, stored) ?? fold;
      events.push(stored);
    }
    return { fold, events };
  }

  /** Takes an event in ledger order; early ones wait for those before them, known ones change nothing. */
  apply(stored: StoredEvent): void {
    if (stored.seq <= this.#fold.last_seq) return;
    this.#early.set(stored.seq, stored);
    let changed = false;
    for (;;) {
      const next = this.#early.get(this.#fold.last_seq + 1);
      if (next === undefined) break;
      this.#early.delete(next.seq);
      this.#fold = foldEvent(this.#fold, next) ?? this.#fold;
      this.#threadOf(next)?.take(next);
      if (next.event.type === "user.interrupt") this.#interrupt(next);
      changed = true;
    }
    if (changed) this.#onChange?.();
  }

  close(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /** Tells every thread that has this interrupt to take. */
  #interrupt(stored: StoredEvent): void {
    for (const thread of this.#threads.values()) {
      if (thread.fold.inputs.some(({ id }) => id === stored.event.id)) thread.interrupted();
    }
  }

  /** The thread that an event belongs to; null for events of threads that are over. */
  #threadOf(stored: StoredEvent): ThreadView | null {
    const { thread_id } = stored;
    if (thread_id === this.#fold.primary_thread_id) return this.primary;
    const child = childThread(this.#fold, thread_id);
    return child === undefined || child.archived_at !== null ? null : this.thread(thread_id);
  }

  /** The thread's present fold. */
  foldOf(threadId: string): ThreadFold {
    return threadFold(this.#fold, threadId);
  }
}
