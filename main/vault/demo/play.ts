/** The demo's next move: a pure function of the conversation. */
import type { Conversation, DemoCall } from "./conversation.ts";
import { HOW_TO_CONNECT, INTRODUCTION, SUMMARY_TITLE } from "./identity.ts";
import { type Believed, holds, type Knowledge, learn, wasCutOff, wasRefused, wasTrouble } from "./knowledge.ts";
import { type DemoTask, FOLDER, PROGRAM, RUN, TASKS, TEST } from "./tasks.ts";

export interface Move {
  text: string;
  /** Run in parallel; none ends the turn. */
  calls: { name: string; input: Record<string, unknown> }[];
}

const say = (text: string): Move => ({ text, calls: [] });

/** The tool by which a request to grade is known. */
const VERDICT_TOOL = "report_verdict";

const MAX_TROUBLES = 6;
const MAX_CALLS = 40;
const QUOTED_CHARS = 400;

export function nextMove(conversation: Conversation): Move {
  if (conversation.tools.has(VERDICT_TOOL)) return noVerdict();
  if (isSummaryRequest(conversation)) return say(summary(conversation));
  if (conversation.foreign) {
    return say(
      `This session was led by another model, and I am only Longhaul's offline demo: I cannot go on with its work. Nothing was changed. ${HOW_TO_CONNECT} Then send a message here, and the session goes on.`,
    );
  }
  const introduced = conversation.said.includes(INTRODUCTION) || conversation.summarised;
  return introduced ? play(conversation) : withIntroduction(play(conversation));
}

/** Longhaul asks whether work meets a rubric: the demo is no model and must not say that it does. */
function noVerdict(): Move {
  const explanation = `The work was not judged: I am Longhaul's offline demo, not an AI model. ${HOW_TO_CONNECT}`;
  return { text: explanation, calls: [{ name: VERDICT_TOOL, input: { result: "failed", explanation } }] };
}

function withIntroduction(move: Move): Move {
  return { ...move, text: `${INTRODUCTION}\n\n${move.text}` };
}

function play(conversation: Conversation): Move {
  const missing = ["bash", "write", "edit"].filter((name) => !conversation.tools.has(name));
  if (missing.length > 0 || conversation.toolsForbidden) {
    const tools = missing.length > 0 ? missing : ["bash", "write", "edit"];
    return say(
      `The demo needs the tools bash, write and edit, and I was not given: ${tools.join(", ")}. Create an agent with the standard toolset and start a session with it.`,
    );
  }
  const task = TASKS.find((item) => !conversation.said.includes(item.done));
  if (task === undefined) {
    return say(
      `I am the offline demo and have played both of my parts; the files are in \`${FOLDER}/\`. ${HOW_TO_CONNECT}`,
    );
  }
  return stopBecauseOf(conversation) ?? workOn(task, learn(conversation), conversation);
}

/** Reasons to end the turn instead of trying again for ever. */
function stopBecauseOf(conversation: Conversation): Move | null {
  const { sincePrompt, prompted } = conversation;
  const last = sincePrompt.at(-1);
  if (last === undefined || prompted) return null;
  if (lastRound(sincePrompt).some(wasRefused)) {
    return say(
      "That call was not allowed, so nothing was run and I stop here. Send a message when I may try it again.",
    );
  }
  const troubles = sincePrompt.filter(wasTrouble);
  const noPython = troubles.find(
    (call) => call.input.command === RUN && /python3?: .*not found|not found: python/i.test(call.result?.text ?? ""),
  );
  if (noPython !== undefined) {
    return say(
      `There is no \`python3\` in this sandbox, so the test cannot be run. The files are in \`${FOLDER}/\`. Use the embedded sandbox or an image with Python, then send a message.`,
    );
  }
  if (troubles.length < MAX_TROUBLES && sincePrompt.length < MAX_CALLS) return null;
  const reason = (troubles.at(-1) ?? last).result?.text.slice(0, QUOTED_CHARS) ?? "";
  return say(
    `The sandbox failed ${troubles.length} times in this turn, so I stop instead of trying for ever. Its last words:\n\n${reason}\n\nSend a message when it works again; I look at the files first and go on from there.`,
  );
}

