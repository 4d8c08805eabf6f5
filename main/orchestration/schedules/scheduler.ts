/**
 * Fires deployments at the times of their schedules while the engine runs. It never waits for one far time: it looks at
 * the wall clock at least every quarter of a minute, so that sleep, a clock that is set and timers that hold no more than
 * 24 days need no rules of their own.
 */
import { countBetween, nextOccurrence, type Schedule } from "../../contract/cron/occurrences.ts";
import type { Versioned } from "../../session/records/record_table.ts";
import { gapMessage } from "./gap.ts";
import { liveSchedule } from "./live_schedule.ts";
import { changeDeployment, type DeploymentRecord, type RunRecord, type Schedules } from "./port.ts";
import { DeploymentRuns, type RunOptions } from "./runs.ts";

export interface SchedulerOptions extends RunOptions {
  /** True when the agent was archived: what runs it is archived with it. */
  isAgentArchived: (agentId: string) => Promise<boolean>;
}

/** Longest time without a look at the clock. */
const LOOK_MS = 15_000;
/**
 * A time of the schedule that passed up to so long ago is run late: an engine that was restarted after a crash takes
 * seconds. No longer than the shortest interval of a schedule, so that at most one run of a deployment comes late.
 */
const LATE_MS = 60_000;
/** Wait before a deployment is looked at again whose records could not be written. */
const AFTER_ERROR_MS = 5_000;
/** The clock was set back when it shows so much less than before; less is how clocks are kept right. */
const SET_BACK_MS = 1_000;
/** Missed times are counted up to here: counting those of years would keep the engine from its work. */
const MAX_COUNTED = 20_000;
const PAGE = 200;

