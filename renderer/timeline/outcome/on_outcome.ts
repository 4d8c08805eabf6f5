/** Outcomes: what the agent is to bring about, and what its grader finds. */
import type { EventOf, StoredEvent } from "../../../main/contract/events.ts";
import { firstLine, plainText } from "../content.ts";
import { addRow, rowBase, type Timeline } from "../timeline.ts";

/** It waits like a message until the agent is told of it. */
export function onOutcome(timeline: Timeline, event: EventOf<"user.define_outcome">, stored: StoredEvent): void {
  const what = firstLine(plainText(event.description));
  addRow(
    timeline,
    { ...rowBase(timeline, stored, "you", `Outcome: ${what}`), kind: "message", by: "user", state: "queued" },
    "queued",
  );
}

const VERDICTS: Readonly<Record<string, string>> = {
  satisfied: "The outcome is reached",
  needs_revision: "The outcome is not reached yet",
  max_iterations_reached: "The outcome was not reached in the evaluations it had",
  failed: "The outcome could not be graded",
  interrupted: "Work on the outcome was interrupted",
};

export function onVerdict(
  timeline: Timeline,
  event: EventOf<"span.outcome_evaluation_end">,
  stored: StoredEvent,
): void {
  const good = event.result === "satisfied" || event.result === "needs_revision";
  addRow(timeline, {
    ...rowBase(timeline, stored, "model", VERDICTS[event.result] ?? event.result),
    kind: "notice",
    code: "outcome",
    tone: good ? "note" : "bad",
    detail: firstLine(plainText(event.explanation)),
    about: event.outcome_evaluation_start_id === "" ? null : timeline.latest.request,
  });
}
