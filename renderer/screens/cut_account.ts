/** What is known of a session that was cut off: told from its last events. */

import { asksPerson, type OpenCall, waitsForClient } from "../../main/contract/fold_calls.ts";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { openCalls } from "../../main/contract/threads/view.ts";
import { readEvents } from "../api/local.ts";
import { duration } from "../format/numbers.ts";
import { millis, shortTime } from "../format/times.ts";
import { buildTimeline } from "../timeline/append.ts";
import type { NoticeRow, ToolRow } from "../timeline/row.ts";
import type { Timeline } from "../timeline/timeline.ts";

export interface CutAccount {
  /** What cut it off, and when. */
  cause: string;
  /** The event that tells about it, for a link. */
  event: string | null;
  /** Calls that were in flight, and what is known of each. */
  known: { id: string; name: string; who: string | null; what: string; state: string; unknown: boolean }[];
  /** What Resume will do, as the end of a sentence that begins with "Resume". */
  plan: string;
}

/** Events read back from the end: enough to hold the last turn's calls of all but extreme sessions. */
const BACK = 600;

const WEB_TOOLS: ReadonlySet<string> = new Set(["web_search", "web_fetch"]);

/** Reads the last events of a session and tells what they say. */
export async function readAccount(summary: SessionSummary, signal: AbortSignal): Promise<CutAccount> {
  const after = Math.max(0, summary.fold.last_seq - BACK);
  return accountOf(summary, buildTimeline(await readEvents(summary.id, after, BACK, signal)));
}

/** The account, from a timeline of the session's last events. */
export function accountOf(summary: SessionSummary, timeline: Timeline): CutAccount {
  const rows = [...timeline.rows.values()];
  const cut = rows.findLast(
    (row): row is NoticeRow => row.kind === "notice" && (row.code === "cut_off" || row.code === "stopped"),
  );
  const error = rows.findLast((row): row is NoticeRow => row.kind === "notice" && row.code === "error");
  const open = new Map(openCalls(summary.fold).map((call) => [call.id, call]));
  const settledSince = cut?.code === "cut_off" ? cut.seq : Number.POSITIVE_INFINITY;
  const tools = rows.filter(
    (row): row is ToolRow => row.kind === "tool" && (open.has(row.id) || wasSettledAfter(row, settledSince)),
  );
  return {
    cause: causeOf(summary, cut, error),
    event: cut?.id ?? null,
    known: tools.map((row) => ({
      id: row.id,
      name: row.name,
      who: row.who,
      what: row.what,
      state: knownOf(row, open.get(row.id)),
      unknown: row.state === "unknown",
    })),
    plan: planOf(
      summary,
      tools.filter((row) => !waitsElsewhere(open.get(row.id))),
    ),
  };
}

function wasSettledAfter(row: ToolRow, seq: number): boolean {
  return row.settled !== null && (row.seqs.at(-1) ?? 0) > seq;
}

function causeOf(summary: SessionSummary, cut: NoticeRow | undefined, error: NoticeRow | undefined): string {
  const last = millis(summary.fold.updated_at);
  if (summary.work === "stopped") {
    const why = error === undefined ? "" : ` ${error.what}`;
    return `Stopped at ${shortTime(cut?.at ?? last)}: the retries were used up.${why}`;
  }
  if (cut?.code === "cut_off") return `${cut.what} at ${shortTime(cut.at)}.`;
  return `Nothing has run it since ${shortTime(last)}: the engine ended while it was under way.`;
}

/** True for a call that Resume does not move on: somebody else has the answer. */
function waitsElsewhere(call: OpenCall | undefined): boolean {
  return call !== undefined && (call.by_thread || waitsForClient(call));
}

function knownOf(row: ToolRow, call: OpenCall | undefined): string {
  if (call?.by_thread === true) return "It waits for the answer of an agent, whose work goes on with Resume.";
  if (call !== undefined && asksPerson(call)) return "It waits for your yes or no.";
  if (call !== undefined && waitsForClient(call))
    return call.kind === "custom" ? "It waits for a program's result." : "It waits for a worker's result.";

  const took = row.startedAt !== null && row.end !== null ? ` after ${duration(row.end - row.startedAt)}` : "";
  if (row.settled === "collected") return `It finished in the sandbox meanwhile${took}; its result was collected.`;
  if (row.settled === "reattached") return "It was still running in the sandbox; Longhaul attached to it again.";
  if (row.settled === "run_again") return "It was run again: repeating it is safe.";
  if (row.state === "unknown")
    return "Outcome unknown: it was started, and no answer was seen. The agent is told to look before repeating it.";
  if (row.startedAt === null) return "It had not started.";
  if (WEB_TOOLS.has(row.name)) return "It was in flight. It changes nothing, so it is made again.";
  return "It was in flight. The sandbox is asked what became of it.";
}

function planOf(summary: SessionSummary, tools: readonly ToolRow[]): string {
  const { fold } = summary;
  const steps: string[] = [];
  const inFlight = tools.filter((row) => row.end === null && row.startedAt !== null).length;
  const unstarted = tools.filter((row) => row.end === null && row.startedAt === null).length;
  if (inFlight > 0) {
    steps.push("collects what finished, re-attaches to what still runs, and says plainly where nobody can know");
  }
  if (unstarted > 0)
    steps.push(
      unstarted === 1 ? "runs the call that had not started" : `runs the ${unstarted} calls that had not started`,
    );
  const asked = [fold, ...fold.threads].filter(({ model_request }) => model_request !== null).length;
  if (asked === 1) steps.push("asks the model again (its unfinished answer was never stored)");
  else if (asked > 1)
    steps.push(`asks the model again for ${asked} agents (their unfinished answers were never stored)`);
  else if (steps.length === 0 || fold.awaiting_model) steps.push("asks the model to go on");
  return `${steps.join(", then ")}.`;
}
