import { expect, test } from "vitest";
import type { EventDraft } from "../../../main/contract/events.ts";
import { buildTimeline } from "../append.ts";
import { LogBuilder } from "../testing/log_builder.ts";

test("an outcome waits until the agent is told of it, and each verdict is a line of its own", () => {
  const log = new LogBuilder("sesn_01OUTCOME", 1_700_000_000_000).create();
  const outcome_id = "outc_1";
  const defined = log.add({
    type: "user.define_outcome",
    outcome_id,
    description: "A report\nwith numbers",
    rubric: { type: "text", content: "Numbers." },
    max_iterations: 3,
  });
  expect(buildTimeline(log.events).rows.get(defined)).toMatchObject({
    kind: "message",
    what: "Outcome: A report",
    state: "queued",
  });
  log.add({ type: "longhaul.inputs_consumed", event_ids: [defined] });
  const end = (result: string, explanation: string): EventDraft => ({
    type: "span.outcome_evaluation_end",
    outcome_evaluation_start_id: "",
    outcome_id,
    iteration: 0,
    result,
    explanation,
    usage: {
      input_tokens: 0,
      output_tokens: 0,
      cache_read_input_tokens: 0,
      cache_creation_input_tokens: 0,
      speed: null,
    },
  });
  const revision = log.add(end("needs_revision", "No numbers."));
  const told = log.add({ type: "longhaul.continuation", text: "Revise.", cause: "outcome_revision" });
  const failed = log.add(end("failed", "It cannot be graded."));
  const { rows } = buildTimeline(log.events);
  expect(rows.get(defined)).toMatchObject({ state: "taken" });
  expect(rows.get(revision)).toMatchObject({
    code: "outcome",
    tone: "note",
    what: "The outcome is not reached yet",
    detail: "No numbers.",
  });
  expect(rows.get(told)).toMatchObject({ what: "The outcome needs a revision; Longhaul asked it to go on" });
  expect(rows.get(failed)).toMatchObject({ tone: "bad", what: "The outcome could not be graded" });
});
