/** The contract's status events, in the order in which it wants them. */
import { runningMs, sessionCost } from "../contract/cost/cost.ts";
import type { EventDraft, IdleStopReason, SessionErrorBody, StoredEvent } from "../contract/events.ts";
import { foldEvent, type SessionFold } from "../contract/fold.ts";
import { liveThreads, type ThreadFold, threadFold } from "../contract/threads/view.ts";
import { blockedCalls, threadWork } from "../contract/work.ts";

/** The thread's status event that must precede work; none when it is already running. */
export function runningEvents(fold: ThreadFold): EventDraft[] {
  return fold.phase === "running" ? [] : [{ type: "session.thread_status_running", ...thread(fold) }];
}

export function idleEvents(fold: ThreadFold, stop_reason: IdleStopReason): EventDraft[] {
  const stop_details = detailsOf(fold, stop_reason);
  return [{ type: "session.thread_status_idle", ...thread(fold), stop_reason, stop_details }];
}

/** Errors that say nothing but a message. */
export type PlainError = Extract<
  SessionErrorBody["type"],
  | "unknown_error"
  | "compaction_limit_reached_error"
  | "tool_use_limit_reached_error"
  | "model_overloaded_error"
  | "model_rate_limited_error"
  | "model_request_failed_error"
  | "billing_error"
>;

/**
 * The end of a turn that died. What is still queued is taken into the conversation but starts no turn of its own
 * (contract.md §3.4, "queued inputs flushed"): the next message, or a person's resume, goes on with all of it.
 */
export function exhaustedEvents(fold: ThreadFold, type: PlainError, message: string): EventDraft[] {
  const queued = fold.inputs.filter((input) => input.type !== "user.interrupt").map(({ id }) => id);
  // Before the error: a message that enters the conversation clears the error of the turn before it.
  const flushed: EventDraft[] = queued.length > 0 ? [{ type: "longhaul.inputs_consumed", event_ids: queued }] : [];
  return [
    ...flushed,
    { type: "session.error", error: { type, message, retry_status: { type: "exhausted" } } },
    ...idleEvents(fold, { type: "retries_exhausted" }),
  ];
}

/** A transient failure: the thread goes on by itself later. */
export function rescheduledEvents(fold: ThreadFold): EventDraft[] {
  return [{ type: "session.thread_status_rescheduled", ...thread(fold) }];
}

/**
 * Adds what the threads' status events mean for the session: it runs while any thread does, waits while one of them
 * does, and else rests for the reason that matters most. `session.usage` always immediately precedes `session.status_idle`.
 * @param fold the session before the drafts
 */
export function withSessionStatus(fold: SessionFold, drafts: readonly EventDraft[], now: number): EventDraft[] {
  if (!drafts.some(({ type }) => type.startsWith("session.thread_status_"))) return [...drafts];
  const events: EventDraft[] = [];
  let next = fold;
  let phase = fold.phase;
  const rests = drafts.findLastIndex(isRest);
  for (const [index, draft] of drafts.entries()) {
    if (draft.type === "session.thread_status_running" && phase !== "running") {
      phase = "running";
      events.push({ type: "session.status_running" });
      next = after(next, { type: "session.status_running" }, now);
    }
    events.push(draft);
    next = after(next, draft, now);
    if (index === rests) events.push(...restOf(next, draft, now));
  }
  return events;
}

/**
 * The session's rest where no thread's status brought it: the last one to run only let go of something, or one that waited
 * for a person was archived. Empty when the session rests as it should or some thread goes on.
 */
export function leftOverRest(fold: SessionFold, now: number): EventDraft[] {
  if (fold.primary === null) return [];
  const threads = liveThreads(fold).map((id) => threadFold(fold, id));
  const stop_reason = sessionReason(threads);
  if (fold.phase === "idle" && !namesTooMuch(fold.stop_reason, stop_reason)) return [];
  if (fold.phase !== "running" && fold.phase !== "idle") return [];
  if (threads.some(({ phase }) => phase === "running")) return [];
  if (threads.some(({ phase }) => phase === "rescheduling")) return [{ type: "session.status_rescheduled" }];
  return [
    usageEvent(fold, now),
    { type: "session.status_idle", stop_reason, stop_details: detailsOf(threads[0] ?? fold, stop_reason) },
  ];
}

/** True when a session was said to wait for something that nothing waits for any more. */
function namesTooMuch(said: IdleStopReason | null, now: IdleStopReason): boolean {
  if (said?.type !== "requires_action") return false;
  const wanted = now.type === "requires_action" ? now.event_ids : [];
  return said.event_ids.some((id) => !wanted.includes(id));
}

