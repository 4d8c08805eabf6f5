/** Applies events to a timeline: one switch over every type that has a meaning for the view. */
import type { EventOf, LedgerEvent, StoredEvent } from "../../main/contract/events.ts";
import { threadName } from "../../main/contract/threads/state.ts";
import { cents } from "../format/numbers.ts";
import { firstPlainLine, plainText } from "./content.ts";
import { onMcpConnected, onMcpTools } from "./mcp/on_mcp.ts";
import { onOutcomeUnknown, onSettled, onToolResult, onToolStarted, onToolUse, onWebRequest } from "./on_call.ts";
import {
  addNotice,
  onCutOff,
  onError,
  onIdle,
  onLease,
  onLeaseReleased,
  onRescheduled,
  onRetry,
  onRunning,
  onSleep,
  onTerminated,
} from "./on_fact.ts";
import { onConfirmation, onConsumed, onInterrupt, onMessage } from "./on_input.ts";
import {
  onAbandoned,
  onAnswer,
  onCompaction,
  onContinuation,
  onRequestEnd,
  onRequestFacts,
  onRequestStart,
  onResponse,
} from "./on_request.ts";
import { onOutcome, onVerdict } from "./outcome/on_outcome.ts";
import { onCredentialUsed } from "./sandbox/on_credential.ts";
import { onBroughtBack, onEgress } from "./sandbox/on_exchange.ts";
import { onOutputsStored, onResourceAdded, onResourceRemoved } from "./sandbox/on_files.ts";
import { onMemorySynced } from "./sandbox/on_memory.ts";
import { onPush } from "./sandbox/on_push.ts";
import { onCheckpoint, onProvisioning, onSandboxLost, onSandboxReady, onSandboxStep } from "./sandbox/on_sandbox.ts";
import { emptyTimeline, openTurn, recordEvent, replaceTurn, requestOf, type Timeline, timeOf } from "./timeline.ts";

/** Appends events in order; those seen before are ignored. Never throws on well-formed stored events. */
export function appendEvents(timeline: Timeline, events: Iterable<StoredEvent>): void {
  for (const stored of events) {
    if (!recordEvent(timeline, stored)) continue;
    apply(timeline, stored.event, stored);
    timeline.lastAt = timeOf(timeline, stored);
  }
}

/** A timeline of these events. */
export function buildTimeline(events: Iterable<StoredEvent>): Timeline {
  const timeline = emptyTimeline();
  appendEvents(timeline, events);
  return timeline;
}

function apply(timeline: Timeline, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "user.message":
    case "system.message":
      return onMessage(timeline, event, stored);
    case "user.define_outcome":
      return onOutcome(timeline, event, stored);
    case "span.outcome_evaluation_end":
      return onVerdict(timeline, event, stored);
    case "user.interrupt":
      return onInterrupt(timeline, stored);
    case "user.tool_confirmation":
      return onConfirmation(timeline, event, stored);
    case "longhaul.inputs_consumed":
      return onConsumed(timeline, event, stored);
    case "span.model_request_start":
      return onRequestStart(timeline, stored);
    case "span.model_request_end":
      return onRequestEnd(timeline, event, stored);
    case "longhaul.model_request":
      return onRequestFacts(timeline, event, stored);
    case "longhaul.model_response":
      return onResponse(timeline, event, stored);
    case "longhaul.model_request_abandoned":
      return onAbandoned(timeline, event, stored);
    case "agent.message":
    case "agent.thinking":
      return onAnswer(timeline, event, stored);
    case "agent.tool_use":
    case "agent.custom_tool_use":
    case "agent.mcp_tool_use":
      return onToolUse(timeline, event, stored);
    case "agent.tool_result":
    case "agent.mcp_tool_result":
    case "user.custom_tool_result":
    case "user.tool_result":
      return onToolResult(timeline, event, stored);
    case "longhaul.tool_started":
      return onToolStarted(timeline, event, stored);
    case "longhaul.web_request":
      return onWebRequest(timeline, event, stored);
    case "longhaul.call_settled":
      return onSettled(timeline, event, stored);
    case "longhaul.outcome_unknown":
      return onOutcomeUnknown(timeline, event, stored);
    default:
      return applyFact(timeline, event, stored);
  }
}

