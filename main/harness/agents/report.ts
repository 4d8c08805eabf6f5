/** How a spawned thread's parent learns that its task has ended: a message, or the result of the call that spawned it. */
import type { EventDraft, EventOf, IdleStopReason } from "../../contract/events.ts";
import { isMessage } from "../../contract/fold_calls.ts";
import type { ChildThread } from "../../contract/threads/state.ts";
import type { Ledger } from "../../session/ledger.ts";
import type { ThreadView } from "../thread_view.ts";

/**
 * Adds the report to drafts that bring a spawned thread to rest, so that both are in one append: a parent can neither be
 * told twice nor wait for ever.
 */
export async function withReport(
  view: ThreadView,
  ledger: Ledger,
  drafts: readonly EventDraft[],
): Promise<EventDraft[]> {
  const { child } = view.fold;
  const idle = drafts.findLast((draft) => draft.type === "session.thread_status_idle");
  if (child === null || idle?.type !== "session.thread_status_idle") return [...drafts];
  const end = endsForGood(drafts) ? [terminated(view, child)] : [];
  const report =
    child.report_due || begins(view, drafts) ? await reportOf(view, child, ledger, drafts, idle.stop_reason) : null;
  if (report === null) return [...drafts, ...end];
  const before = drafts.filter((draft) => draft !== idle);
  return child.tool_use_id === null
    ? [...before, ...messages(child, report.text), idle, ...end]
    : [...before, ...answer(view, child, report), idle, terminated(view, child)];
}

/** True where the task was taken in only to be stopped: nobody has noted yet that the parent waits for it. */
function begins(view: ThreadView, drafts: readonly EventDraft[]): boolean {
  const taken = new Set(drafts.flatMap((draft) => (draft.type === "longhaul.inputs_consumed" ? draft.event_ids : [])));
  return view.fold.inputs.some((input) => isMessage(input) && taken.has(input.id));
}

/** The contract ends a spawned thread that ran into one of the loop's own limits; other failures leave it idle. */
function endsForGood(drafts: readonly EventDraft[]): boolean {
  const limits = ["tool_use_limit_reached_error", "compaction_limit_reached_error"];
  return drafts.some((draft) => draft.type === "session.error" && limits.includes(draft.error.type));
}

interface Report {
  text: string;
  is_error: boolean;
}

/** Null while the parent has nothing to be told: a person must act first, or stopped the parent too. */
async function reportOf(
  view: ThreadView,
  child: ChildThread,
  ledger: Ledger,
  drafts: readonly EventDraft[],
  reason: IdleStopReason,
): Promise<Report | null> {
  if (reason.type === "requires_action" || reason.type === "budget_reached") return null;
  const interrupts = await interruptsIn(view, ledger, drafts);
  if (interrupts.length > 0) {
    const isOwn = interrupts.some(({ session_thread_id }) => session_thread_id === child.id);
    return isOwn ? { text: "The user interrupted this agent before it was done.", is_error: true } : null;
  }
  if (reason.type === "retries_exhausted") {
    const error = drafts.findLast((draft) => draft.type === "session.error");
    const why = error?.type === "session.error" ? error.error.message : (child.error?.message ?? "it failed");
    return { text: `This agent stopped before it was done: ${why}`, is_error: true };
  }
  if (reason.type === "refusal") return { text: "This agent declined to answer.", is_error: true };
  return { text: await lastMessage(view, child, ledger), is_error: false };
}

async function interruptsIn(view: ThreadView, ledger: Ledger, drafts: readonly EventDraft[]) {
  const consumed = new Set(
    drafts.flatMap((draft) => (draft.type === "longhaul.inputs_consumed" ? draft.event_ids : [])),
  );
  const ids = view.fold.inputs.filter(({ id, type }) => type === "user.interrupt" && consumed.has(id));
  const events = await Promise.all(ids.map(({ id }) => ledger.getEvent(view.sessionId, id)));
  return events.flatMap((stored) => (stored?.event.type === "user.interrupt" ? [stored.event] : []));
}

async function lastMessage(view: ThreadView, child: ChildThread, ledger: Ledger): Promise<string> {
  const stored = child.last_message_id === null ? null : await ledger.getEvent(view.sessionId, child.last_message_id);
  if (stored?.event.type !== "agent.message") return "This agent ended its turn without a message.";
  return stored.event.content.map((block) => (block.type === "text" ? block.text : "")).join("\n");
}

/** To the primary agent, which the contract's messages do not name. */
function messages(child: ChildThread, text: string): EventDraft[] {
  const content: EventOf<"agent.thread_message_sent">["content"] = [{ type: "text", text }];
  const parent = child.parent_thread_id;
  return [
    { type: "agent.thread_message_sent", to_session_thread_id: parent, content },
    {
      type: "agent.thread_message_received",
      thread_id: parent,
      from_session_thread_id: child.id,
      from_agent_name: child.name,
      content,
    },
  ];
}

/** Nothing where an interrupt has settled the call already. */
function answer(view: ThreadView, child: ChildThread, report: Report): EventDraft[] {
  const id = child.tool_use_id;
  if (id === null || !view.isOpenCall(id)) return [];
  const content: EventOf<"agent.tool_result">["content"] = [{ type: "text", text: report.text }];
  return [
    {
      type: "agent.tool_result",
      thread_id: child.parent_thread_id,
      tool_use_id: id,
      content,
      is_error: report.is_error,
    },
  ];
}

/** A thread that answered a call has nothing more to do. */
function terminated(view: ThreadView, child: ChildThread): EventDraft {
  return { type: "session.thread_status_terminated", agent_name: view.fold.agent.name, session_thread_id: child.id };
}
