/** What the demo can know of the files and of the test, from the results it was handed. */
import type { Conversation, DemoCall } from "./conversation.ts";
import { PROGRAM, RUN, TEST } from "./tasks.ts";

/** Content of a file as far as it is known. */
export type Believed = { known: true; content: string | null } | { known: false };

export interface Knowledge {
  program: Believed;
  test: Believed;
  /** The last run of the test, null when the files changed since or its outcome is not known. */
  run: { passed: boolean; output: string } | null;
}

const ABSENT: Believed = { known: true, content: null };
const UNKNOWN: Believed = { known: false };

/** True when a file is known to hold this text. White space at the end may be lost on the way through a tool. */
export const holds = (file: Believed, content: string): boolean =>
  file.known && file.content !== null && file.content.trimEnd() === content.trimEnd();

/** The call was refused before it began: nothing changed. */
export const wasRefused = (call: DemoCall): boolean =>
  call.result?.is_error === true &&
  /^The user (rejected|denied|declined)|^The permission policy of this session|^There is no tool named/i.test(
    call.result.text,
  );

/** The outcome of the call is open: it may or may not have happened. */
export const wasCutOff = (call: DemoCall): boolean =>
  call.result?.is_error === true && /cut off/i.test(call.result.text);

/** A run of the test that came to an end, whatever it found. */
const finishedRun = (call: DemoCall): { passed: boolean; output: string } | null => {
  const text = call.result?.text ?? "";
  if (call.result?.is_error !== true && /^\d+ checks passed$/m.test(text)) return { passed: true, output: text };
  if (/^\d+ of \d+ checks failed$/m.test(text) || /^ImportError: /m.test(text)) return { passed: false, output: text };
  return null;
};

/** A failure that is not the test doing its work: the sandbox, a tool, or a cut-off run. */
export const wasTrouble = (call: DemoCall): boolean =>
  call.result?.is_error === true && !isMissingFile(call) && (call.input.command !== RUN || finishedRun(call) === null);

const isMissingFile = (call: DemoCall): boolean =>
  (call.name === "read" || call.name === "bash") &&
  call.input.command !== RUN &&
  /not found|no such file|does not exist|ENOENT/i.test(call.result?.text ?? "");

/** Folds the results of all calls, in the order in which they were made. */
export function learn(conversation: Conversation): Knowledge {
  const start = conversation.summarised ? UNKNOWN : ABSENT;
  const knowledge: Knowledge = { program: start, test: start, run: null };
  for (const call of conversation.calls) {
    if (call.result === null || wasRefused(call)) continue;
    if (call.input.command === RUN) learnRun(knowledge, call);
    else if (wasTrouble(call)) doubt(knowledge, call);
    else learnFile(knowledge, call);
  }
  return knowledge;
}

function learnRun(knowledge: Knowledge, call: DemoCall): void {
  knowledge.run = finishedRun(call);
  // A cut-off run changes no file. Any other trouble may be a lost sandbox, and with it the files.
  if (knowledge.run === null && !wasCutOff(call)) {
    knowledge.program = UNKNOWN;
    knowledge.test = UNKNOWN;
  }
}

function doubt(knowledge: Knowledge, call: DemoCall): void {
  const slot = slotOf(call);
  knowledge.run = null;
  if (wasCutOff(call) && slot !== null) knowledge[slot] = UNKNOWN;
  else {
    knowledge.program = UNKNOWN;
    knowledge.test = UNKNOWN;
  }
}

function learnFile(knowledge: Knowledge, call: DemoCall): void {
  const slot = slotOf(call);
  if (slot === null || call.result === null) return;
  const file = knowledge[slot];
  if (call.name === "write") {
    knowledge[slot] = { known: true, content: String(call.input.content) };
    knowledge.run = null;
  } else if (call.name === "edit") {
    const { old_string, new_string } = call.input;
    const content =
      file.known && file.content !== null ? file.content.replace(String(old_string), () => String(new_string)) : null;
    knowledge[slot] = content === null ? UNKNOWN : { known: true, content };
    knowledge.run = null;
  } else knowledge[slot] = isMissingFile(call) ? ABSENT : { known: true, content: call.result.text };
}

function slotOf(call: DemoCall): "program" | "test" | null {
  const path = call.name === "bash" ? String(call.input.command).replace(/^cat /, "") : call.input.file_path;
  if (path === PROGRAM) return "program";
  return path === TEST ? "test" : null;
}
