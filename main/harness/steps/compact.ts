/** Compaction: a summary takes the place of the history in the context; the ledger keeps everything. */
import type { EventDraft } from "../../contract/events.ts";
import { crashPoint } from "../../crash_points.ts";
import type { Emit, HarnessPorts, StepSignals } from "../ports.ts";
import { exhaustedEvents } from "../statuses.ts";
import type { ThreadView } from "../thread_view.ts";
import { ask, startRequest } from "./request.ts";

/** Asks for a summary and commits it. Failures become events like those of any request. */
export async function compactStep(
  view: ThreadView,
  ports: HarnessPorts,
  emit: Emit,
  signals: StepSignals,
): Promise<void> {
  const tokens_before = view.fold.context_tokens;
  const through_seq = view.fold.last_seq;
  const shortened = view.fold.context_full;
  const sent = await startRequest(view, ports, emit, { kind: "compaction", shortened });
  const answer = await ask(view, ports, emit, signals, sent);
  if (answer === null || !answer.complete || signals.shutdown.aborted) return;
  const summary = answer.content
    .flatMap((block) => (block.type === "text" ? [block.text] : []))
    .join("\n")
    .trim();
  const end: EventDraft = {
    type: "span.model_request_end",
    model_request_start_id: sent.id,
    is_error: summary === "",
    model_usage: { ...answer.usage, speed: answer.speed },
  };
  if (summary === "") return void (await emit([end, ...noSummary(view)]));
  crashPoint("compaction.before_commit");
  await emit([
    { type: "longhaul.compaction", model_request_start_id: sent.id, summary, through_seq, tokens_before },
    { type: "agent.thread_context_compacted" },
    end,
  ]);
}

function noSummary(view: ThreadView): EventDraft[] {
  const message =
    "The context is full and the model gave no summary of it. Everything is kept in the session. " +
    "Resume to try again, or continue in a new session.";
  return exhaustedEvents(view.fold, "compaction_limit_reached_error", message);
}
