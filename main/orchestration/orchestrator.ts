/** Orchestration: leases, wakes, bounded concurrency, retry timers. Policy only; what a session does is the harness's. */
import type { EventDraft, WakeReason } from "../contract/events.ts";
import type { Activity } from "../contract/local_api.ts";
import { unfinishedWork, waitsOutside } from "../contract/work.ts";
import type { HarnessPorts } from "../harness/ports.ts";
import { type Holder, type Lease, StaleLeaseError } from "../session/ledger.ts";
import type { Orchestrator } from "./port.ts";
import { noteCutOff, type RunEnd, runSession } from "./runner.ts";

export interface OrchestratorOptions {
  ports: HarnessPorts;
  holder: Holder;
  /** Sessions that run at once; the others wait in order of arrival. */
  max_running: number;
  lease_ms: number;
  /** Told about a run that ended because the ledger failed: nothing was lost, but somebody must look. */
  onError: (sessionId: string, error: unknown) => void;
}

interface Entry {
  reason: WakeReason;
  state: "queued" | "running";
  /** A wake arrived while it ran: look once more before it counts as settled. */
  again: WakeReason | null;
  lease: Lease | null;
}

/** Deaths in a row after which a session is not woken by itself: it may be what kills the engine. */
const MAX_CUT_OFFS = 3;
/** Wait before a run that the ledger ended is tried again. */
const AFTER_ERROR_MS = 5_000;
/** Longest delay that one timer takes; longer plans are looked at again then. */
const MAX_TIMER_MS = 3_600_000;

export class LeaseOrchestrator implements Orchestrator {
  readonly #options: OrchestratorOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #offline = new Set<string>();
  readonly #settled = new Map<string, (() => void)[]>();
  readonly #listeners = new Set<(sessionId: string) => void>();
  readonly #shutdown = new AbortController();
  readonly #renewal: NodeJS.Timeout;
  #running = 0;

  constructor(options: OrchestratorOptions) {
    this.#options = options;
    this.#renewal = setInterval(() => this.#renew(), options.lease_ms / 3);
    this.#renewal.unref();
  }

  async wake(sessionId: string, reason: WakeReason): Promise<void> {
    if (this.#shutdown.signal.aborted) return;
    const known = this.#entries.get(sessionId);
    if (known !== undefined) {
      if (known.state === "running") known.again = reason;
      return;
    }
    this.#cancelTimer(sessionId);
    this.#entries.set(sessionId, { reason, state: "queued", again: null, lease: null });
    this.#changed(sessionId);
    this.#pump();
  }

  activity(sessionId: string): Activity {
    return this.#entries.get(sessionId)?.state ?? null;
  }

  settled(sessionId: string): Promise<void> {
    if (!this.#entries.has(sessionId)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settled.set(sessionId, [...(this.#settled.get(sessionId) ?? []), resolve]);
    });
  }

