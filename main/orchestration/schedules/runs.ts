/**
 * One attempt to make a session of a deployment: claimed, made, written down. The claim is durable before the session is
 * begun and names the id that the session will have, so that after a crash it can be told whether it was made: an attempt
 * is never made twice, and none is lost without a word.
 */
import { newId } from "../../contract/ids.ts";
import { crashPoint } from "../../crash_points.ts";
import { type Ledger, LedgerWriteError } from "../../session/ledger.ts";
import type { RecordTable, Versioned } from "../../session/records/record_table.ts";
import { RecordConflict, type Records, type RecordWrite } from "../../session/records/records.ts";
import { afterRun, cutOff } from "./outcome.ts";
import {
  type DeploymentRecord,
  deploymentTable,
  isRaceLost,
  openRunTable,
  type RunOutcome,
  type RunRecord,
  runTable,
} from "./port.ts";

export interface RunOptions {
  records: Records;
  ledger: Pick<Ledger, "getSession">;
  now: () => number;
  /**
   * Makes the session with this id, or says why it cannot be made. A session of an earlier attempt with the same id does
   * not exist, but what that attempt had stored for it may.
   */
  launch: (deployment: DeploymentRecord, sessionId: string) => Promise<RunOutcome>;
  /** Told about what is this program's or the disk's fault. */
  onError: (deploymentId: string, error: unknown) => void;
}

/** Attempts that can be open at once are few: those of one moment. */
const MAX_OPEN = 10_000;

export class DeploymentRuns {
  readonly deployments: RecordTable<DeploymentRecord>;
  readonly #runs: RecordTable<RunRecord>;
  readonly #open: ReturnType<typeof openRunTable>;
  readonly #options: RunOptions;
  /** Attempts of this process that are being made now. */
  readonly #making = new Set<string>();
  /** True when an attempt may be open that nobody is making. */
  #leftOver = true;

  constructor(options: RunOptions) {
    this.#options = options;
    this.deployments = deploymentTable(options.records);
    this.#runs = runTable(options.records);
    this.#open = openRunTable(options.records);
  }

  /** A run that a client asked for. Rejects with LedgerWriteError when it cannot be written down. */
  async manual(deployment: DeploymentRecord): Promise<RunRecord> {
    const run = this.#newRun(deployment, { type: "manual" });
    this.#making.add(run.id);
    try {
      await this.#options.records.write(this.#insertions(run));
      return await this.#make(deployment, run);
    } finally {
      this.#making.delete(run.id);
    }
  }

  /**
   * Runs a time of the schedule (ms since the epoch), unless it has run before.
   * @returns false when the deployment was changed since it was read: nothing was done
   */
  async scheduled({ value, revision }: Versioned<DeploymentRecord>, slot: number): Promise<boolean> {
    const scheduled_at = new Date(slot).toISOString();
    const claimed: DeploymentRecord = { ...value, scheduled_through: scheduled_at };
    const run = this.#newRun(value, { type: "schedule", scheduled_at });
    this.#making.add(run.id);
    try {
      const write = this.deployments.replacement(claimed, revision);
      const stored = await this.#claim(run, write, write);
      if (stored === "claimed") await this.#make(claimed, run);
      return stored !== "changed";
    } finally {
      this.#making.delete(run.id);
    }
  }

  /**
   * Writes down that times of the schedule passed without a run: one record for all of them.
   * @returns false when the deployment was changed since it was read: nothing was done
   */
  async missed(
    { value, revision }: Versioned<DeploymentRecord>,
    { first, through, message }: { first: number; through: number; message: string },
  ): Promise<boolean> {
    const scheduled_at = new Date(first).toISOString();
    const run = this.#newRun(value, { type: "schedule", scheduled_at });
    const told: RunRecord = { ...run, error: { type: "unknown_error", message } };
    const passed = (until: string) => this.deployments.replacement({ ...value, scheduled_through: until }, revision);
    // If the first of them ran before the clock was set back, only that one is dealt with.
    const stored = await this.#claim(told, passed(new Date(through).toISOString()), passed(scheduled_at));
    return stored !== "changed";
  }

