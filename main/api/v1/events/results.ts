/** Results that clients and workers compute: which call they answer, and what becomes of one that comes twice or too late. */
import { invalid } from "../../../contract/errors.ts";
import type { StoredEvent } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";
import { isDenied } from "../../../contract/fold_calls.ts";
import type { ClientEvent } from "../../../contract/schemas/events.ts";
import { openCalls, type ThreadCall } from "../../../contract/threads/view.ts";
import type { Deps } from "../../http/context.ts";

export type ResultEvent = Extract<ClientEvent, { type: "user.custom_tool_result" | "user.tool_result" }>;

/** Id of the call that a client's result answers. */
export function callOf(event: ResultEvent): string {
  return event.type === "user.tool_result" ? event.tool_use_id : event.custom_tool_use_id;
}

/** The field of the event that names the call. */
export function callField(event: ResultEvent): "tool_use_id" | "custom_tool_use_id" {
  return event.type === "user.tool_result" ? "tool_use_id" : "custom_tool_use_id";
}

/**
 * Refuses a result that answers nothing. One that is in the ledger already is no error: a client whose connection broke
 * sends it again, and a worker that took over may have run the call a second time. The first one stands.
 * @param named calls answered by earlier events of the request; this one is added
 * @returns the stored result, or null when this one is to be stored
 */
export async function checkResult(
  deps: Deps,
  sessionId: string,
  fold: SessionFold,
  event: ResultEvent,
  field: string,
  named: Set<string>,
): Promise<StoredEvent | null> {
  const id = callOf(event);
  if (named.has(id)) invalid(`\`${field}\`: there are two results for ${id} in this request. Send one.`);
  named.add(id);
  const call = openCalls(fold).find((open) => open.id === id);
  if (call === undefined) return earlierResult(deps, sessionId, event, field);
  if (event.type === "user.custom_tool_result") {
    if (call.kind !== "custom") invalid(`\`${field}\`: ${id} is a call of ${call.name}, which is not a custom tool.`);
  } else {
    checkWorkerCall(fold, call, field);
  }
  return null;
}

function checkWorkerCall(fold: SessionFold, call: ThreadCall, field: string): void {
  const { id, name } = call;
  if (call.kind === "custom") {
    invalid(`\`${field}\`: ${id} is a custom tool call. Answer it with user.custom_tool_result.`);
  }
  if (!call.by_client) {
    const why =
      fold.environment.config.type === "self_hosted"
        ? `${name} runs on the server`
        : "only sessions of self_hosted environments have workers that answer calls";
    invalid(`\`${field}\`: ${id} is not a client's to answer: ${why}. Drop this result.`);
  }
  if (isDenied(call)) invalid(`\`${field}\`: the call ${id} was denied and must not run. Drop this result.`);
  if (call.permission === "ask" && call.confirmation === null) {
    invalid(`\`${field}\`: ${id} waits for a user.tool_confirmation. Run it only once it is allowed.`);
  }
}

const USE = { "user.tool_result": "agent.tool_use", "user.custom_tool_result": "agent.custom_tool_use" } as const;

/** The result that settled the call, unless nobody computed it: then a late one is refused for good. */
async function earlierResult(deps: Deps, sessionId: string, event: ResultEvent, field: string): Promise<StoredEvent> {
  const id = callOf(event);
  const wanted = USE[event.type];
  const use = await deps.ledger.getEvent(sessionId, id);
  if (use?.event.type !== wanted) {
    const what = event.type === "user.tool_result" ? "tool call" : "custom tool call";
    invalid(
      `\`${field}\`: there is no ${what} ${JSON.stringify(id)} in this session. Use the id of the ${wanted} event.`,
    );
  }
  const late = (): never =>
    invalid(`\`${field}\`: ${id} was settled without a result, for example by an interrupt. Drop this result.`);
  let found: StoredEvent | null = null;
  const types = [event.type, "longhaul.call_settled"];
  for await (const stored of deps.ledger.getEvents(sessionId, { after_seq: use.seq, types })) {
    const later = stored.event;
    // A result of the server's own making, for a call that nobody answered, says so right behind it.
    if (later.type === "longhaul.call_settled" && later.tool_use_id === id) late();
    if (found !== null) return found;
    if (later.type === event.type && callOf(later as ResultEvent) === id) found = stored;
  }
  return found ?? late();
}