  onActivity(listener: (sessionId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Engine start: wakes every session with unfinished work, or, without `autoResume`, only writes down what was cut off. */
  async recover(autoResume: boolean): Promise<void> {
    const { ports, holder, lease_ms } = this.#options;
    for (const { id, fold } of await ports.ledger.unfinishedSessions()) {
      const goesOn = autoResume && fold.cut_offs < MAX_CUT_OFFS;
      const { retry } = fold;
      try {
        if (goesOn && retry !== null && unfinishedWork(fold, ports.now()) === "later") {
          this.#plan(id, { kind: "rescheduled", at: Date.parse(retry.at), waits_outside: waitsOutside(retry) });
        } else if (goesOn) {
          await this.wake(id, "engine_start");
        } else {
          await noteCutOff({ session_id: id, reason: "engine_start", holder, lease_ms, ports });
          // Whoever sent something meanwhile found the lease taken: that wake must not be lost.
          const now = await ports.ledger.getSession(id);
          if (now !== null && now.fold.inputs.length > fold.inputs.length) await this.wake(id, "client_event");
        }
      } catch (error) {
        // One session that cannot be looked at must not keep the engine from starting.
        this.#options.onError(id, error);
      }
    }
  }

  /**
   * The network is back, the machine woke up, or a person changed the model endpoint: sessions that waited for the network
   * or for the keychain go on now.
   */
  async networkIsBack(reason: "network" | "power"): Promise<void> {
    const running = [...this.#entries].flatMap(([id, { lease }]) => (lease === null ? [] : [id]));
    for (const id of new Set([...this.#offline, ...running])) {
      try {
        if (!this.#offline.has(id) && !(await this.#hasOfflineThread(id))) continue;
        await this.#options.ports.ledger.emitEvent(id, { type: "longhaul.resume_requested", by: "network" });
        await this.wake(id, reason);
      } catch (error) {
        this.#options.onError(id, error);
      }
    }
    // Timers stand still while the machine sleeps: plans are looked at again, and those that are due go on.
    if (reason === "power") for (const id of [...this.#timers.keys()]) await this.wake(id, "power");
  }

  /** True for a session that runs while one of its threads waits for the network. */
  async #hasOfflineThread(id: string): Promise<boolean> {
    const record = await this.#options.ports.ledger.getSession(id);
    if (record === null) return false;
    return [record.fold, ...record.fold.threads].some(({ retry }) => retry !== null && waitsOutside(retry));
  }

  /** Appends to every running session under its lease, for example a sleep gap. */
  async tellRunning(event: EventDraft): Promise<void> {
    for (const [id, entry] of this.#entries) {
      if (entry.lease === null) continue;
      try {
        await this.#options.ports.ledger.emitEvents(id, [event], entry.lease);
      } catch (error) {
        if (!(error instanceof StaleLeaseError)) this.#options.onError(id, error);
      }
    }
  }

  /** Lets every run leave in order. Calls in sandboxes go on there. Resolves when all leases are released. */
  async drain(): Promise<void> {
    this.#shutdown.abort();
    clearInterval(this.#renewal);
    for (const id of [...this.#timers.keys()]) this.#cancelTimer(id);
    for (const [id, entry] of [...this.#entries]) if (entry.state === "queued") this.#finish(id);
    await Promise.all([...this.#entries.keys()].map((id) => this.settled(id)));
  }

  #pump(): void {
    for (const [id, entry] of this.#entries) {
      if (this.#running >= this.#options.max_running) return;
      if (entry.state !== "queued") continue;
      entry.state = "running";
      this.#running += 1;
      this.#changed(id);
      void this.#run(id, entry);
    }
  }

  async #run(id: string, entry: Entry): Promise<void> {
    const { ports, holder, lease_ms, onError } = this.#options;
    let end: RunEnd = { kind: "rested" };
    let reason: WakeReason | null = entry.reason;
    try {
      while (reason !== null && !this.#shutdown.signal.aborted) {
        entry.again = null;
        const shutdown = this.#shutdown.signal;
        const onLease = (lease: Lease): void => {
          entry.lease = lease;
        };
        end = await runSession({ session_id: id, reason, holder, lease_ms, ports, shutdown, onLease });
        entry.lease = null;
        reason = entry.again;
        if (end.kind === "rested" && reason === null) void this.#checkpoint(id);
      }
    } catch (error) {
      // The ledger refused to read or write: nothing was lost, and it is tried again by itself.
      onError(id, error);
      end = { kind: "rescheduled", at: ports.now() + AFTER_ERROR_MS, waits_outside: false };
    }
    // Our own lease, left behind by such an error, is in the way until it has expired.
    if (end.kind === "not_ours") end = { kind: "rescheduled", at: ports.now() + lease_ms, waits_outside: false };
    this.#running -= 1;
    this.#finish(id);
    this.#plan(id, end);
    this.#pump();
  }

  /** A copy of the sandbox's files while nothing runs in them. Work that arrives meanwhile does not wait for it. */
  async #checkpoint(id: string): Promise<void> {
    const { ports, onError } = this.#options;
    try {
      const record = await ports.ledger.getSession(id);
      if (record === null || record.fold.phase !== "idle") return;
      const event = await ports.hands.checkpoint(record.fold);
      if (event !== null) await ports.ledger.emitEvent(id, event);
    } catch (error) {
      // Deleted meanwhile, or the ledger is closing: the copy is there, only nothing tells of it.
      onError(id, error);
    }
  }

  #plan(id: string, end: RunEnd): void {
    if (end.kind !== "rescheduled" || this.#shutdown.signal.aborted) return;
    if (end.waits_outside) this.#offline.add(id);
    const delay = Math.min(MAX_TIMER_MS, Math.max(0, end.at - this.#options.ports.now()));
    const timer = setTimeout(() => void this.wake(id, "retry"), delay);
    timer.unref();
    this.#timers.set(id, timer);
  }

  #cancelTimer(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.#offline.delete(id);
  }

  #finish(id: string): void {
    this.#entries.delete(id);
    for (const resolve of this.#settled.get(id) ?? []) resolve();
    this.#settled.delete(id);
    this.#changed(id);
  }

  #renew(): void {
    for (const [id, entry] of this.#entries) {
      if (entry.lease === null) continue;
      // A lost lease shows itself at the next append, which is refused; the run then ends by itself.
      this.#options.ports.ledger
        .renewLease(entry.lease, this.#options.lease_ms)
        .catch((error: unknown) => this.#options.onError(id, error));
    }
  }

  #changed(id: string): void {
    for (const listener of this.#listeners) listener(id);
  }
}
