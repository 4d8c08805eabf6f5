/** What a harness knows of one thread: its fold, its transcript, the inputs of its open calls. */
import type { EventDraft, StoredEvent } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";
import { openCalls, type ThreadFold, threadFold } from "../contract/threads/view.ts";
import { Transcript } from "./context/transcript.ts";
import { McpToolbox } from "./mcp/toolbox.ts";

/** The part of a session's view that a thread needs. */
interface Session {
  readonly sessionId: string;
  readonly fold: SessionFold;
  previewFold(drafts: readonly EventDraft[], threadId: string): { fold: SessionFold; events: StoredEvent[] };
}

export class ThreadView {
  readonly threadId: string;
  readonly transcript = new Transcript();
  #mcp = McpToolbox.EMPTY;
  readonly #session: Session;
  #known: { session: SessionFold; thread: ThreadFold };
  readonly #callInputs = new Map<string, unknown>();
  /** Calls recorded as started together with the answer that made them, and not yet dispatched by this process. */
  readonly #toDispatch = new Set<string>();
  #onInterrupt: (() => void) | null = null;

  constructor(session: Session, threadId: string, fold: ThreadFold) {
    this.#session = session;
    this.threadId = threadId;
    this.#known = { session: session.fold, thread: fold };
  }

  get sessionId(): string {
    return this.#session.sessionId;
  }

  /** The session as this thread sees it. */
  get fold(): ThreadFold {
    const session = this.#session.fold;
    if (this.#known.session !== session) this.#known = { session, thread: threadFold(session, this.threadId) };
    return this.#known.thread;
  }

  /** True while a call of any thread of the session has no result. */
  isOpenCall(eventId: string): boolean {
    return openCalls(this.#session.fold).some(({ id }) => id === eventId);
  }

  /** What the MCP servers of the thread's agent have shown. */
  get mcp(): McpToolbox {
    return this.#mcp;
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

  /** Calls `listener` once for every `user.interrupt` of this thread that arrives from now on; null stops that. */
  onInterrupt(listener: (() => void) | null): void {
    this.#onInterrupt = listener;
  }

  interrupted(): void {
    this.#onInterrupt?.();
  }

  /** Fold and transcript as they would be after these drafts; the view itself stays as it is. */
  preview(drafts: readonly EventDraft[]): Pick<ThreadView, "fold" | "transcript" | "mcp"> {
    const { fold, events } = this.#session.previewFold(drafts, this.threadId);
    const transcript = this.transcript.fork();
    let mcp = this.#mcp;
    for (const stored of events) {
      if (stored.thread_id !== this.threadId) continue;
      transcript.apply(stored);
      mcp = mcp.after(stored);
    }
    return { fold: threadFold(fold, this.threadId), transcript, mcp };
  }

  /** Takes the next event of this thread into the transcript. */
  take(stored: StoredEvent): void {
    this.transcript.apply(stored);
    this.#mcp = this.#mcp.after(stored);
    const { event } = stored;
    if (event.type === "agent.tool_use" || event.type === "agent.mcp_tool_use")
      this.#callInputs.set(event.id, event.input);
    else if (event.type === "agent.tool_result") this.#callInputs.delete(event.tool_use_id);
    else if (event.type === "agent.mcp_tool_result") this.#callInputs.delete(event.mcp_tool_use_id);
  }
}
