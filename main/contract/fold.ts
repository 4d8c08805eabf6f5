/**
 * The pure fold from events to session state: one function used by the ledger's projection, the harness and the
 * renderer. Its state is small (no transcript): it is stored as JSON and rebuilt from the events at will (L10).
 */

import type { SessionResource, SessionSnapshot, StoredEvent } from "./events.ts";
import type { Outcome } from "./outcome/outcomes.ts";
import { applyEvent } from "./threads/apply_event.ts";
import { foldThreads } from "./threads/fold_threads.ts";
import { type ChildThread, newThreadState, type PrimaryOwn, type ThreadState } from "./threads/state.ts";
import type { PushRequest } from "./vaults/pushes.ts";

export interface SandboxState {
  provider: string;
  state: "provisioning" | "ready" | "lost";
  /** True once the session has had a sandbox: its files are there, and a later one must be the same or replace it. */
  made: boolean;
  /** What the next result of a sandbox tool must tell the model; null when nothing was lost. */
  notice: string | null;
}

/**
 * The fields of {@link ThreadState} are the primary thread's. Of those that a session has too (phase, stop reason,
 * clock, usage) they are the session's; `primary` then holds the thread's own.
 */
export interface SessionFold extends SessionSnapshot, ThreadState {
  session_id: string;
  created_at: string;
  /** Time of the last event. */
  updated_at: string;
  last_seq: number;
  archived_at: string | null;
  /** Files that were attached once and then removed; absent: none. */
  detached?: Extract<SessionResource, { type: "file" }>[];
  /** Pushes that a person was asked about, the latest of each branch; absent: none. */
  pushes?: PushRequest[];
  /** Null while there is only the primary thread: then the session's are its own. */
  primary: PrimaryOwn | null;
  /** Spawned threads in order of creation, archived ones too. */
  threads: ChildThread[];
  /** What the primary thread was asked to bring about and is graded on, oldest first. */
  outcomes: Outcome[];
  /** Times in a row that a process died while it ran this session, with no model response or tool result in between. */
  cut_offs: number;
  turns: number;
  model_requests: number;
  tool_calls: number;
  tool_errors: number;
  outcomes_unknown: number;
  sandbox: SandboxState | null;
  /** First line of the first message: names a session that has no title. */
  task: string;
  /** One line for the session list: what it did last. */
  last_act: string;
  /** True once a response came from the offline demo model. */
  demo: boolean;
}

function start(stored: StoredEvent, session: SessionSnapshot): SessionFold {
  return {
    ...session,
    ...newThreadState(),
    session_id: stored.session_id,
    created_at: stored.created_at,
    updated_at: stored.created_at,
    last_seq: stored.seq,
    archived_at: null,
    primary: null,
    threads: [],
    outcomes: [],
    cut_offs: 0,
    turns: 0,
    model_requests: 0,
    tool_calls: 0,
    tool_errors: 0,
    outcomes_unknown: 0,
    sandbox: null,
    task: "",
    last_act: "",
    demo: false,
  };
}

/**
 * State after one more event. Never throws: events of unknown types only move `last_seq` and `updated_at` (L8).
 * @param fold state so far; null before the first event
 * @returns null when the first event is not `longhaul.session_created`
 */
export function foldEvent(fold: SessionFold | null, stored: StoredEvent): SessionFold | null {
  const { event } = stored;
  if (fold === null) return event.type === "longhaul.session_created" ? start(stored, event.session) : null;
  const next = { ...fold, last_seq: stored.seq, updated_at: stored.created_at };
  if (next.threads.length === 0 && event.type !== "longhaul.thread_created") applyEvent(next, event, stored);
  else foldThreads(next, event, stored);
  return next;
}

/** Folds a whole sequence; null when it does not begin with `longhaul.session_created`. */
export function foldAll(events: Iterable<StoredEvent>, from: SessionFold | null = null): SessionFold | null {
  let fold = from;
  for (const stored of events) fold = foldEvent(fold, stored);
  return fold;
}