function workOn(task: DemoTask, knowledge: Knowledge, conversation: Conversation): Move {
  const { program, test, run } = knowledge;
  const unknown = [...(program.known ? [] : [PROGRAM]), ...(test.known ? [] : [TEST])];
  if (unknown.length > 0)
    return { text: whyLook(conversation), calls: unknown.map((path) => look(path, conversation)) };
  const writes = missingFiles(task, program, test);
  if (writes.length > 0) return { text: openingOf(task, conversation), calls: writes };
  if (run === null) return { text: whyRun(conversation), calls: [{ name: "bash", input: { command: RUN } }] };
  const done = holds(program, task.after);
  if (run.passed && done) return say(task.report);
  if (!run.passed && !done) {
    const text = task.diagnosis.replace("{failure}", () => failureIn(run.output));
    return { text, calls: [{ name: "edit", input: { file_path: PROGRAM, ...task.edit } }] };
  }
  return say(
    `This is not what I expected, and as a demo I can only play my part, so I stop here. The test says:\n\n${run.output.slice(-QUOTED_CHARS)}\n\nSend a message and I look at the files again.`,
  );
}

function missingFiles(task: DemoTask, program: Believed, test: Believed): Move["calls"] {
  const calls: Move["calls"] = [];
  if (!holds(program, task.before) && !holds(program, task.after)) {
    calls.push({ name: "write", input: { file_path: PROGRAM, content: task.before } });
  }
  if (!holds(test, task.test)) calls.push({ name: "write", input: { file_path: TEST, content: task.test } });
  return calls;
}

function look(path: string, conversation: Conversation): Move["calls"][number] {
  if (conversation.tools.has("read")) return { name: "read", input: { file_path: path } };
  return { name: "bash", input: { command: `cat ${path}` } };
}

function openingOf(task: DemoTask, conversation: Conversation): string {
  const begun = conversation.sincePrompt.length > 0;
  return begun ? "I write what is missing." : task.opening;
}

function whyLook(conversation: Conversation): string {
  const round = lastRound(conversation.sincePrompt);
  if (round.some(wasCutOff)) {
    return "The last step was cut off and may or may not have taken effect. I look at the files before I repeat anything.";
  }
  if (round.some(wasTrouble)) return "That step failed. I look at what is there before I go on.";
  return "I look at the files before I go on.";
}

function whyRun(conversation: Conversation): string {
  const last = conversation.sincePrompt.at(-1);
  if (last === undefined) return "I run the test.";
  if (last.input.command === RUN && wasCutOff(last)) {
    return "The test run was cut off. Running it changes nothing, so I can safely run it again.";
  }
  return last.name === "edit" ? "Now I run the test again." : "Both files are there. I run the test.";
}

/** The first thing the test complains about, in its own words. */
function failureIn(output: string): string {
  const line = output.split("\n").find((item) => item.startsWith("FAIL ") || item.startsWith("ImportError: "));
  return (line ?? "it failed")
    .replace(/^FAIL /, "")
    .replace(/ \(.*$/, "")
    .replaceAll("`", "'");
}

/** Calls of the last assistant message: the ones that were answered together. */
function lastRound(calls: readonly DemoCall[]): DemoCall[] {
  const last = calls.at(-1);
  return last === undefined ? [] : calls.filter((call) => call.round === last.round);
}

/** A harness that makes room in the context asks for a summary of a conversation that is already there. */
function isSummaryRequest(conversation: Conversation): boolean {
  const { lastText, said, prompted } = conversation;
  if (!prompted || said === "" || lastText.includes(SUMMARY_TITLE)) return false;
  return (
    /\bsummar(y|ise|ize)\b/i.test(lastText) && /\b(conversation|session|context|above|so far|task)\b/i.test(lastText)
  );
}

/** Says what a later request needs to go on: what is finished, what is not, and that the files are to be looked at. */
function summary(conversation: Conversation): string {
  const finished = TASKS.filter((task) => conversation.said.includes(task.done));
  const open = TASKS.find((task) => !finished.includes(task));
  const asked =
    /^The user asked: (.*)$/m.exec(conversation.firstText)?.[1] ??
    conversation.firstText.slice(0, 2000).replace(/\s+/g, " ");
  return [
    `${SUMMARY_TITLE}: this session is led by Longhaul's offline demo, which plays a small coding task.`,
    `The user asked: ${asked}`,
    ...finished.map((task) => `Finished: ${task.done}`),
    open === undefined
      ? "Nothing is left to do."
      : `Next: ${open.name}, in \`${PROGRAM}\` and \`${TEST}\`; run \`${RUN}\`.`,
    "The state of the files is not part of this summary: look at them before going on.",
  ].join("\n");
}
