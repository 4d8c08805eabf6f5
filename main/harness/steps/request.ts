/** The step that asks the model: one request, its answer committed as a whole before any of its tools runs. */

import { DEMO_MODEL } from "../../contract/demo.ts";
import type { EventDraft, LonghaulEventOf } from "../../contract/events.ts";
import type { SessionFold } from "../../contract/fold.ts";
import { runsOnWorker } from "../../contract/fold_calls.ts";
import { newId } from "../../contract/ids.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";
import { type CrashPoint, crashPoint } from "../../crash_points.ts";
import { withFiles } from "../context/files.ts";
import { type BuiltRequest, bodyHash, buildRequest, type RequestOptions } from "../context/request.ts";
import { lookAtServers, serversToLookAt } from "../mcp/connect.ts";
import { ModelError } from "../model.ts";
import { evaluate, evaluated, toolKind } from "../permissions.ts";
import type { Emit, HarnessPorts, StepSignals } from "../ports.ts";
import { exhaustedEvents, runningEvents } from "../statuses.ts";
import type { ThreadView } from "../thread_view.ts";
import { failureEvents } from "./failure.ts";
import { type Answer, readAnswer } from "./respond.ts";

const CUT_OFF_TEXT = "Your answer was cut off at the output limit. Go on exactly where it stopped.";
const MAX_CONTINUATIONS = 5;

/** Events that are committed together with the start of the request that they lead to: one flush instead of two. */
export interface Carried {
  events: readonly EventDraft[];
  /** The crash point that lies right after their commit. */
  committed: CrashPoint;
}

/** Makes one turn request. Failures become events; only a stale lease rejects. */
export async function requestStep(
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
  carried?: Carried,
): Promise<void> {
  const leading = await withServers(view, ports, emit, signals, carried);
  if (leading === "later") return;
  const sent = await startRequest(view, ports, emit, { kind: "turn", shortened: false }, leading);
  const answer = await ask(view, ports, emit, signals, sent);
  if (answer === null || signals.shutdown.aborted) return;
  crashPoint("model.before_commit");
  const events = answerEvents(view, sent.id, answer);
  await emit(events);
  view.markStarted(events.flatMap((event) => (event.type === "longhaul.tool_started" ? [event.tool_use_id] : [])));
  crashPoint("model.after_commit");
}

/**
 * Looks at the agent's MCP servers where that is due, so that the request offers what they have. What was carried is
 * committed before: a slow server must not hold back what is known already.
 * @returns what the request carries; `later` when none follows now
 */
async function withServers(
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
  carried: Carried | undefined,
): Promise<Carried | undefined | "later"> {
  const { fold } = carried === undefined ? view : view.preview(carried.events);
  if (serversToLookAt({ fold, sessionId: view.sessionId }, ports.mcp).length === 0) return carried;
  const before = [...(carried?.events ?? []), ...runningEvents(fold)];
  if (before.length > 0) await emit(before);
  if (carried !== undefined) crashPoint(carried.committed);
  const looked = await lookAtServers(view, serversToLookAt(view, ports.mcp), ports, signals);
  if (looked.kind === "stopped") return "later";
  if (looked.kind === "done") return { events: looked.events, committed: "mcp.after_connected" };
  await emit(looked.events);
  return "later";
}

export interface SentRequest {
  /** Id of its `span.model_request_start`. */
  id: string;
  /** The exact bytes to send. */
  body: string;
}

/** Commits the span's start with the request's hash; then the request may be sent. */
export async function startRequest(
  view: ThreadView,
  ports: Pick<HarnessPorts, "catalog" | "blobs" | "priceOf">,
  emit: Emit,
  options: RequestOptions,
  carried?: Carried,
): Promise<SentRequest> {
  const { fold, transcript, mcp } = carried === undefined ? view : view.preview(carried.events);
  const built = buildRequest(fold, transcript, options, mcp);
  const body = await withFiles(built.body, ports.catalog, ports.blobs);
  const sent = requestStarted(fold, { ...built, body }, options, ports);
  await emit([...(carried?.events ?? []), ...runningEvents(fold), ...sent.events]);
  if (carried !== undefined) crashPoint(carried.committed);
  crashPoint("model.before_request");
  return sent;
}

/** The events that open a request's span; once they are committed, the request may be sent. */
export function requestStarted(
  fold: ThreadFold,
  { body, message_count, tool_count }: BuiltRequest,
  { kind, shortened }: Pick<LonghaulEventOf<"longhaul.model_request">, "kind" | "shortened">,
  ports: Pick<HarnessPorts, "priceOf">,
): SentRequest & { events: EventDraft[] } {
  const id = newId("event");
  const facts: EventDraft = {
    type: "longhaul.model_request",
    model_request_start_id: id,
    kind,
    shortened,
    model: fold.agent.model.id,
    request_sha256: bodyHash(body),
    request_bytes: Buffer.byteLength(body),
    message_count,
    tool_count,
    // What the fast mode of a model costs is not in the table.
    price: fold.agent.model.speed === "fast" ? null : ports.priceOf(fold.agent.model.id),
  };
  return { id, body, events: [{ type: "span.model_request_start", id }, facts] };
}

/**
 * Sends a started request. Returns null when it failed (the failure is in the ledger) or this process goes away.
 * @param failed what a failure means; default: a retry or the end of the turn
 */
