/**
 * What a harness knows of its session while it runs: fold, transcript and the inputs of open calls. All of it is
 * rebuilt from the ledger at every wake; nothing here needs to survive a crash.
 */
import type { EventDraft, StoredEvent } from "../contract/events.ts";
import { foldEvent, type SessionFold } from "../contract/fold.ts";
import { type Lease, type Ledger, UnknownSessionError } from "../session/ledger.ts";
import { Transcript } from "./context/transcript.ts";

/** What the transcript and the inputs of open calls are made of; most of a log is other things. */
const CONVERSATION_TYPES = [
  "user.message",
  "user.custom_tool_result",
  "user.tool_result",
  "agent.tool_use",
  "agent.mcp_tool_use",
  "agent.tool_result",
  "agent.mcp_tool_result",
  "longhaul.inputs_consumed",
  "longhaul.continuation",
  "longhaul.model_response",
  "longhaul.compaction",
];

export class SessionView {
  readonly sessionId: string;
  readonly transcript = new Transcript();
  readonly #ledger: Ledger;
  #fold: SessionFold;
  #unsubscribe: (() => void) | null = null;
  /** Events that arrived before one with a lower seq was applied. */
  readonly #early = new Map<number, StoredEvent>();
  readonly #callInputs = new Map<string, unknown>();
  /** Calls recorded as started together with the answer that made them, and not yet dispatched by this process. */
  readonly #toDispatch = new Set<string>();
  #onInterrupt: (() => void) | null = null;

  private constructor(ledger: Ledger, sessionId: string, fold: SessionFold) {
    this.#ledger = ledger;
    this.sessionId = sessionId;
    this.#fold = fold;
  }

  /** Reads the session and follows it from then on. Rejects with UnknownSessionError. Call {@link close} when done. */
  static async open(ledger: Ledger, sessionId: string): Promise<SessionView> {
    const live: StoredEvent[] = [];
    let take = (stored: StoredEvent): void => void live.push(stored);
    // Subscribed before anything is read: what is appended meanwhile comes this way, without a gap.
    const unsubscribe = ledger.subscribe((events) => {
      for (const stored of events) if (stored.session_id === sessionId) take(stored);
    });
    try {
      const record = await ledger.getSession(sessionId);
      if (record === null) throw new UnknownSessionError(sessionId);
      const view = new SessionView(ledger, sessionId, record.fold);
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

  /** The conversation up to the fold's position. The fold itself comes from the ledger's projection. */
  async #load(fold: SessionFold): Promise<void> {
    const since = fold.compacted_through;
    if (since > 0) {
      // A message that arrived before the compaction may be consumed after it: its body is needed then.
      const early = this.#ledger.getEvents(this.sessionId, { before_seq: since + 1, types: ["user.message"] });
      for await (const stored of early) this.transcript.apply(stored);
    }
    const range = { after_seq: since, before_seq: fold.last_seq + 1, types: CONVERSATION_TYPES };
    for await (const stored of this.#ledger.getEvents(this.sessionId, range)) this.#take(stored, false);
  }

  get fold(): SessionFold {
    return this.#fold;
  }

  /** Input of an open call, as the model gave it. */
  callInput(eventId: string): unknown {
    return this.#callInputs.get(eventId);
  }

  /** Notes calls whose start this process has just recorded: for any other process they are calls in flight. */
  markStarted(eventIds: readonly string[]): void {
    for (const id of eventIds) this.#toDispatch.add(id);
  }

  /** True once for a call that {@link markStarted} named: it was recorded as started and nobody has dispatched it. */
  takeStarted(eventId: string): boolean {
    return this.#toDispatch.delete(eventId);
  }

  /** Calls `listener` once for every `user.interrupt` that arrives from now on; null stops that. */
  onInterrupt(listener: (() => void) | null): void {
    this.#onInterrupt = listener;
  }

  /** Appends for this harness; when it resolves, fold and transcript hold the events. A stale lease rejects. */
  async emit(events: readonly EventDraft[], lease: Pick<Lease, "token">): Promise<StoredEvent[]> {
    const stored = await this.#ledger.emitEvents(this.sessionId, events, lease);
    for (const event of stored) this.apply(event);
    return stored;
  }

  /** Fold and transcript as they would be after these drafts; the view itself stays as it is. */
  preview(drafts: readonly EventDraft[]): Pick<SessionView, "fold" | "transcript"> {
    let fold = this.#fold;
    const transcript = this.transcript.fork();
    for (const draft of drafts) {
      const stored: StoredEvent = {
        seq: fold.last_seq + 1,
        session_id: this.sessionId,
        thread_id: fold.primary_thread_id,
        created_at: fold.updated_at,
        event: { id: "sevt_preview", processed_at: fold.updated_at, ...draft } as StoredEvent["event"],
      };
      fold = foldEvent(fold, stored) ?? fold;
      transcript.apply(stored);
    }
    return { fold, transcript };
  }

  /** Takes an event in ledger order; early ones wait for those before them, known ones change nothing. */
  apply(stored: StoredEvent): void {
    if (stored.seq <= this.#fold.last_seq) return;
    this.#early.set(stored.seq, stored);
    for (;;) {
      const next = this.#early.get(this.#fold.last_seq + 1);
      if (next === undefined) return;
      this.#early.delete(next.seq);
      this.#take(next, true);
      if (next.event.type === "user.interrupt") this.#onInterrupt?.();
    }
  }

  close(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  #take(stored: StoredEvent, folds: boolean): void {
    if (folds) this.#fold = foldEvent(this.#fold, stored) ?? this.#fold;
    this.transcript.apply(stored);
    const { event } = stored;
    if (event.type === "agent.tool_use" || event.type === "agent.mcp_tool_use")
      this.#callInputs.set(event.id, event.input);
    else if (event.type === "agent.tool_result") this.#callInputs.delete(event.tool_use_id);
    else if (event.type === "agent.mcp_tool_result") this.#callInputs.delete(event.mcp_tool_use_id);
  }
}
