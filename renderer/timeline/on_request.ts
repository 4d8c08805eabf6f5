/** Model requests: their spans, answers, and compaction. */
import type { ContinuationCause, EventOf, LonghaulEventOf, StoredEvent } from "../../main/contract/events.ts";
import { tokens } from "../format/numbers.ts";
import { firstPlainLine, plainText } from "./content.ts";
import type { RequestRow } from "./row.ts";
import {
  addRow,
  addUsage,
  replaceTurn,
  requestOf,
  resumeTurn,
  rowBase,
  rowOfKind,
  type Timeline,
  timeOf,
  updateRow,
} from "./timeline.ts";

export function onRequestStart(timeline: Timeline, stored: StoredEvent): void {
  const base = rowBase(timeline, stored, "model", "");
  const turn = resumeTurn(timeline, base.at, stored.seq);
  replaceTurn(timeline, { ...turn, requests: turn.requests + 1 });
  addRow(timeline, {
    ...base,
    end: null,
    kind: "request",
    purpose: "turn",
    state: "open",
    model: null,
    firstTokenMs: null,
    durationMs: null,
    usage: null,
    stopReason: null,
    calls: [],
    messageCount: null,
    bytes: null,
    demo: false,
  });
  timeline.latest.request = base.id;
  timeline.latest.requests.set(stored.thread_id, base.id);
}

const PURPOSES = { compaction: "Summarising the earlier part", grading: "Grading the outcome" };

export function onRequestFacts(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.model_request">,
  stored: StoredEvent,
): void {
  updateRow(
    timeline,
    event.model_request_start_id,
    {
      purpose: event.kind,
      model: event.model,
      messageCount: event.message_count,
      bytes: event.request_bytes,
      ...(event.kind === "turn" ? {} : { what: PURPOSES[event.kind] }),
    },
    stored,
  );
}

/** Text and thinking of the answer: they belong to the request that is open. */
export function onAnswer(
  timeline: Timeline,
  event: EventOf<"agent.message"> | EventOf<"agent.thinking">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, requestOf(timeline, stored), "request");
  if (row === undefined) return;
  const said = event.type === "agent.message" ? firstPlainLine(plainText(event.content)) : "";
  updateRow(timeline, row.id, row.what === "" && said !== "" ? { what: said } : {}, stored);
}

export function onResponse(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.model_response">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.model_request_start_id, "request");
  if (row === undefined) return;
  updateRow(
    timeline,
    row.id,
    {
      state: "done",
      end: row.end ?? timeOf(timeline, stored),
      model: event.model,
      firstTokenMs: event.first_token_ms,
      durationMs: event.duration_ms,
      stopReason: event.stop_reason,
      usage: event.usage,
      demo: event.demo,
    },
    stored,
  );
}

export function onRequestEnd(timeline: Timeline, event: EventOf<"span.model_request_end">, stored: StoredEvent): void {
  const row = rowOfKind(timeline, event.model_request_start_id, "request");
  if (row === undefined) return;
  const at = timeOf(timeline, stored);
  const failed = event.is_error === true && row.state === "open";
  const patch: Partial<RequestRow> = {
    end: row.end ?? at,
    durationMs: row.durationMs ?? at - row.at,
    state: failed ? "failed" : row.state === "open" ? "done" : row.state,
    usage: event.is_error === true ? row.usage : event.model_usage,
  };
  updateRow(timeline, row.id, patch, stored);
  addUsage(timeline, row.turn, event.model_usage);
}

export function onAbandoned(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.model_request_abandoned">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.model_request_start_id, "request");
  if (row === undefined) return;
  const end = row.end ?? timeOf(timeline, stored);
  updateRow(timeline, row.id, { state: event.cause, end, durationMs: row.durationMs ?? end - row.at }, stored);
}

export function onCompaction(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.compaction">,
  stored: StoredEvent,
): void {
  addRow(timeline, {
    ...rowBase(timeline, stored, "model", `Compacted: ${tokens(event.tokens_before)} tokens are now a summary`),
    kind: "notice",
    code: "compacted",
    tone: "note",
    detail: "the log keeps everything",
    about: event.model_request_start_id,
  });
}

const CONTINUATIONS: Record<ContinuationCause, string> = {
  max_tokens: "The answer reached its length limit",
  pause_turn: "The model paused",
  outcome_revision: "The outcome needs a revision",
  outcome_limit: "No evaluation is left",
};

export function onContinuation(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.continuation">,
  stored: StoredEvent,
): void {
  addRow(timeline, {
    ...rowBase(timeline, stored, "model", `${CONTINUATIONS[event.cause]}; Longhaul asked it to go on`),
    kind: "notice",
    code: "continuation",
    tone: "quiet",
    detail: "",
    about: requestOf(timeline, stored),
  });
}