  /**
   * Finds out what became of attempts that nobody is making any more: an engine died in the middle, or an outcome could
   * not be written. Those whose session exists are linked to it. A scheduled one without a session is made now if
   * `stillDue` says so; any other is written down as not run.
   */
  async resolveOpen(stillDue: (deployment: DeploymentRecord, slot: number) => boolean): Promise<Promise<unknown>[]> {
    if (!this.#leftOver) return [];
    const late: Promise<unknown>[] = [];
    this.#leftOver = false;
    try {
      for (const { id } of await this.#open.list({ order: "asc", limit: MAX_OPEN })) {
        const run = (await this.#runs.get(id))?.value;
        if (run === undefined || this.#making.has(id)) continue;
        const deployment = await this.#resolve(run, stillDue);
        if (deployment === null) continue;
        this.#making.add(run.id);
        late.push(this.#make(deployment, run).finally(() => this.#making.delete(run.id)));
      }
    } catch (error) {
      this.#leftOver = true;
      throw error;
    }
    return late;
  }

  /** @returns the deployment if the run must be made now; null when its outcome is written */
  async #resolve(
    run: RunRecord,
    stillDue: (deployment: DeploymentRecord, slot: number) => boolean,
  ): Promise<DeploymentRecord | null> {
    if ((await this.#options.ledger.getSession(run.claimed_session_id)) !== null) {
      await this.#settle(run, { session_id: run.claimed_session_id });
      return null;
    }
    const trigger = run.trigger_context;
    const deployment = (await this.deployments.get(run.deployment_id))?.value ?? null;
    const slot = trigger.type === "schedule" ? Date.parse(trigger.scheduled_at) : null;
    if (slot !== null && deployment !== null && stillDue(deployment, slot)) return deployment;
    await this.#settle(run, { error: cutOff(trigger.type === "manual") });
    return null;
  }

  /** Stores a run together with a change of its deployment; if that time has its run already, `known` alone. */
  async #claim(run: RunRecord, change: RecordWrite, known: RecordWrite): Promise<"claimed" | "ran_before" | "changed"> {
    const { records } = this.#options;
    try {
      await records.write([change, ...this.#insertions(run)]);
      return "claimed";
    } catch (error) {
      if (!(error instanceof RecordConflict)) throw error;
      if (error.reason !== "key") return "changed";
    }
    try {
      await records.write([known]);
      return "ran_before";
    } catch (error) {
      if (isRaceLost(error)) return "changed";
      throw error;
    }
  }

  async #make(deployment: DeploymentRecord, run: RunRecord): Promise<RunRecord> {
    crashPoint("deployment.after_claim");
    let outcome: RunOutcome;
    try {
      outcome = await this.#options.launch(deployment, run.claimed_session_id);
    } catch (error) {
      this.#options.onError(deployment.id, error);
      outcome = await this.#afterFailure(run, error);
    }
    crashPoint("deployment.after_session");
    return this.#settle(run, outcome);
  }

  /** What broke may have broken after the session was stored. */
  async #afterFailure(run: RunRecord, error: unknown): Promise<RunOutcome> {
    try {
      const made = await this.#options.ledger.getSession(run.claimed_session_id);
      if (made !== null) return { session_id: made.id };
    } catch (unreadable) {
      this.#leftOver = true;
      throw unreadable;
    }
    const why =
      error instanceof LedgerWriteError ? error.message : "The engine met an unexpected error; its log has more.";
    return { error: { type: "unknown_error", message: `No session was made. ${why}` } };
  }

  /** Writes the outcome, with what it means for the deployment. An attempt is settled once. */
  async #settle(run: RunRecord, outcome: RunOutcome): Promise<RunRecord> {
    const settled: RunRecord = "error" in outcome ? { ...run, error: outcome.error } : { ...run, ...outcome };
    try {
      for (;;) {
        const stored = await this.#runs.get(run.id);
        if (stored === null || stored.value.session_id !== null || stored.value.error !== null) {
          return stored?.value ?? settled;
        }
        const writes = [this.#runs.replacement(settled, stored.revision), this.#open.deletion(run.id)];
        const deployment = await this.deployments.get(run.deployment_id);
        const after =
          deployment === null ? null : afterRun(deployment.value, settled, new Date(this.#options.now()).toISOString());
        if (deployment !== null && after !== null)
          writes.push(this.deployments.replacement(after, deployment.revision));
        try {
          await this.#options.records.write(writes);
          return settled;
        } catch (error) {
          if (!isRaceLost(error)) throw error;
        }
      }
    } catch (error) {
      this.#leftOver = true;
      throw error;
    }
  }

  #insertions(run: RunRecord): RecordWrite[] {
    const { id, created_at, error } = run;
    return [this.#runs.insertion(run), ...(error === null ? [this.#open.insertion({ id, created_at })] : [])];
  }

  #newRun(deployment: DeploymentRecord, trigger_context: RunRecord["trigger_context"]): RunRecord {
    return {
      id: newId("deployment_run"),
      created_at: new Date(this.#options.now()).toISOString(),
      deployment_id: deployment.id,
      agent: deployment.agent,
      trigger_context,
      session_id: null,
      error: null,
      claimed_session_id: newId("session"),
    };
  }
}
