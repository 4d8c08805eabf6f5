/** Where a `system.message` is taken (contract.md §3.4). */
import { isDeepStrictEqual } from "node:util";
import { invalid } from "../../../../contract/errors.ts";
import type { LedgerEvent, SessionAgent } from "../../../../contract/events.ts";
import type { SessionFold } from "../../../../contract/fold.ts";
import { systemMessageSupport } from "../../../../contract/model/system_messages.ts";
import type { ClientEvent } from "../../../../contract/schemas/events.ts";
import { openCalls } from "../../../../contract/threads/view.ts";
import type { Ledger } from "../../../../session/ledger.ts";

const RESULTS: ReadonlySet<string> = new Set(["user.custom_tool_result", "user.tool_result"]);

/**
 * Checks the system message at the end of `events`. Sent again behind a result that is in the ledger already, it is no
 * error: a client whose connection broke sends both again.
 * @param answered stored events of those before it that must not be appended again
 * @returns the stored event when this one must not be appended again either
 */
export async function checkSystemMessage(
  ledger: Ledger,
  fold: SessionFold,
  events: readonly ClientEvent[],
  index: number,
  answered: ReadonlyMap<ClientEvent, LedgerEvent>,
): Promise<LedgerEvent | null> {
  const field = `events[${index}]`;
  const event = events[index];
  const before = events[index - 1];
  if (index !== events.length - 1) invalid(`\`${field}\`: a system.message must be the last event of a request.`);
  if (before === undefined || !(before.type === "user.message" || RESULTS.has(before.type))) {
    invalid(
      `\`${field}\`: a system.message must immediately follow the user.message, user.tool_result or user.custom_tool_result it accompanies, in the same request.`,
    );
  }
  checkModel(fold.agent, field);
  if (before.type === "user.message") {
    if (fold.phase === "idle" && fold.stop_reason?.type === "requires_action") {
      invalid(
        `\`${field}\`: while the session waits for tool results, a system.message is only taken right behind one of them.`,
      );
    }
    return null;
  }
  const earlier = answered.get(before);
  if (earlier === undefined) {
    refuseSpawned(fold, before, field);
    return null;
  }
  const next = await eventBehind(ledger, fold.session_id, earlier);
  if (next?.type === "system.message" && event?.type === "system.message") {
    if (isDeepStrictEqual(next.content, event.content)) return next;
  }
  return invalid(
    `\`${field}\`: the result that it follows is in the session already. Send the system.message behind a new user.message.`,
  );
}

/** The schema has checked where it stands among a session's first events; the agent's model must take it too. */
export function checkInitialSystemMessage(agent: SessionAgent, events: readonly ClientEvent[]): void {
  const index = events.findIndex(({ type }) => type === "system.message");
  if (index !== -1) checkModel(agent, `initial_events[${index}]`);
}

function checkModel({ model: { id } }: SessionAgent, field: string): void {
  if (systemMessageSupport(id) !== "refused") return;
  invalid(
    `\`${field}\`: ${id} does not support system messages in mid-conversation. Use a newer model, or say it in the agent's \`system\` or a user.message.`,
    "model_does_not_support_mid_conversation_system",
  );
}

/** It would reach the primary thread, where nothing is that it could follow. */
function refuseSpawned(fold: SessionFold, result: ClientEvent, field: string): void {
  const id = "custom_tool_use_id" in result ? result.custom_tool_use_id : "tool_use_id" in result && result.tool_use_id;
  const call = openCalls(fold).find((open) => open.id === id);
  if (call === undefined || call.thread_id === fold.primary_thread_id) return;
  invalid(
    `\`${field}\`: a system.message reaches the primary thread only, and the result before it is for thread ${call.thread_id}. Send it behind a user.message.`,
  );
}

async function eventBehind(ledger: Ledger, sessionId: string, event: LedgerEvent): Promise<LedgerEvent | null> {
  const stored = await ledger.getEvent(sessionId, event.id);
  if (stored === null) return null;
  for await (const next of ledger.getEvents(sessionId, { after_seq: stored.seq, limit: 1 })) return next.event;
  return null;
}
