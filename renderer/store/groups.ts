/** Sorts sessions by what they need. "Running" is what the engine says it does now, never what a log once said. */

import { budgetReached } from "../../main/contract/cost/cost.ts";
import type { SessionFold } from "../../main/contract/fold.ts";
import { asksPerson, type OpenCall } from "../../main/contract/fold_calls.ts";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { openCalls } from "../../main/contract/threads/view.ts";
import { waitingPushes } from "../../main/contract/vaults/fold_pushes.ts";
import { millis, shortTime } from "../format/times.ts";
import { firstLine, firstPlainLine } from "../timeline/content.ts";

export type Group = "needs_you" | "running" | "waiting" | "idle" | "archived";

export const GROUPS: readonly { id: Group; label: string }[] = [
  { id: "needs_you", label: "Needs you" },
  { id: "running", label: "Running" },
  { id: "waiting", label: "Waiting" },
  { id: "idle", label: "Idle" },
  { id: "archived", label: "Archived" },
];

/** Calls that wait for a person's yes or no. */
export function approvals(summary: SessionSummary): OpenCall[] {
  return openCalls(summary.fold).filter(asksPerson);
}

/** True when only a higher budget, or none, lets the agent go on. */
export function needsBudget({ fold, activity }: SessionSummary): boolean {
  const over = fold.archived_at !== null || fold.phase === "terminated";
  return !over && activity === null && budgetReached(fold, Date.now());
}

/** True when work is left that goes on only if a person says so (or sooner if a person says so). */
export function canResume(summary: SessionSummary): boolean {
  const { work, activity } = summary;
  if (work === "stopped" && needsBudget(summary)) return false;
  return work === "stopped" || work === "later" || (work === "now" && activity === null);
}

/** True when nothing but a person's Resume makes it go on. */
export function needsResume(summary: SessionSummary): boolean {
  return canResume(summary) && summary.work !== "later";
}

export function groupOf(summary: SessionSummary): Group {
  if (summary.fold.archived_at !== null) return "archived";
  const asks = approvals(summary).length > 0 || waitingPushes(summary.fold).length > 0;
  if (asks || needsResume(summary) || summary.work === "stopped") return "needs_you";
  if (summary.activity === "running") return "running";
  if (summary.activity === "queued" || summary.work === "later" || summary.work === "client") return "waiting";
  return "idle";
}

/** One short phrase: why it stands where it stands. */
export function reasonOf(summary: SessionSummary): string {
  const { fold, activity, work } = summary;
  if (fold.archived_at !== null) return "archived";
  const asked = approvals(summary);
  if (asked.length > 0)
    return asked.length === 1 ? `approve ${asked[0]?.name ?? "a call"}` : `approve ${asked.length} calls`;
  if (waitingPushes(fold).length > 0) return "approve a push";
  if (work === "stopped") return needsBudget(summary) ? "budget reached" : "stopped";
  if (needsResume(summary)) return fold.cut_offs > 0 || fold.running_since !== null ? "cut off" : "not running";
  if (activity === "running") return firstPlainLine(fold.last_act);
  if (activity === "queued") return "waits for a free slot";
  if (work === "later") return retryText(fold);
  if (work === "client") return openCalls(fold).some(isWorkers) ? "waits for a worker" : "waits for a program's result";
  if (fold.phase === "terminated") return "ended";
  return firstPlainLine(fold.last_act);
}

/** A call of the agent toolset that the worker of a self-hosted environment runs. */
function isWorkers(call: OpenCall): boolean {
  return call.kind === "builtin" && call.by_client;
}

function retryText(fold: SessionFold): string {
  if (fold.retry?.waits_for_keychain === true) return "waits for the keychain";
  if (fold.retry?.waits_for_network === true) return "waits for the network";
  return fold.retry === null ? "retry planned" : `retry at ${shortTime(millis(fold.retry.at))}`;
}

/** What a session is called: its title, or what it last did, or its id. */
export function titleOf(summary: SessionSummary): string {
  return firstLine(summary.fold.title ?? "") || summary.fold.task || summary.id;
}

function matches(summary: SessionSummary, words: readonly string[]): boolean {
  const { fold } = summary;
  const text = `${fold.title ?? ""} ${fold.last_act} ${fold.agent.name} ${summary.id}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Sessions of each group, newest change first; `filter` keeps those that contain all its words. */
export function groupSessions(
  summaries: Iterable<SessionSummary>,
  filter = "",
): { id: Group; label: string; sessions: SessionSummary[] }[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const groups = new Map<Group, SessionSummary[]>(GROUPS.map(({ id }) => [id, []]));
  for (const summary of summaries) if (matches(summary, words)) groups.get(groupOf(summary))?.push(summary);
  return GROUPS.map(({ id, label }) => ({
    id,
    label,
    sessions: (groups.get(id) ?? []).toSorted((a, b) => millis(b.fold.updated_at) - millis(a.fold.updated_at)),
  }));
}
