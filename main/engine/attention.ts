/** What sessions need or do, for badges and for the janitor. */
import { asksPerson } from "../contract/fold_calls.ts";
import { openCalls } from "../contract/threads/view.ts";
import { waitingPushes } from "../contract/vaults/fold_pushes.ts";
import { unfinishedWork } from "../contract/work.ts";
import type { LeaseOrchestrator } from "../orchestration/orchestrator.ts";
import type { Ledger } from "../session/ledger.ts";

/** Rows of the session list that need the person, and those that run. */
export async function countAttention(
  ledger: Ledger,
  orchestrator: Pick<LeaseOrchestrator, "activity">,
): Promise<{ needs_you: number; running: number }> {
  let needs_you = 0;
  let running = 0;
  for (const { id, fold } of await ledger.listSessions({ limit: 500 })) {
    if (orchestrator.activity(id) !== null) running += 1;
    else if (openCalls(fold).some(asksPerson) || waitingPushes(fold).length > 0) needs_you += 1;
  }
  return { needs_you, running };
}

/** When a session came to rest, in ms since the epoch; null while it works or has work left. */
export async function restingSince(
  ledger: Ledger,
  orchestrator: Pick<LeaseOrchestrator, "activity">,
  sessionId: string,
): Promise<number | null> {
  const record = await ledger.getSession(sessionId);
  if (record === null || orchestrator.activity(sessionId) !== null) return null;
  const work = unfinishedWork(record.fold, Date.now());
  return work === "now" || work === "later" ? null : Date.parse(record.fold.updated_at);
}
