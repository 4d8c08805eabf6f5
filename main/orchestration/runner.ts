/** Runs one session under its lease until it rests: the loop around the harness's steps. */
import { setTimeout as sleep } from "node:timers/promises";
import type { EventDraft, WakeReason } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";
import { openCalls } from "../contract/threads/view.ts";
import { nextRetry, unfinishedWork, waitsOutside } from "../contract/work.ts";
import { crashPoint } from "../crash_points.ts";
import type { HarnessPorts } from "../harness/ports.ts";
import { SessionView } from "../harness/session_view.ts";
import { leftOverRest } from "../harness/statuses.ts";
import { type Holder, type Lease, StaleLeaseError, UnknownSessionError } from "../session/ledger.ts";
import { runThreads } from "./threads/run_threads.ts";

/** How a run ended. */
export type RunEnd =
  /** Nothing to do until something new arrives. */
  | { kind: "rested" }
  /** A retry is planned. */
  /** `waits_outside`: for the network or the keychain, whose return may come before the time. */
  | { kind: "rescheduled"; at: number; waits_outside: boolean }
  /** Another live holder has the session, or took it over. */
  | { kind: "not_ours" }
  | { kind: "gone" }
  | { kind: "shutdown" };

const LOOK_AGAIN_MS = 50;

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

/** One wake. Rejects only when the ledger cannot be read or written; the lease is given back then if that still works. */
export async function runSession(options: RunOptions): Promise<RunEnd> {
  const { ports, session_id, holder } = options;
  const lease = await ports.ledger.acquireLease(session_id, holder, options.lease_ms, options.reason);
  if (lease === null) return { kind: "not_ours" };
  crashPoint("wake.after_lease");
  options.onLease(lease);
  let view: SessionView | null = null;
  try {
    // Before anything is loaded: a session whose loading kills the process must be counted too.
    await writeCutOff(ports, lease, holder);
    view = await SessionView.open(ports.ledger, session_id, ports.now);
    return await runUntilRest(view, lease, options);
  } catch (error) {
    if (error instanceof StaleLeaseError) return { kind: "not_ours" };
    if (error instanceof UnknownSessionError) return { kind: "gone" };
    await ports.ledger.releaseLease(lease, "rescheduled").catch(() => undefined);
    throw error;
  } finally {
    view?.close();
  }
}

async function runUntilRest(view: SessionView, lease: Lease, options: RunOptions): Promise<RunEnd> {
  const { ports, shutdown } = options;
  for (;;) {
    await runThreads(view, lease, options);
    if (shutdown.aborted) return leave(view, lease, options);
    await provisioned(view, options);
    await ports.hands.rest(view.fold);
    if (shutdown.aborted) return leave(view, lease, options);
    if (hasWork(view, ports)) continue;
    const left = leftOverRest(view.fold, ports.now());
    if (left.length > 0) await view.emit(left, lease);
    if (!hasWork(view, ports)) return rest(view, lease, ports);
  }
}

function hasWork(view: SessionView, ports: HarnessPorts): boolean {
  return unfinishedWork(view.fold, ports.now()) === "now";
}

/**
 * Waits for a sandbox that was started early, because it reports under this lease: without it the timeline would show
 * it unfinished for ever. New work and a shutdown do not wait.
 */
async function provisioned(view: SessionView, { ports, shutdown }: RunOptions): Promise<void> {
  let done = false;
  const settled = ports.hands.settled(view.sessionId).then(() => {
    done = true;
  });
  await Promise.race([settled, Promise.resolve()]);
  while (!done && !shutdown.aborted && !hasWork(view, ports)) await Promise.race([settled, sleep(LOOK_AGAIN_MS)]);
}

async function rest(view: SessionView, lease: Lease, ports: HarnessPorts): Promise<RunEnd> {
  const retry = nextRetry(view.fold);
  const later = unfinishedWork(view.fold, ports.now()) === "later" && retry !== null;
  await ports.ledger.releaseLease(lease, later ? "rescheduled" : "rested");
  if (!later) return { kind: "rested" };
  return { kind: "rescheduled", at: Date.parse(retry.at), waits_outside: waitsOutside(retry) };
}

/** An orderly shutdown: what is in flight is written down, so that the next start can say what was cut off. */
async function leave(view: SessionView, lease: Lease, { ports }: RunOptions): Promise<RunEnd> {
  const events = hasWork(view, ports) ? [cutOff(view.fold, "shutdown", view.fold.updated_at, ports.now())] : [];
  await ports.ledger.releaseLease(lease, "shutdown", events);
  return { kind: "shutdown" };
}

/** Writes down what the process before us left: its last event and everything that was in flight. */
async function writeCutOff(ports: HarnessPorts, lease: Lease, holder: Holder): Promise<void> {
  // Our own lease, found unreleased after the ledger failed, is no death of an engine.
  if (lease.taken_over_from === null || lease.taken_over_from === holder.id) return;
  const record = await ports.ledger.getSession(lease.session_id);
  if (record === null) throw new UnknownSessionError(lease.session_id);
  let last = record.fold.created_at;
  const before = ports.ledger.getEvents(lease.session_id, { order: "desc", limit: 8, hydrate: false });
  for await (const stored of before) {
    // The acquisition itself is ours; the event before it is the last thing that the other process is known to have done.
    if (stored.event.type === "longhaul.lease_acquired" && stored.event.token === lease.token) continue;
    last = stored.created_at;
    break;
  }
  await ports.ledger.emitEvents(lease.session_id, [cutOff(record.fold, "engine_died", last, ports.now())], lease);
}

function cutOff(fold: SessionFold, cause: "engine_died" | "shutdown", last: string, now: number): EventDraft {
  return {
    type: "longhaul.cut_off",
    cause,
    last_event_at: last,
    noticed_at: new Date(now).toISOString(),
    calls_in_flight: openCalls(fold)
      .filter((call) => call.attempts > 0)
      .map((call) => call.id),
    model_request_in_flight:
      [fold, ...fold.threads].find(({ model_request }) => model_request !== null)?.model_request?.id ?? null,
  };
}

/** Takes the lease of a dead process only to write down what it left; the session then waits for a person. */
export async function noteCutOff(options: Omit<RunOptions, "shutdown" | "onLease">): Promise<void> {
  const { ports, session_id, holder } = options;
  const lease = await ports.ledger.acquireLease(session_id, holder, options.lease_ms, options.reason);
  if (lease === null) return;
  await writeCutOff(ports, lease, holder);
  await ports.ledger.releaseLease(lease, "shutdown");
}
