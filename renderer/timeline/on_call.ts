/** Tool calls: from the model's wish to the result, and what became of those that a crash cut off. */
import type { EventOf, LonghaulEventOf, Settlement, StoredEvent } from "../../main/contract/events.ts";
import { answeredCall, shownToolName } from "../../main/contract/fold_calls.ts";
import { measure, plainText } from "./content.ts";
import { describeCall, exitCode, lineDelta } from "./describe.ts";
import type { ToolRow, ToolState } from "./row.ts";
import { addRow, addUsage, requestOf, rowBase, rowOfKind, type Timeline, timeOf, updateRow } from "./timeline.ts";

type UseEvent = EventOf<"agent.tool_use"> | EventOf<"agent.custom_tool_use"> | EventOf<"agent.mcp_tool_use">;

type ResultEvent =
  | EventOf<"agent.tool_result">
  | EventOf<"agent.mcp_tool_result">
  | EventOf<"user.custom_tool_result">
  | EventOf<"user.tool_result">;

const KINDS = { "agent.tool_use": "builtin", "agent.custom_tool_use": "custom", "agent.mcp_tool_use": "mcp" } as const;

export function onToolUse(timeline: Timeline, event: UseEvent, stored: StoredEvent): void {
  const callKind = KINDS[event.type];
  const name = shownToolName(event);
  const asked = event.type !== "agent.custom_tool_use" && event.evaluated_permission === "ask";
  const input: Record<string, unknown> = typeof event.input === "object" && event.input !== null ? event.input : {};
  const request = rowOfKind(timeline, requestOf(timeline, stored), "request");
  addRow(timeline, {
    ...rowBase(timeline, stored, "tools", describeCall(name, input)),
    end: null,
    parent: request?.id ?? null,
    kind: "tool",
    callKind,
    name,
    state: asked || callKind === "custom" ? "waiting" : "requested",
    startedAt: null,
    attempts: 0,
    asked,
    confirmation: null,
    settled: null,
    exit: null,
    output: null,
    delta: lineDelta(name, input),
    web: null,
  });
  if (request !== undefined) updateRow(timeline, request.id, { calls: [...request.calls, name] });
  const index = timeline.rows.get(event.id)?.turn ?? -1;
  const turn = timeline.turns[index];
  if (turn !== undefined) timeline.turns[index] = { ...turn, tools: turn.tools + 1 };
}

export function onToolStarted(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.tool_started">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.tool_use_id, "tool");
  if (row === undefined) return;
  const patch: Partial<ToolRow> = { state: "running", attempts: event.attempt };
  // A second dispatch attaches to the first execution: its length counts from the first.
  if (row.startedAt === null) patch.startedAt = timeOf(timeline, stored);
  updateRow(timeline, row.id, row.end === null ? patch : {}, stored);
}

/** The requests that a web tool made are no part of the conversation: what they used stands on the call's row. */
export function onWebRequest(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.web_request">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.tool_use_id, "tool");
  if (row === undefined) return;
  const { usage, web_search_requests: searches, web_fetch_requests: fetches } = event;
  updateRow(timeline, row.id, { web: { usage, searches, fetches } }, stored);
  addUsage(timeline, row.turn, usage);
}

const FINAL: ReadonlySet<ToolState> = new Set(["denied", "interrupted", "unknown"]);

export function onToolResult(timeline: Timeline, event: ResultEvent, stored: StoredEvent): void {
  const row = rowOfKind(timeline, answeredCall(event), "tool");
  if (row === undefined) return;
  if (row.end !== null) {
    updateRow(timeline, row.id, {}, stored);
    return;
  }
  const failed = event.is_error === true;
  const text = plainText(event.content);
  updateRow(
    timeline,
    row.id,
    {
      end: timeOf(timeline, stored),
      state: FINAL.has(row.state) ? row.state : failed ? "failed" : "ok",
      output: measure(event.content),
      exit: row.name === "bash" && failed ? exitCode(text) : null,
    },
    stored,
  );
  const turn = timeline.turns[row.turn];
  if (turn !== undefined && failed) timeline.turns[row.turn] = { ...turn, failures: turn.failures + 1 };
}

const SETTLED: Record<Settlement, { state?: ToolState; text: string }> = {
  collected: { text: "had finished in the sandbox meanwhile; its result was collected" },
  reattached: { text: "was still running in the sandbox; Longhaul is attached to it again" },
  run_again: { text: "was run again: repeating it is safe" },
  outcome_unknown: { state: "unknown", text: "may or may not have taken effect" },
  interrupted: { state: "interrupted", text: "was stopped" },
  denied: { state: "denied", text: "was not allowed to run" },
};

export function onSettled(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.call_settled">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.tool_use_id, "tool");
  const { state, text } = SETTLED[event.how] ?? { text: event.how };
  if (row !== undefined) updateRow(timeline, row.id, { settled: event.how, ...(state ? { state } : {}) });
  // Stops and denials are a person's own doing and already on the call's row; the rest is news.
  if (row !== undefined && (event.how === "interrupted" || event.how === "denied" || event.how === "outcome_unknown")) {
    updateRow(timeline, row.id, {}, stored);
    return;
  }
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", `${row?.name ?? "A call"} ${text}`),
    kind: "notice",
    code: "settled",
    tone: "note",
    detail: row?.what ?? "",
    about: event.tool_use_id,
  });
}

export function onOutcomeUnknown(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.outcome_unknown">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.tool_use_id, "tool");
  if (row !== undefined) updateRow(timeline, row.id, { state: "unknown" });
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", `Outcome unknown: ${event.tool_name} may or may not have taken effect`),
    kind: "notice",
    code: "unknown_outcome",
    tone: "unknown",
    detail: row?.what ?? event.message,
    about: event.tool_use_id,
  });
}
