/** The contract's status events, in the order in which it wants them. */
import type { EventDraft, IdleStopReason } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";

/** Status events that must precede work; none when the session is already running. */
export function runningEvents(fold: SessionFold): EventDraft[] {
  if (fold.phase === "running") return [];
  return [{ type: "session.status_running" }, { type: "session.thread_status_running", ...thread(fold) }];
}

/** Thread idle, then usage, then session idle: `session.usage` always immediately precedes `session.status_idle`. */
export function idleEvents(fold: SessionFold, stop_reason: IdleStopReason, now: number): EventDraft[] {
  const stop_details =
    stop_reason.type === "refusal" && fold.refusal !== null
      ? {
          type: "refusal" as const,
          category: refusalCategory(fold.refusal.category),
          explanation: fold.refusal.explanation,
        }
      : null;
  const running = fold.running_since === null ? 0 : Math.max(0, now - Date.parse(fold.running_since));
  return [
    { type: "session.thread_status_idle", ...thread(fold), stop_reason, stop_details },
    {
      type: "session.usage",
      usage: {
        active_seconds: Math.round((fold.active_ms + running) / 100) / 10,
        input_tokens: fold.usage.input_tokens,
        output_tokens: fold.usage.output_tokens,
        cache_read_input_tokens: fold.usage.cache_read_input_tokens,
        cache_creation: {
          ephemeral_5m_input_tokens: fold.usage.cache_creation_input_tokens,
          ephemeral_1h_input_tokens: 0,
        },
      },
      budget: fold.budget,
    },
    { type: "session.status_idle", stop_reason, stop_details },
  ];
}

/** A transient failure: the session goes on by itself later. */
export function rescheduledEvents(fold: SessionFold): EventDraft[] {
  return [{ type: "session.thread_status_rescheduled", ...thread(fold) }, { type: "session.status_rescheduled" }];
}

function thread(fold: SessionFold): { agent_name: string; session_thread_id: string } {
  return { agent_name: fold.agent.name, session_thread_id: fold.primary_thread_id };
}

const CATEGORIES = ["cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"] as const;

/** The contract's list is closed; anything else a model says is reported as no category. */
function refusalCategory(category: string | null): (typeof CATEGORIES)[number] | null {
  return CATEGORIES.find((known) => known === category) ?? null;
}
