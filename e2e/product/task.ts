/** The scripted task of the crash tests: appends that would show if anything ran twice, parallel calls, a summary. */
import type { Reply, RequestBody, ScriptRequest } from "../model_server/script.ts";

const say = (text: string): Reply => ({ content: [{ type: "text", text }] });

/** Answers by the number of assistant turns in the conversation: a repeated request gets the same answer. */
export function taskScript(request: ScriptRequest): Reply {
  if (isGrading(request.body)) return grade(request.lastText);
  if (request.lastText.includes("<evaluation>")) return say("REVISED: the log was written.");
  if (request.lastText.includes("Write a summary")) return say("SUMMARY: one and two are appended, report next.");
  if (request.lastText.includes("SUMMARY:")) return say("Report: the log was written before the summary.");
  switch (request.turn) {
    case 0:
      return {
        content: [
          { type: "text", text: "Appending the first line." },
          { type: "tool_use", name: "bash", input: { command: "echo one >> log.txt; wc -l < log.txt" } },
          { type: "tool_use", name: "write", input: { file_path: "a.txt", content: "written once\n" } },
        ],
      };
    case 1:
      return {
        content: [
          {
            type: "tool_use",
            name: "bash",
            input: { command: "echo two >> log.txt; sleep 0.2; echo three >> log.txt" },
          },
        ],
      };
    case 2:
      return {
        content: [
          {
            type: "tool_use",
            name: "edit",
            input: { file_path: "a.txt", old_string: "once", new_string: "and edited" },
          },
          { type: "tool_use", name: "read", input: { file_path: "log.txt" } },
        ],
      };
    default:
      return say(`Report: ${[...request.results.values()].map((result) => result.text.trim()).join(" | ")}`);
  }
}

/** The rubric for sessions that are to have the task as an outcome: the first evaluation finds a gap. */
export const TASK_RUBRIC = "The report is revised.";

function isGrading({ tools }: RequestBody): boolean {
  return tools?.some(({ name }) => name === "report_verdict") === true;
}

function grade(record: string): Reply {
  const result = record.includes("REVISED") ? "satisfied" : "needs_revision";
  const input = { result, explanation: "It must be revised." };
  return { content: [{ type: "tool_use", name: "report_verdict", input }] };
}

export const TASK_FILES = { "a.txt": "written and edited\n", "log.txt": "one\ntwo\nthree\n" };
