/** A queue over memory adapters, with a clock that stands still until a test moves it. */
import { vi } from "vitest";
import type { EventDraft, SessionSnapshot } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import { MemoryLedger } from "../../session/memory_ledger.ts";
import { MemoryRecords } from "../../session/records/memory_records.ts";
import type { PollRequest, WorkItem, WorkQueue } from "../port.ts";
import { WorkSupply } from "../supply.ts";

export const ENVIRONMENT = "env_hosted";

export interface QueueRig {
  ledger: MemoryLedger;
  records: MemoryRecords;
  queue: WorkQueue;
  errors: unknown[];
  /** Another engine on the same records and ledger. */
  restart(): Promise<WorkQueue>;
  /** A session; by default of the self-hosted environment, and with a message. */
  session(options?: { hosted?: boolean; ttl?: string; events?: EventDraft[] }): Promise<string>;
  /** The poll of a worker that does not wait. */
  poll(request?: Partial<PollRequest>): Promise<WorkItem | null>;
  /** Polls and acknowledges. */
  claim(): Promise<WorkItem>;
  /** Claims and takes the lease. */
  hold(ttl?: number): Promise<WorkItem>;
  newest(): Promise<WorkItem | undefined>;
}

export const POLL: PollRequest = {
  block_ms: 0,
  reclaim_older_than_ms: 5_000,
  worker_id: null,
  signal: new AbortController().signal,
};

/** Call inside a test whose timers are fake. */
export async function startQueue(): Promise<QueueRig> {
  const ledger = new MemoryLedger();
  const records = new MemoryRecords();
  const errors: unknown[] = [];
  let supply: WorkSupply | null = null;
  const start = async (): Promise<WorkQueue> => {
    supply?.stop();
    supply = new WorkSupply({ records, ledger, now: () => Date.now(), onError: (_, error) => void errors.push(error) });
    await supply.start();
    rig.queue = supply.queue;
    return supply.queue;
  };
  const rig: QueueRig = {
    ledger,
    records,
    errors,
    // Replaced below: the rig has to be there first.
    queue: null as never,
    restart: start,
    async session({ hosted = true, ttl, events = [message("go")] } = {}) {
      const id = newId("session");
      const created: EventDraft = { type: "longhaul.session_created", session: snapshot(hosted, ttl) };
      await ledger.createSession(id, [created, ...events]);
      return id;
    },
    poll: async (request = {}) => (await rig.queue.poll(ENVIRONMENT, { ...POLL, ...request }))?.item ?? null,
    async claim() {
      const item = await rig.poll();
      if (item === null) throw new Error("nothing is in the queue");
      return rig.queue.ack(item);
    },
    async hold(ttl) {
      const item = await rig.claim();
      const request = { expected: "NO_HEARTBEAT", desired_ttl_seconds: ttl ?? null, token: null };
      return (await rig.queue.heartbeat(item, request)).item;
    },
    newest: async () => (await rig.queue.list(ENVIRONMENT, { limit: 1 }))[0],
  };
  await start();
  return rig;
}

export function message(text: string): EventDraft {
  return { type: "user.message", content: [{ type: "text", text }] };
}

/** A call of the toolset as the harness writes it. */
export function toolUse(id: string, permission: "allow" | "ask" = "allow"): EventDraft {
  return { type: "agent.tool_use", id, name: "bash", input: { command: "x" }, evaluated_permission: permission };
}

/** The turn ends: nothing is left to do. */
export function consumedAndIdle(inputs: string[]): EventDraft[] {
  return [
    { type: "longhaul.inputs_consumed", event_ids: inputs },
    {
      type: "longhaul.model_response",
      model_request_start_id: "sevt_none",
      message_id: "m",
      model: "m",
      content: [],
      stop_reason: "end_turn",
      stop_details: null,
      usage: { input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
      tool_events: {},
      first_token_ms: 1,
      duration_ms: 1,
      demo: false,
    },
    { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null },
  ];
}

function snapshot(hosted: boolean, ttl: string | undefined): SessionSnapshot {
  return {
    agent: {
      id: "agent_a",
      type: "agent",
      name: "a",
      description: null,
      execution_identity: { type: "service_account" },
      mcp_servers: [],
      model: { id: "m" },
      multiagent: null,
      skills: [],
      system: null,
      tools: [],
      version: 1,
    },
    environment: {
      id: hosted ? ENVIRONMENT : "env_cloud",
      name: "e",
      config: hosted
        ? { type: "self_hosted" }
        : {
            type: "cloud",
            networking: { type: "unrestricted" },
            packages: { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
          },
      metadata: ttl === undefined ? {} : { "longhaul.worker_lease": ttl },
    },
    primary_thread_id: newId("thread"),
    title: null,
    metadata: {},
    resources: [],
    vault_ids: [],
    budget: null,
    deployment_id: null,
  };
}

/** Lets time pass, with everything that waits for it. */
export const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
