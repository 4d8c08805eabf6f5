/** Runs the threads of one session side by side, each step by step, until none of them has anything to do now. */
import type { EventDraft } from "../../contract/events.ts";
import { liveThreads } from "../../contract/threads/view.ts";
import { nextRetry, threadWork } from "../../contract/work.ts";
import { withReport } from "../../harness/agents/report.ts";
import type { HarnessPorts } from "../../harness/ports.ts";
import type { SessionView } from "../../harness/session_view.ts";
import { step } from "../../harness/step.ts";
import type { Lease } from "../../session/ledger.ts";

interface Options {
  ports: HarnessPorts;
  shutdown: AbortSignal;
}

/** Longest delay that one timer takes; a later plan is looked at again then. */
const MAX_TIMER_MS = 3_600_000;

/** Resolves when every thread rests or the process is to end. Rejects when an append is refused; all have stopped then. */
export async function runThreads(view: SessionView, lease: Lease, options: Options): Promise<void> {
  const { ports, shutdown } = options;
  const running = new Map<string, Promise<void>>();
  const failures: unknown[] = [];
  // One thread's refused append is the end of the run: the others are let go like at a shutdown.
  const end = new AbortController();
  const stop = AbortSignal.any([shutdown, end.signal]);
  let look = (): void => undefined;
  const changed = (): void => look();
  const start = (threadId: string): void => {
    const run = runThread(view, threadId, lease, ports, stop)
      .catch((reason: unknown) => {
        failures.push(reason);
        end.abort();
      })
      .finally(() => {
        running.delete(threadId);
        changed();
      });
    running.set(threadId, run);
  };
  view.onChange(changed);
  stop.addEventListener("abort", changed);
  while (!stop.aborted) {
    for (const id of liveThreads(view.fold)) if (!running.has(id) && hasWork(view, id, ports)) start(id);
    if (running.size === 0) break;
    const retry = nextRetry(view.fold);
    const due = retry === null ? 0 : Date.parse(retry.at) - ports.now();
    // Until something has changed or a planned retry is due.
    await new Promise<void>((resolve) => {
      const timer = due > 0 ? setTimeout(resolve, Math.min(MAX_TIMER_MS, due)) : undefined;
      look = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
  stop.removeEventListener("abort", changed);
  view.onChange(null);
  await Promise.all(running.values());
  if (failures.length > 0) throw failures[0];
}

async function runThread(
  view: SessionView,
  threadId: string,
  lease: Lease,
  ports: HarnessPorts,
  shutdown: AbortSignal,
): Promise<void> {
  const thread = view.thread(threadId);
  const isPrimary = threadId === view.fold.primary_thread_id;
  const stamp = (draft: EventDraft): EventDraft =>
    isPrimary ? draft : { ...draft, thread_id: draft.thread_id ?? threadId };
  const emit = async (events: readonly EventDraft[]) => {
    return view.emit((await withReport(thread, ports.ledger, events)).map(stamp), lease);
  };
  for (;;) {
    const interrupt = new AbortController();
    thread.onInterrupt(() => interrupt.abort());
    const signals = { interrupt: interrupt.signal, shutdown };
    let outcome: "continue" | "rest" = "continue";
    while (outcome === "continue" && !interrupt.signal.aborted && !shutdown.aborted) {
      outcome = await step(thread, ports, emit, signals);
    }
    thread.onInterrupt(null);
    // A client event that came in between the last decision and now has changed the fold already.
    if (shutdown.aborted || (outcome === "rest" && !hasWork(view, threadId, ports))) return;
  }
}

function hasWork(view: SessionView, threadId: string, ports: HarnessPorts): boolean {
  return threadWork(view.thread(threadId).fold, ports.now()) === "now";
}
