/** Runs one session under its lease until it rests: the loop around the harness's steps. */
import type { EventDraft, WakeReason } from "../contract/events.ts";
import { unfinishedWork } from "../contract/work.ts";
import { crashPoint } from "../crash_points.ts";
import type { HarnessPorts } from "../harness/ports.ts";
import { SessionView } from "../harness/session_view.ts";
import { step } from "../harness/step.ts";
import { type Holder, type Lease, StaleLeaseError, UnknownSessionError } from "../session/ledger.ts";

/** How a run ended. */
export type RunEnd =
  /** Nothing to do until something new arrives. */
  | { kind: "rested" }
  /** A retry is planned. */
  | { kind: "rescheduled"; at: number; waits_for_network: boolean }
  /** Another live holder has the session, or took it over. */
  | { kind: "not_ours" }
  | { kind: "gone" }
  | { kind: "shutdown" };

export interface RunOptions {
  session_id: string;
  reason: WakeReason;
  holder: Holder;
  lease_ms: number;
  ports: HarnessPorts;
  shutdown: AbortSignal;
  /** Told the lease once it is held, so that it can be renewed and written to while the session runs. */
  onLease: (lease: Lease) => void;
}

/** One wake. Rejects only when the ledger cannot be read or written. */
export async function runSession(options: RunOptions): Promise<RunEnd> {
  const { ports, session_id, holder } = options;
  const lease = await ports.ledger.acquireLease(session_id, holder, options.lease_ms, options.reason);
  if (lease === null) return { kind: "not_ours" };
  crashPoint("wake.after_lease");
  options.onLease(lease);
  let view: SessionView | null = null;
  try {
    view = await SessionView.open(ports.ledger, session_id);
    if (lease.taken_over_from !== null) await view.emit([await cutOffEvent(view, ports, lease)], lease);
    return await runUntilRest(view, lease, options);
  } catch (error) {
    if (error instanceof StaleLeaseError) return { kind: "not_ours" };
    if (error instanceof UnknownSessionError) return { kind: "gone" };
    throw error;
  } finally {
    view?.close();
  }
}

async function runUntilRest(view: SessionView, lease: Lease, options: RunOptions): Promise<RunEnd> {
  const { ports, shutdown } = options;
  const emit = (events: readonly EventDraft[]) => view.emit(events, lease);
  for (;;) {
    const interrupt = new AbortController();
    view.onInterrupt(() => interrupt.abort());
    const signals = { interrupt: interrupt.signal, shutdown };
    let outcome: "continue" | "rest" = "continue";
    while (outcome === "continue" && !interrupt.signal.aborted && !shutdown.aborted) {
      outcome = await step(view, ports, emit, signals);
    }
    view.onInterrupt(null);
    if (shutdown.aborted) return leave(view, lease, options);
    // A client event that came in between the last decision and now has changed the fold already.
    if (outcome === "rest" && unfinishedWork(view.fold, ports.now()) !== "now") return rest(view, lease, ports);
  }
}

async function rest(view: SessionView, lease: Lease, ports: HarnessPorts): Promise<RunEnd> {
  // A sandbox that was started early reports under this lease; without it the timeline would show it unfinished for ever.
  await ports.hands.settled(view.sessionId);
  const { retry } = view.fold;
  const later = unfinishedWork(view.fold, ports.now()) === "later" && retry !== null;
  await ports.ledger.releaseLease(lease, later ? "rescheduled" : "rested");
  if (!later) return { kind: "rested" };
  return { kind: "rescheduled", at: Date.parse(retry.at), waits_for_network: retry.waits_for_network };
}

/** An orderly shutdown: what is in flight is written down, so that the next start can say what was cut off. */
async function leave(view: SessionView, lease: Lease, options: RunOptions): Promise<RunEnd> {
  const { ports } = options;
  const events =
    unfinishedWork(view.fold, ports.now()) === "now"
      ? [cutOff(view, "shutdown", view.fold.updated_at, ports.now())]
      : [];
  await ports.ledger.releaseLease(lease, "shutdown", events);
  return { kind: "shutdown" };
}

/** What the process before us left: its last event and everything that was in flight. */
async function cutOffEvent(view: SessionView, ports: HarnessPorts, lease: Lease): Promise<EventDraft> {
  let last = view.fold.created_at;
  const before = ports.ledger.getEvents(view.sessionId, { order: "desc", limit: 8, hydrate: false });
  for await (const stored of before) {
    // The acquisition itself is ours; the event before it is the last thing that the other process is known to have done.
    if (stored.event.type === "longhaul.lease_acquired" && stored.event.token === lease.token) continue;
    last = stored.created_at;
    break;
  }
  return cutOff(view, "engine_died", last, ports.now());
}

function cutOff(view: SessionView, cause: "engine_died" | "shutdown", last: string, now: number): EventDraft {
  return {
    type: "longhaul.cut_off",
    cause,
    last_event_at: last,
    noticed_at: new Date(now).toISOString(),
    calls_in_flight: view.fold.calls.filter((call) => call.attempts > 0).map((call) => call.id),
    model_request_in_flight: view.fold.model_request?.id ?? null,
  };
}

/** Takes the lease of a dead process only to write down what it left; the session then waits for a person. */
export async function noteCutOff(options: Omit<RunOptions, "shutdown" | "onLease">): Promise<void> {
  const { ports, session_id } = options;
  const lease = await ports.ledger.acquireLease(session_id, options.holder, options.lease_ms, options.reason);
  if (lease === null) return;
  const view = await SessionView.open(ports.ledger, session_id);
  try {
    const events = lease.taken_over_from === null ? [] : [await cutOffEvent(view, ports, lease)];
    await ports.ledger.releaseLease(lease, "shutdown", events);
  } finally {
    view.close();
  }
}
