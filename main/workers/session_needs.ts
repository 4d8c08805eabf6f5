/** What a session asks of a worker, seen from its fold. */
import type { SessionFold } from "../contract/fold.ts";
import { waitsForClient } from "../contract/fold_calls.ts";
import { openCalls, type ThreadCall } from "../contract/threads/view.ts";
import { unfinishedWork } from "../contract/work.ts";

export function isOver(fold: SessionFold): boolean {
  return fold.archived_at !== null || fold.phase === "terminated";
}

export function isSelfHosted(fold: Pick<SessionFold, "environment">): boolean {
  return fold.environment.config.type === "self_hosted";
}

/** True while a worker has or may soon have something to do: calls wait, or the model is at work. */
export function needsWorker(fold: SessionFold, now: number): boolean {
  if (isOver(fold)) return false;
  if (openCalls(fold).some(waitsForClient)) return true;
  const work = unfinishedWork(fold, now);
  return work === "now" || work === "later";
}

/** Calls that a worker may have begun: allowed or confirmed, without a result. */
export function inFlightAtWorker(fold: SessionFold): ThreadCall[] {
  return openCalls(fold).filter(
    (call) =>
      call.kind === "builtin" &&
      call.by_client &&
      (call.permission === "allow" || call.confirmation?.result === "allow"),
  );
}
