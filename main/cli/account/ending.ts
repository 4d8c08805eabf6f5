/** The end of the account: the final message, what it took, and where the files are. */
import type { SessionFold } from "../../contract/fold.ts";
import type { RepositoryChanges } from "../../contract/local_api.ts";
import type { Ending } from "../follow/follow.ts";
import { count, duration, harmless, plural, type Style } from "./words.ts";

export interface EndingFacts {
  ending: Ending;
  session_id: string;
  fold: SessionFold;
  /** Null when the agent has said nothing. */
  final_message: string | null;
  /** Folder of the sandbox's files on this machine; null when there is none to show. */
  files: string | null;
  /** Attached repositories with the path of the patch file that was written for each that changed. */
  repositories: readonly (RepositoryChanges & { patch_file: string | null })[];
  /** What to do next, when something is left to do. */
  advice: string | null;
}

const TITLES: Record<Ending, string> = {
  done: "Done",
  failed: "Failed",
  needs_you: "Waits for you",
  interrupted: "Interrupted",
  left: "Left",
  deleted: "Deleted",
};

/** The closing block, each line with its newline. */
export function endingText(facts: EndingFacts, style: Style): string {
  const { fold, ending } = facts;
  const good = ending === "done";
  const lines: string[] = [""];
  if (facts.final_message !== null)
    lines.push(
      style.paint("bold", good ? "Final message" : "Last message"),
      harmless(facts.final_message).trimEnd(),
      "",
    );
  lines.push(
    `${style.paint(good ? "green" : "yellow", TITLES[ending])} in ${duration(activeMs(fold))} · ${totals(fold)}`,
  );
  lines.push(pair("tokens", tokens(fold)));
  lines.push(pair("model", `${fold.agent.model.id}${fold.demo ? " (answered by the offline demo model)" : ""}`));
  lines.push(pair("session", facts.session_id));
  if (facts.files !== null) lines.push(pair("files", facts.files));
  for (const repository of facts.repositories) lines.push(...repositoryLines(repository));
  if (facts.advice !== null) lines.push("", facts.advice);
  return `${lines.join("\n")}\n`;
}

/** Time in status running, up to the last event of a turn that still runs. */
function activeMs({ active_ms, running_since, updated_at }: SessionFold): number {
  return active_ms + (running_since === null ? 0 : Math.max(0, Date.parse(updated_at) - Date.parse(running_since)));
}

function pair(name: string, value: string): string {
  return `  ${name.padEnd(9)}${value}`;
}

function totals(fold: SessionFold): string {
  const errors = fold.tool_errors === 0 ? "" : ` (${fold.tool_errors} failed)`;
  return [
    plural(fold.turns, "turn"),
    plural(fold.model_requests, "model request"),
    `${plural(fold.tool_calls, "tool call")}${errors}`,
  ].join(" · ");
}

function tokens({ usage }: SessionFold): string {
  const input = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens;
  const cached = input === 0 ? 0 : Math.round((usage.cache_read_input_tokens / input) * 100);
  return `${count(input)} in (${cached} % cached) · ${count(usage.output_tokens)} out`;
}

function repositoryLines({ path, files, patch_file }: EndingFacts["repositories"][number]): string[] {
  if (patch_file === null) return [pair("changes", `none in ${path}`)];
  const added = files.reduce((sum, file) => sum + file.additions, 0);
  const removed = files.reduce((sum, file) => sum + file.deletions, 0);
  return [
    pair("changes", `${plural(files.length, "file")}, +${added} −${removed}, in the sandbox's copy of ${path}`),
    pair("patch", patch_file),
    pair("apply", `git -C ${quoted(path)} apply ${quoted(patch_file)}`),
  ];
}

/** A path as a POSIX shell takes it. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}

/** The same as one JSON line. */
export function endingJson(facts: EndingFacts, exitCode: number): string {
  const { fold, ending, session_id, final_message, files, repositories, advice } = facts;
  return `${JSON.stringify({
    type: "result",
    session_id,
    ending,
    exit_code: exitCode,
    final_message,
    stop_reason: fold.stop_reason,
    error: fold.error,
    usage: fold.usage,
    active_ms: activeMs(fold),
    turns: fold.turns,
    model_requests: fold.model_requests,
    tool_calls: fold.tool_calls,
    tool_errors: fold.tool_errors,
    model: fold.agent.model.id,
    demo: fold.demo,
    files,
    patches: repositories.map(({ path, patch_file }) => ({ path, patch_file })),
    advice,
  })}\n`;
}
