/** What the agent is told about its outcome. These texts are part of transcripts: they depend on the events alone. */
import type { EventOf } from "../../contract/events.ts";

/** The user turn that an outcome begins: the task, how it is judged, and what follows from that. */
export function outcomeTask(outcome: EventOf<"user.define_outcome">): string[] {
  return [
    `Bring about this outcome:\n\n<outcome>\n${outcome.description}\n</outcome>`,
    `The result is judged by this rubric:\n\n<rubric>\n${rubricText(outcome)}\n</rubric>`,
    "Work until every criterion of the rubric is met, then end your turn with a message that says what was done, where " +
      "the results are, and how each criterion is met. An independent grader then judges from your messages and tool " +
      "calls: let the evidence be seen there, for example by reading files back and running checks. If something is " +
      "missing, you are told what, and go on.",
  ];
}

/** File rubrics are stored as their text; an event of another program may still name one. */
export function rubricText({ rubric }: Pick<EventOf<"user.define_outcome">, "rubric">): string {
  return rubric.type === "text" ? rubric.content : `(file ${rubric.file_id})`;
}

export function revisionText(explanation: string, iteration: number, max: number): string {
  const left = max - iteration - 1;
  const rounds = left === 1 ? "One more evaluation follows" : `Up to ${left} more evaluations follow`;
  return (
    `The grader finds that the outcome is not reached yet:\n\n<evaluation>\n${explanation}\n</evaluation>\n\n` +
    `Revise your work accordingly, then end your turn again. ${rounds}.`
  );
}

export function limitText(explanation: string): string {
  return (
    `The grader finds that the outcome is not reached:\n\n<evaluation>\n${explanation}\n</evaluation>\n\n` +
    "That was the last evaluation. Close with a short message that says what was reached and what is still open."
  );
}