export class Scheduler implements Schedules {
  readonly #options: SchedulerOptions;
  readonly #runs: DeploymentRuns;
  readonly #startedAt: number;
  /** When each deployment with a schedule is looked at next, in ms since the epoch. */
  readonly #plan = new Map<string, number>();
  /** Deployments that are being looked at, and whether they changed meanwhile. */
  readonly #busy = new Map<string, { again: boolean }>();
  readonly #work = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | null = null;
  #lastLook: number;
  #retryAt = 0;
  #planned = false;
  #stopped = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    this.#runs = new DeploymentRuns(options);
    this.#startedAt = options.now();
    this.#lastLook = this.#startedAt;
  }

  /** Settles what an earlier engine left open, then looks at the clock by itself. Never rejects: it tries again. */
  async start(): Promise<void> {
    await this.#prepare();
    this.#lookAtDue();
  }

  /** Begins nothing any more; resolves when what was begun is written down. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await Promise.allSettled([...this.#work]);
  }

  run(deployment: DeploymentRecord): Promise<RunRecord> {
    return this.#track(this.#runs.manual(deployment));
  }

  changed(deploymentId: string): void {
    if (this.#stopped) return;
    void this.#look(deploymentId).then(() => this.#arm());
  }

  /** Looks at the clock: resolves when everything that was due has its outcome. */
  async check(): Promise<void> {
    if (this.#stopped) return;
    await this.#prepare();
    await Promise.all(this.#lookAtDue());
  }

  /** What must be known before anything fires. Never rejects: the next look tries again. */
  async #prepare(): Promise<void> {
    const now = this.#options.now();
    const setBack = now < this.#lastLook - SET_BACK_MS;
    this.#lastLook = now;
    if (setBack) {
      this.#planned = false;
      this.#retryAt = 0;
    }
    try {
      if (now >= this.#retryAt) {
        const late = await this.#runs.resolveOpen((deployment, slot) => this.#stillDue(deployment, slot));
        for (const run of late) void this.#track(run.catch((error: unknown) => this.#failed("deployments", error)));
        if (!this.#planned) await this.#planAll();
      }
    } catch (error) {
      this.#failed("deployments", error);
    }
  }

  #lookAtDue(): Promise<void>[] {
    if (this.#stopped) return [];
    const now = this.#options.now();
    const due = this.#planned ? [...this.#plan].filter(([, at]) => at <= now) : [];
    const looks = due.map(([id]) => this.#look(id).then(() => this.#arm()));
    // Before the looks are over: one session that is slow to be made must not hold up the others' times.
    this.#arm();
    return looks;
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#stopped) return;
    const next = Math.min(...this.#plan.values()) - this.#options.now();
    this.#timer = setTimeout(() => void this.check(), Math.max(0, Math.min(LOOK_MS, next)));
    this.#timer.unref();
  }

  #stillDue(deployment: DeploymentRecord, slot: number): boolean {
    const late = this.#options.now() - slot;
    return late <= LATE_MS && deployment.archived_at === null && deployment.paused_reason === null;
  }

  /** Reads every deployment: at the start, and after the clock was set back. */
  async #planAll(): Promise<void> {
    const { deployments } = this.#runs;
    const ids: string[] = [];
    let after: { created_at: string; id: string } | undefined;
    for (;;) {
      const page = await deployments.list({ limit: PAGE, ...(after === undefined ? {} : { after }) });
      for (const { id, agent } of page) {
        if (await this.#options.isAgentArchived(agent.id)) await this.#archive(id);
        else ids.push(id);
      }
      const last = page.at(-1);
      if (page.length < PAGE || last === undefined) break;
      after = { created_at: last.created_at, id: last.id };
    }
    this.#plan.clear();
    for (const id of ids) this.#plan.set(id, 0);
    this.#planned = true;
  }

  async #archive(id: string): Promise<void> {
    const at = new Date(this.#options.now()).toISOString();
    await changeDeployment(this.#runs.deployments, id, (current) =>
      current.archived_at !== null ? current : { ...current, archived_at: at, updated_at: at, paused_reason: null },
    );
  }

  /** Deals with everything that is due of one deployment and plans its next time. Never rejects. */
  async #look(id: string): Promise<void> {
    const busy = this.#busy.get(id);
    if (busy !== undefined) {
      busy.again = true;
      this.#plan.delete(id);
      return;
    }
    const mine = { again: false };
    this.#busy.set(id, mine);
    // Not due again while it is worked on.
    this.#plan.delete(id);
    try {
      do {
        mine.again = false;
        await this.#track(this.#settleDue(id));
      } while (mine.again);
    } catch (error) {
      this.#failed(id, error);
      this.#plan.set(id, this.#options.now() + AFTER_ERROR_MS);
    } finally {
      this.#busy.delete(id);
    }
  }

  async #settleDue(id: string): Promise<void> {
    this.#plan.delete(id);
    while (!this.#stopped) {
      const read = await this.#runs.deployments.get(id);
      const schedule = read === null ? null : liveSchedule(read.value);
      if (read === null || schedule === null) return;
      const now = this.#options.now();
      const through = Date.parse(read.value.scheduled_through);
      if (through > now + SET_BACK_MS) {
        // The clock was set back. Times that had their run keep it (they are unique); the others come now.
        await this.#rewind(id, now);
        continue;
      }
      const next = nextOccurrence(schedule, through);
      if (next === null) return;
      if (next > now) {
        this.#plan.set(id, next);
        return;
      }
      if (next < now - LATE_MS) await this.#writeMissed(read, schedule, through, now - LATE_MS - 1);
      else await this.#runs.scheduled(read, next);
    }
  }

  async #writeMissed(
    read: Versioned<DeploymentRecord>,
    schedule: Schedule,
    after: number,
    through: number,
  ): Promise<void> {
    const found = countBetween(schedule, after, through, MAX_COUNTED + 1);
    if (found === null) return;
    const gap = {
      ...found,
      count: Math.min(found.count, MAX_COUNTED),
      capped: found.count > MAX_COUNTED,
      before_start: found.first < this.#startedAt,
    };
    await this.#runs.missed(read, { first: found.first, through, message: gapMessage(gap) });
  }

  async #rewind(id: string, now: number): Promise<void> {
    const scheduled_through = new Date(now).toISOString();
    await changeDeployment(this.#runs.deployments, id, (current) =>
      Date.parse(current.scheduled_through) <= now ? current : { ...current, scheduled_through },
    );
  }

  #failed(id: string, error: unknown): void {
    this.#retryAt = this.#options.now() + AFTER_ERROR_MS;
    this.#options.onError(id, error);
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work);
    const forget = (): void => void this.#work.delete(work);
    work.then(forget, forget);
    return work;
  }
}