export async function ask(
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
  sent: SentRequest,
  failed = (failure: ModelError) => failureEvents(view.fold, sent.id, failure, ports),
): Promise<Answer | null> {
  const signal = AbortSignal.any([signals.interrupt, signals.shutdown]);
  try {
    const stream = ports.model.stream(view.sessionId, sent.body, signal, betasOf(view.fold));
    const answer = await readAnswer(stream, {
      session_id: view.sessionId,
      thread_id: view.threadId,
      live: ports.live,
      onToolStart: (name) => {
        if (toolKind(view.fold, name) === "sandbox" && !runsOnWorker(view.fold, name)) ports.hands.warm(view, emit);
      },
    });
    if (answer.model === DEMO_MODEL) refuseDemo(view.fold);
    return answer;
  } catch (error) {
    if (signals.shutdown.aborted) return null;
    const failure =
      error instanceof ModelError ? error : new ModelError("failed", `The model request failed: ${String(error)}`);
    await emit(failed(failure));
    return null;
  } finally {
    ports.live.ended(view.sessionId, view.threadId);
  }
}

/** Some models take no `speed` without this header; others ignore it. */
function betasOf(fold: SessionFold): string[] {
  return fold.agent.model.speed === "fast" ? ["fast-mode-2026-02-01"] : [];
}

/**
 * Without an endpoint the broker lets the offline demo answer. In a session that a real model has worked in, its lines
 * would be taken for the model's: the turn stops and says what is missing instead.
 */
function refuseDemo(fold: SessionFold): void {
  if (fold.demo || fold.usage.output_tokens === 0 || fold.agent.model.id === DEMO_MODEL) return;
  throw new ModelError(
    "authentication",
    `No model endpoint is set up, and this session was run by ${fold.agent.model.id}. Nothing of it is lost. ` +
      "Enter a model endpoint under Settings (or with `longhaul model set`), then resume the session.",
  );
}

type ToolUse = Extract<EventDraft, { type: "agent.tool_use" | "agent.custom_tool_use" | "agent.mcp_tool_use" }>;

function answerEvents(view: ThreadView, requestId: string, answer: Answer): EventDraft[] {
  const events: EventDraft[] = [];
  const started: string[] = [];
  const toolEvents: Record<string, string> = {};
  answer.content.forEach((block, index) => {
    const id = answer.event_ids[index];
    if (block.type === "text" && block.text.trim() !== "" && id) {
      events.push({ type: "agent.message", id, content: [{ type: "text", text: block.text }] });
    } else if (block.type === "thinking" && id) {
      events.push({ type: "agent.thinking", id });
    } else if (block.type === "tool_use" && answer.stop_reason !== "refusal") {
      const eventId = newId("event");
      toolEvents[block.id] = eventId;
      const use = toolUseEvent(view, eventId, block.name, block.input as Record<string, unknown>);
      events.push(use);
      // Allowed calls are dispatched next: recording that here saves a commit between the answer and the tool.
      if (use.type === "agent.custom_tool_use") return;
      const runsHere = use.type === "agent.mcp_tool_use" || !runsOnWorker(view.fold, use.name);
      if (runsHere && use.evaluated_permission === "allow") started.push(eventId);
    }
  });
  const called = Object.keys(toolEvents).length > 0;
  events.push(responseEvent(requestId, answer, toolEvents));
  events.push({
    type: "span.model_request_end",
    model_request_start_id: requestId,
    is_error: !answer.complete,
    model_usage: { ...answer.usage, speed: answer.speed },
  });
  for (const id of started) events.push({ type: "longhaul.tool_started", tool_use_id: id, attempt: 1 });
  if (answer.stop_reason === "max_tokens" && !called) events.push(...continuation(view));
  return events;
}

/** The raw answer, as it is kept. */
export function responseEvent(
  requestId: string,
  answer: Answer,
  tool_events: Record<string, string>,
): Omit<LonghaulEventOf<"longhaul.model_response">, "id" | "processed_at"> {
  return {
    type: "longhaul.model_response",
    model_request_start_id: requestId,
    message_id: answer.message_id,
    model: answer.model,
    content: answer.content,
    stop_reason: answer.stop_reason,
    stop_details: answer.stop_details,
    usage: answer.usage,
    tool_events,
    first_token_ms: answer.first_token_ms,
    duration_ms: answer.duration_ms,
    demo: answer.model === DEMO_MODEL,
  };
}

function toolUseEvent(view: ThreadView, id: string, name: string, input: Record<string, unknown>): ToolUse {
  const { fold } = view;
  // What a client must act on is shown on the session's stream too, with the thread that asks.
  const posted = fold.child === null ? {} : { session_thread_id: view.threadId };
  const remote = view.mcp.find(fold.agent, name);
  if (remote !== null) {
    const evaluation = evaluated(remote.config.permission_policy);
    const mcp = { mcp_server_name: remote.server, name: remote.tool.name };
    const asks = evaluation.evaluated_permission === "ask" ? posted : {};
    return { type: "agent.mcp_tool_use", id, ...mcp, input, ...evaluation, ...asks };
  }
  if (toolKind(fold, name) === "custom") return { type: "agent.custom_tool_use", id, name, input, ...posted };
  const evaluation = evaluate(fold, name);
  const blocks = evaluation.evaluated_permission === "ask" || runsOnWorker(fold, name);
  return { type: "agent.tool_use", id, name, input, ...evaluation, ...(blocks ? posted : {}) };
}

function continuation(view: ThreadView): EventDraft[] {
  if (view.fold.continuations < MAX_CONTINUATIONS) {
    return [{ type: "longhaul.continuation", text: CUT_OFF_TEXT, cause: "max_tokens" }];
  }
  const message =
    `The answer reached the output limit ${MAX_CONTINUATIONS + 1} times in a row. What it wrote is kept. ` +
    "Send a message to go on, for example asking for smaller steps.";
  return exhaustedEvents(view.fold, "unknown_error", message);
}
