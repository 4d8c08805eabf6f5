/** What a spawned thread's parent is told when the thread is archived before its task has ended. */
import type { EventDraft } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import { isMessage } from "../fold_calls.ts";
import { childThread } from "./view.ts";

const ARCHIVED = "The user archived this agent's thread before it was done.";

/**
 * The parent's call gets its result, or the parent a message, as if the thread had been interrupted. None when the parent
 * waits for nothing from it. To be appended together with the thread's end.
 */
export function archivedReport(fold: SessionFold, threadId: string): EventDraft[] {
  const child = childThread(fold, threadId);
  if (child === undefined) return [];
  const { parent_thread_id, tool_use_id } = child;
  const content = [{ type: "text" as const, text: ARCHIVED }];
  if (tool_use_id !== null) {
    if (!fold.calls.some(({ id }) => id === tool_use_id)) return [];
    return [{ type: "agent.tool_result", thread_id: parent_thread_id, tool_use_id, content, is_error: true }];
  }
  const isAtWork = child.calls.length > 0 || child.inputs.some(isMessage) || (child.report_due && child.awaiting_model);
  if (!isAtWork) return [];
  return [
    { type: "agent.thread_message_sent", thread_id: threadId, to_session_thread_id: parent_thread_id, content },
    {
      type: "agent.thread_message_received",
      thread_id: parent_thread_id,
      from_session_thread_id: threadId,
      from_agent_name: child.name,
      content,
    },
  ];
}