function applyFact(timeline: Timeline, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "session.status_running":
      return onRunning(timeline, stored);
    case "session.status_idle":
      return onIdle(timeline, event, stored);
    case "session.status_rescheduled":
      return onRescheduled(timeline, stored);
    case "session.status_terminated":
      return onTerminated(timeline, stored);
    case "session.error":
      return onError(timeline, event, stored);
    case "longhaul.lease_acquired":
      return onLease(timeline, event, stored);
    case "longhaul.lease_released":
      return onLeaseReleased(timeline, stored);
    case "longhaul.cut_off":
      return onCutOff(timeline, event, stored);
    case "longhaul.sleep_gap":
      return onSleep(timeline, event, stored);
    case "longhaul.retry_scheduled":
      return onRetry(timeline, event, stored);
    case "longhaul.compaction":
      return onCompaction(timeline, event, stored);
    case "longhaul.continuation":
      return onContinuation(timeline, event, stored);
    case "longhaul.sandbox_provisioning":
      return onProvisioning(timeline, event, stored);
    case "longhaul.sandbox_step":
      return onSandboxStep(timeline, event, stored);
    case "longhaul.sandbox_ready":
      return onSandboxReady(timeline, event, stored);
    case "longhaul.sandbox_lost":
      return onSandboxLost(timeline, event, stored);
    case "longhaul.sandbox_checkpoint":
      return onCheckpoint(timeline, event, stored);
    case "longhaul.egress":
      return onEgress(timeline, event, stored);
    case "longhaul.mcp_tools":
      return onMcpTools(timeline, event, stored);
    case "longhaul.mcp_connected":
      return onMcpConnected(timeline, event, stored);
    case "longhaul.credential_used":
      return onCredentialUsed(timeline, event, stored);
    case "longhaul.changes_brought_back":
      return onBroughtBack(timeline, event, stored);
    case "longhaul.push_requested":
    case "longhaul.push_decided":
    case "longhaul.pushed":
      return onPush(timeline, event, stored);
    case "longhaul.outputs_stored":
      return onOutputsStored(timeline, event, stored);
    case "longhaul.resource_added":
      return onResourceAdded(timeline, event, stored);
    case "longhaul.resource_removed":
      return onResourceRemoved(timeline, event, stored);
    case "longhaul.memory_synced":
      return onMemorySynced(timeline, event, stored);
    default:
      return applyChange(timeline, event, stored);
  }
}

function onThreadMessage(timeline: Timeline, event: EventOf<"agent.thread_message_sent">, stored: StoredEvent): void {
  const text = plainText(event.content);
  const first = firstPlainLine(text);
  const what = `To ${event.to_agent_name ?? "the primary agent"}: ${first}`;
  const about = requestOf(timeline, stored);
  // The line says it all, unless there is more than the line.
  const detail = text.trim() === first ? "" : text;
  addNotice(timeline, stored, { code: "thread_message", tone: "note", what, detail, about });
}

function updatedText({ budget, title }: EventOf<"session.updated">): string {
  if (budget === null) return "The budget was removed";
  if (budget !== undefined) return `The budget is now ${cents(budget.max_list_cost.amount)}`;
  return typeof title === "string" ? `Renamed to “${title}”` : "Session settings changed";
}

function applyChange(timeline: Timeline, event: LedgerEvent, stored: StoredEvent): void {
  switch (event.type) {
    case "longhaul.session_created": {
      const { agent, environment } = event.session;
      const what = `Session created for ${agent.name}`;
      addNotice(timeline, stored, { code: "created", tone: "quiet", what, detail: environment.name });
      const first = openTurn(timeline);
      if (first !== null) replaceTurn(timeline, { ...first, state: "done", end: first.at, runningSince: null });
      return;
    }
    case "longhaul.session_archived":
      return addNotice(timeline, stored, { code: "archived", tone: "note", what: "Archived: read-only from here on" });
    case "longhaul.resume_requested": {
      const what = event.by === "user" ? "You asked it to go on" : "A program asked it to go on";
      return addNotice(timeline, stored, { code: "resume", tone: "note", what });
    }
    case "longhaul.thread_created": {
      const what = `${threadName(event.agent)} was given a thread of its own`;
      return addNotice(timeline, stored, { code: "thread", tone: "note", what, detail: "" });
    }
    case "agent.thread_message_sent":
      return onThreadMessage(timeline, event, stored);
    case "session.updated": {
      const tone = event.budget === undefined ? "quiet" : "note";
      return addNotice(timeline, stored, { code: "updated", tone, what: updatedText(event) });
    }
    // Facts that other rows already tell, and types of later versions: kept as events, shown in raw form only.
    default:
      timeline.skipped += 1;
  }
}
