/** The mounts of one session, kept equal to their stores while it works. */
import type { EventDraft } from "../../contract/events.ts";
import type { ProvisionRequest } from "../port.ts";
import type { MemoryFiles, MemoryMount, MemorySource } from "./port.ts";
import { StoreSync, type SyncReport } from "./store_sync.ts";

export interface SessionMemoryOptions {
  session_id: string;
  mounts: readonly MemoryMount[];
  files: MemoryFiles;
  source: MemorySource;
  /** Appends an event to the session. Never rejects. */
  tell: (event: EventDraft) => void;
  /** Milliseconds that pass at least between two looks while the session works. */
  interval_ms: number;
}

export class SessionMemory {
  readonly #options: SessionMemoryOptions;
  readonly #stores: readonly StoreSync[];
  /** The look that is under way; they follow each other. */
  #running: Promise<void> | null = null;
  #lastAt = Number.NEGATIVE_INFINITY;
  /** A call ran since the session rested. */
  #used = true;
  /** Calls under way: threads of a session share its sandbox, and one of them may rest while another works. */
  #calls = 0;
  /** To be told with the next result. */
  #waiting: string[] = [];
  /** What goes on being so is told once. */
  #told: ReadonlySet<string> = new Set();
  #failures = new Map<string, string>();

  constructor(options: SessionMemoryOptions) {
    this.#options = options;
    this.#stores = options.mounts.map((mount) => {
      const { session_id, files, source } = options;
      return new StoreSync({ session_id, mount, files, source });
    });
  }

  /** Fills the mounts for the first time, or finds what was left. Never rejects: a failure is a step with an error. */
  async mount(onStep: ProvisionRequest["onStep"]): Promise<void> {
    const started = performance.now();
    const { mounts, files } = this.#options;
    const names = mounts.map(({ name, path }) => `${JSON.stringify(name)} at ${path}`).join(", ");
    const report = (error: string | null): void => {
      const duration_ms = Math.round(performance.now() - started);
      onStep({ step: `mount memory ${mounts.length === 1 ? "store" : "stores"} ${names}`, duration_ms, error });
    };
    try {
      await files.prepare(mounts);
      await this.#look(false);
      report([...this.#failures.values()][0] ?? null);
    } catch (error) {
      report(messageOf(error));
    }
  }

  /** Call it when a call begins, and {@link afterCall} or {@link abandon} when it has ended. */
  begin(): void {
    this.#calls += 1;
    this.#used = true;
  }

  /** The call was stopped, or its sandbox is gone: nothing is looked at for it. */
  abandon(): void {
    this.#calls -= 1;
  }

  /** Looks when it is time to. Resolves with what the model must be told now; never rejects. */
  async afterCall(): Promise<string[]> {
    this.#calls -= 1;
    const due = performance.now() - this.#lastAt >= this.#options.interval_ms;
    if (due && this.#running === null) await this.#inTurn(false);
    return this.#waiting.splice(0);
  }

  /** Brings home what the calls since the last rest left. Never rejects. */
  async rest(): Promise<void> {
    if (!this.#used) return;
    await this.#running;
    this.#used = false;
    await this.#inTurn(this.#calls === 0);
    // What could not be brought home now is tried again at the next rest.
    if (this.#failures.size > 0 || this.#calls > 0) this.#used = true;
  }

  #inTurn(resting: boolean): Promise<void> {
    const before = this.#running ?? Promise.resolve();
    const look = before.then(() => this.#look(resting)).catch((error: unknown) => this.#failed(messageOf(error)));
    const running = look.finally(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }

  async #look(resting: boolean): Promise<void> {
    const { mounts, files } = this.#options;
    const notices: string[] = [];
    try {
      const scans = await files.scan(mounts);
      for (const store of this.#stores) {
        const scan = scans.get(store.mount.path);
        if (scan === undefined) continue;
        try {
          const report = await store.run(scan, resting);
          notices.push(...report.notices);
          this.#report(store.mount, report, null);
        } catch (error) {
          this.#report(store.mount, null, messageOf(error));
        }
      }
    } finally {
      this.#lastAt = performance.now();
    }
    this.#waiting.push(...notices.filter((notice) => !this.#told.has(notice) && !this.#waiting.includes(notice)));
    this.#told = new Set(notices);
  }

  #report(mount: MemoryMount, report: SyncReport | null, error: string | null): void {
    const { written, deleted, updated, conflicts } = report ?? { written: 0, deleted: 0, updated: 0, conflicts: 0 };
    const repeated = error !== null && this.#failures.get(mount.path) === error;
    if (error === null) this.#failures.delete(mount.path);
    else this.#failures.set(mount.path, error);
    if (repeated || (error === null && written + deleted + updated + conflicts === 0)) return;
    const { store_id: memory_store_id, path: mount_path } = mount;
    const counts = { written, deleted, updated, conflicts };
    this.#options.tell({ type: "longhaul.memory_synced", memory_store_id, mount_path, ...counts, error });
  }

  /** None of the mounts could be looked at. */
  #failed(error: string): void {
    for (const mount of this.#options.mounts) this.#report(mount, null, error);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
