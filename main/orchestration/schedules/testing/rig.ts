/** Schedulers over memory adapters with a clock that tests set; a "crash" leaves everything as it is stored. */
import { newId } from "../../../contract/ids.ts";
import { MemoryRecords } from "../../../session/records/memory_records.ts";
import {
  changeDeployment,
  type DeploymentRecord,
  deploymentTable,
  type RunOutcome,
  type RunRecord,
  runTable,
} from "../port.ts";
import { Scheduler } from "../scheduler.ts";

export class ScheduleRig {
  readonly records = new MemoryRecords();
  readonly deployments = deploymentTable(this.records);
  readonly runs = runTable(this.records);
  /** Sessions that exist, with the time at which they were made. */
  readonly sessions = new Map<string, string>();
  readonly archivedAgents = new Set<string>();
  readonly errors: unknown[] = [];
  /** Replaces what a launch does. */
  launch: ((deployment: DeploymentRecord, sessionId: string) => Promise<RunOutcome>) | null = null;
  now: number;
  scheduler: Scheduler;

  constructor(start: string) {
    this.now = Date.parse(start);
    this.scheduler = this.engine();
  }

  /** A new engine over what the last one stored. */
  engine(): Scheduler {
    this.scheduler = new Scheduler({
      records: this.records,
      ledger: { getSession: async (id) => (this.sessions.has(id) ? ({ id } as never) : null) },
      now: () => this.now,
      launch: (deployment, id) => (this.launch ?? this.makeSession)(deployment, id),
      isAgentArchived: async (id) => this.archivedAgents.has(id),
      onError: (_, error) => this.errors.push(error),
    });
    return this.scheduler;
  }

  /** Makes the session; a second one with the same id is an error of the test. */
  readonly makeSession = async (_: DeploymentRecord, id: string): Promise<RunOutcome> => {
    if (this.sessions.has(id)) throw new Error(`session ${id} was made twice`);
    this.sessions.set(id, new Date(this.now).toISOString());
    return { session_id: id };
  };

  async deploy(expression: string, timezone = "UTC", more: Partial<DeploymentRecord> = {}): Promise<string> {
    const at = new Date(this.now).toISOString();
    const id = newId("deployment");
    await this.deployments.insert({
      id,
      created_at: at,
      updated_at: at,
      archived_at: null,
      name: "d",
      description: null,
      metadata: {},
      agent: { id: "agent_1", type: "agent", version: 1 },
      environment_id: "env_1",
      initial_events: [],
      resources: [],
      vault_ids: [],
      budget: null,
      schedule: { type: "cron", expression, timezone },
      last_run_at: null,
      paused_reason: null,
      scheduled_through: at,
      ...more,
    });
    await this.changed(id);
    return id;
  }

  /** Tells the scheduler, and lets it look. */
  async changed(id: string): Promise<void> {
    this.scheduler.changed(id);
    await new Promise((resolve) => setImmediate(resolve));
  }

  change(id: string, change: Partial<DeploymentRecord>): Promise<DeploymentRecord | null> {
    return changeDeployment(this.deployments, id, (current) => ({ ...current, ...change }));
  }

  async deployment(id: string): Promise<DeploymentRecord> {
    const read = await this.deployments.get(id);
    if (read === null) throw new Error("no deployment");
    return read.value;
  }

  /** Lets the clock go on in steps as small as the scheduler looks, up to `end`. */
  async runUntil(end: string, step = 15_000): Promise<void> {
    const target = Date.parse(end);
    while (this.now < target) {
      this.now = Math.min(target, this.now + step);
      await this.scheduler.check();
    }
  }

  /** The clock jumps without anybody looking in between. */
  async jumpTo(at: string): Promise<void> {
    this.now = Date.parse(at);
    await this.scheduler.check();
  }

  /** Runs in the order in which they were made. */
  async history(id: string): Promise<RunRecord[]> {
    return this.runs.list({ scope: id, order: "asc", limit: 100_000 });
  }

  /** Times of the schedule that made a session, as ISO times without seconds. */
  async fired(id: string): Promise<string[]> {
    const runs = (await this.history(id)).filter(({ session_id }) => session_id !== null);
    return runs.map(({ trigger_context }) =>
      trigger_context.type === "schedule" ? trigger_context.scheduled_at.slice(0, 16) : "manual",
    );
  }
}
