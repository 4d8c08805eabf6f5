/** A row of the session list. */
import type { SessionSummary } from "../../contract/local_api.ts";
import { unfinishedWork } from "../../contract/work.ts";
import type { SessionRecord } from "../../session/ledger.ts";
import type { Deps } from "../http/context.ts";

export function summaryOf(deps: Pick<Deps, "orchestrator" | "now">, { id, fold }: SessionRecord): SessionSummary {
  return { id, fold, activity: deps.orchestrator.activity(id), work: unfinishedWork(fold, deps.now()) };
}
