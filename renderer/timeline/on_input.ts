/** Messages, interruptions and confirmations: what people and programs send in. */
import type { EventOf, LonghaulEventOf, StoredEvent } from "../../main/contract/events.ts";
import { firstLine, plainText } from "./content.ts";
import {
  addRow,
  beginTurn,
  openTurn,
  replaceTurn,
  rowBase,
  rowOfKind,
  type Timeline,
  timeOf,
  updateRow,
} from "./timeline.ts";

export function onMessage(
  timeline: Timeline,
  event: EventOf<"user.message"> | EventOf<"system.message">,
  stored: StoredEvent,
): void {
  addRow(
    timeline,
    {
      ...rowBase(timeline, stored, "you", firstLine(plainText(event.content))),
      kind: "message",
      by: event.type === "user.message" ? "user" : "system",
      state: "queued",
    },
    "queued",
  );
}

/** Consumed messages open a turn, in the order in which the model gets them (L6), not in that of their arrival. */
export function onConsumed(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.inputs_consumed">,
  stored: StoredEvent,
): void {
  const taken = event.event_ids.filter((id) => timeline.queued.includes(id));
  for (const id of event.event_ids) {
    const row = timeline.rows.get(id);
    if (row?.kind === "message") updateRow(timeline, id, { state: "taken" }, stored);
    else if (row?.kind === "notice" && row.code === "interrupt") {
      updateRow(timeline, id, { end: timeOf(timeline, stored) }, stored);
    }
  }
  if (taken.length === 0) return;
  timeline.queued = timeline.queued.filter((id) => !taken.includes(id));
  beginTurn(timeline, timeOf(timeline, stored), stored.seq, taken);
}

export function onInterrupt(timeline: Timeline, stored: StoredEvent): void {
  const turn = openTurn(timeline);
  if (turn !== null) replaceTurn(timeline, { ...turn, interrupted: true });
  addRow(timeline, {
    ...rowBase(timeline, stored, "you", "You asked it to stop"),
    end: null,
    kind: "notice",
    code: "interrupt",
    tone: "note",
    detail: "",
    about: null,
  });
}

export function onConfirmation(
  timeline: Timeline,
  event: EventOf<"user.tool_confirmation">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, event.tool_use_id, "tool");
  if (row === undefined) return;
  // Only the first answer counts; a second one is kept as an event and changes nothing.
  const answered = row.confirmation !== null;
  const confirmation = {
    result: event.result,
    at: timeOf(timeline, stored),
    message: event.deny_message ?? null,
  };
  const state = event.result === "deny" ? "denied" : "requested";
  updateRow(timeline, row.id, answered || row.state !== "waiting" ? {} : { confirmation, state }, stored);
}