function isRest({ type }: EventDraft): boolean {
  return type === "session.thread_status_idle" || type === "session.thread_status_rescheduled";
}

/** The session's status once a thread has come to rest; nothing while another one runs. */
function restOf(fold: SessionFold, draft: EventDraft, now: number): EventDraft[] {
  const threads = liveThreads(fold).map((id) => threadFold(fold, id));
  // In a session of one thread that thread's status is folded from the session's, which is made only now.
  const phases = fold.primary === null ? [] : threads.map(({ phase }) => phase);
  if (phases.includes("running")) return [];
  // A thread that is about to run would make this rest one that lasts a millisecond: readers take it for the end. Also
  // the resting one may be, when another thread's message came in while it decided to rest.
  if (fold.primary !== null && threads.some((each) => threadWork(each, now) === "now")) return [];
  const waits =
    fold.primary === null ? draft.type === "session.thread_status_rescheduled" : phases.includes("rescheduling");
  if (waits) return fold.phase === "rescheduling" ? [] : [{ type: "session.status_rescheduled" }];
  const own = draft.type === "session.thread_status_idle" ? draft.stop_reason : { type: "end_turn" as const };
  const stop_reason = fold.primary === null ? own : sessionReason(threads);
  return [
    usageEvent(fold, now),
    { type: "session.status_idle", stop_reason, stop_details: detailsOf(threads[0] ?? fold, stop_reason) },
  ];
}

/** What needs a person comes first; else the primary thread's own reason, which ended the turn. */
function sessionReason(threads: readonly ThreadFold[]): IdleStopReason {
  const blocked = threads.filter(({ stop_reason }) => stop_reason?.type === "requires_action");
  const event_ids = blocked.flatMap((thread) => blockedCalls(thread));
  if (event_ids.length > 0) return { type: "requires_action", event_ids };
  if (threads.some(({ stop_reason, stopped }) => stopped && stop_reason?.type === "budget_reached")) {
    return { type: "budget_reached" };
  }
  const own = threads[0]?.stop_reason ?? null;
  // What a thread said when it came to rest may have been settled since, by a client or by an interrupt.
  if (own === null || own.type === "requires_action" || own.type === "budget_reached") return { type: "end_turn" };
  return own;
}

function usageEvent(fold: SessionFold, now: number): EventDraft {
  const list_cost = sessionCost(fold, now);
  return {
    type: "session.usage",
    usage: {
      active_seconds: Math.round(runningMs(fold, now) / 100) / 10,
      ...(list_cost === null ? {} : { list_cost }),
      input_tokens: fold.usage.input_tokens,
      output_tokens: fold.usage.output_tokens,
      cache_read_input_tokens: fold.usage.cache_read_input_tokens,
      cache_creation: {
        ephemeral_5m_input_tokens: fold.usage.cache_creation_input_tokens,
        ephemeral_1h_input_tokens: 0,
      },
      ...(fold.usage.server_tool_use === undefined ? {} : { server_tool_use: fold.usage.server_tool_use }),
    },
    budget: fold.budget,
  };
}

function after(fold: SessionFold, draft: EventDraft, now: number): SessionFold {
  const created_at = new Date(now).toISOString();
  const { thread_id, ...content } = draft;
  const named = "session_thread_id" in content ? content.session_thread_id : null;
  const stored = {
    seq: fold.last_seq + 1,
    session_id: fold.session_id,
    thread_id: thread_id ?? named ?? fold.primary_thread_id,
    created_at,
    event: { id: "sevt_preview", processed_at: created_at, ...content },
  } as StoredEvent;
  return foldEvent(fold, stored) ?? fold;
}

function detailsOf(fold: Pick<SessionFold, "refusal">, stop_reason: IdleStopReason) {
  if (stop_reason.type !== "refusal" || fold.refusal === null) return null;
  const { category, explanation } = fold.refusal;
  return { type: "refusal" as const, category: refusalCategory(category), explanation };
}

function thread(fold: ThreadFold): { agent_name: string; session_thread_id: string } {
  return { agent_name: fold.agent.name, session_thread_id: fold.thread_id };
}

const CATEGORIES = ["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"] as const;

/** The contract's list is closed; anything else a model says is reported as no category. */
function refusalCategory(category: string | null): (typeof CATEGORIES)[number] | null {
  return CATEGORIES.find((known) => known === category) ?? null;
}
