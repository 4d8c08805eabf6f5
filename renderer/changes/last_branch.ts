/** What the events say about changes that were brought back. */
import { eventAt, type Timeline } from "../timeline/timeline.ts";

export interface Branch {
  name: string;
  commit: string;
  /** Milliseconds since the epoch. */
  at: number;
  /** Calls since then that may have changed files: commands, edits and writes that were started. */
  callsSince: number;
}

const CHANGING = new Set(["bash", "edit", "write"]);

/** The branch that a repository's changes were last brought back to; null when they never were. */
export function lastBranch(timeline: Timeline, mountPath: string): Branch | null {
  let found: Branch | null = null;
  let seq = 0;
  for (const row of timeline.rows.values()) {
    if (row.kind !== "notice" || row.code !== "brought_back") continue;
    const event = eventAt(timeline, row.seq)?.event;
    if (event?.type !== "longhaul.changes_brought_back" || event.mount_path !== mountPath) continue;
    found = { name: event.branch, commit: event.commit, at: row.at, callsSince: 0 };
    seq = row.seq;
  }
  if (found === null) return null;
  for (const row of timeline.rows.values()) {
    // A call that was started before and ended after it may have changed files on either side.
    if (row.kind === "tool" && CHANGING.has(row.name) && row.startedAt !== null && lastSeq(row.seqs) > seq) {
      found.callsSince += 1;
    }
  }
  return found;
}

function lastSeq(seqs: readonly number[]): number {
  return seqs.at(-1) ?? 0;
}
