/** `POST /v1/sessions/{id}/events`: checked against the session's state, appended all together, then the session is woken. */
import { budgetReached } from "../../../contract/cost/cost.ts";
import { invalid } from "../../../contract/errors.ts";
import type { EventDraft, LedgerEvent } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";
import { type ClientEvent, sendEvents } from "../../../contract/schemas/events.ts";
import { parseWith } from "../../../contract/schemas/issues.ts";
import { liveThreads, openCalls } from "../../../contract/threads/view.ts";
import { refuseForWorkers } from "../../access/access.ts";
import { readJson } from "../../http/body.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { existingSession, isOver } from "../sessions/session.ts";
import { draftsOf } from "./draft.ts";
import { checkOutcome } from "./input/outcome.ts";
import { checkSystemMessage } from "./input/system_message.ts";
import { callField, callOf, checkResult } from "./results.ts";

export function mountEventSend(api: Api, deps: Deps): void {
  api.post("/v1/sessions/:id/events", async (c) => {
    const id = param(c, "id");
    await existingSession(deps, id);
    const body = await readJson(c);
    const { events } = parseWith(sendEvents, body, "The request body");
    refuseForWorkers(
      c,
      events.map((event) => event.type),
    );
    // A worker's credential opens its session and no other one's files.
    const within = c.get("caller").kind === "api_key" ? null : id;
    const drafts = await draftsOf(deps, events, "events", within);
    const data = await deps.serial.run(id, async () => {
      const { fold } = await existingSession(deps, id);
      if (isOver(fold)) invalid(`Session ${id} has ended and takes no more events. Create a new session.`);
      if (budgetReached(fold, deps.now())) refuseNewWork(events);
      const answered = await checkEvents(deps, id, fold, events);
      const fresh = events.filter((event) => !answered.has(event));
      const appended = events.flatMap((event, index) => {
        const draft = drafts[index];
        return draft === undefined || answered.has(event) ? [] : [routed(fold, event, draft)];
      });
      const stored = appended.length === 0 ? [] : await deps.ledger.emitEvents(id, appended);
      const byDraft = new Map(fresh.map((event, index) => [event, stored[index]?.event]));
      return events.map((event) => answered.get(event) ?? byDraft.get(event));
    });
    await deps.orchestrator.wake(id, "client_event");
    return c.json({ data });
  });
}

/** At the cap only what settles calls in flight is taken; anything else would wait for a request that is not made. */
function refuseNewWork(events: readonly ClientEvent[]): void {
  const index = events.findIndex(({ type }) => !AT_CAP.has(type));
  if (index === -1) return;
  invalid(
    `\`events[${index}]\`: the session's budget is used up, so it takes no ${events[index]?.type}. Raise or remove \`budget\` with an update of the session first.`,
    "budget_reached",
  );
}

const AT_CAP: ReadonlySet<string> = new Set([
  "user.tool_confirmation",
  "user.tool_result",
  "user.custom_tool_result",
  "user.interrupt",
]);

/** The draft of an event, put into the thread that it concerns. Clients need not name it: the call's id says it. */
function routed(fold: SessionFold, event: ClientEvent, draft: EventDraft): EventDraft {
  const id = answeredId(event);
  if (id === null) return draft;
  const thread = openCalls(fold).find((call) => call.id === id)?.thread_id;
  if (thread === undefined || thread === fold.primary_thread_id) return draft;
  return { ...draft, session_thread_id: thread } as EventDraft;
}

/** The call that an event answers. */
function answeredId(event: ClientEvent): string | null {
  if (event.type === "user.tool_confirmation") return event.tool_use_id;
  return event.type === "user.custom_tool_result" || event.type === "user.tool_result" ? callOf(event) : null;
}

/**
 * Refuses events that answer nothing.
 * @returns the stored event of each client event that must not be appended again
 */
async function checkEvents(
  deps: Deps,
  id: string,
  fold: SessionFold,
  events: readonly ClientEvent[],
): Promise<Map<ClientEvent, LedgerEvent>> {
  const answered = new Map<ClientEvent, LedgerEvent>();
  const named = new Set<string>();
  for (const [index, event] of events.entries()) {
    const field = `events[${index}]`;
    switch (event.type) {
      case "user.message":
        break;
      case "user.interrupt":
        if (event.session_thread_id != null && !liveThreads(fold).includes(event.session_thread_id)) {
          invalid(
            `\`${field}.session_thread_id\`: the session has no thread ${JSON.stringify(event.session_thread_id)}. Leave it out to interrupt the session.`,
          );
        }
        break;
      case "user.tool_confirmation":
        checkConfirmation(fold, event, `${field}.tool_use_id`, named);
        break;
      case "user.custom_tool_result":
      case "user.tool_result": {
        const earlier = await checkResult(deps, id, fold, event, `${field}.${callField(event)}`, named);
        if (earlier !== null) answered.set(event, earlier.event);
        break;
      }
      case "user.define_outcome":
        checkOutcome(fold, events.slice(0, index), field);
        break;
      case "system.message": {
        const earlier = await checkSystemMessage(deps.ledger, fold, events, index, answered);
        if (earlier !== null) answered.set(event, earlier);
        break;
      }
    }
  }
  return answered;
}

function checkConfirmation(
  fold: SessionFold,
  event: Extract<ClientEvent, { type: "user.tool_confirmation" }>,
  field: string,
  named: Set<string>,
): void {
  const id = event.tool_use_id;
  const call = openCalls(fold).find((open) => open.id === id);
  if (call === undefined) {
    invalid(
      `\`${field}\`: no tool call ${JSON.stringify(id)} waits in this session. Use the id of the agent.tool_use event, as listed in the last session.status_idle's stop_reason.event_ids.`,
    );
  }
  if (call.kind === "custom") {
    invalid(`\`${field}\`: ${id} is a custom tool call. Answer it with user.custom_tool_result.`);
  }
  if (call.permission !== "ask") invalid(`\`${field}\`: ${id} does not need a confirmation.`);
  if (call.confirmation !== null || named.has(id)) invalid(`\`${field}\`: ${id} was confirmed already.`);
  named.add(id);
}
