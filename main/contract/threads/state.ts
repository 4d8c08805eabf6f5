/** What the fold keeps of one thread: where its loop stands. The primary thread's state is the session fold's own. */
import type { BetaManagedAgentsSessionThread } from "@anthropic-ai/sdk/resources/beta/sessions/threads";
import { addCost, addSearches, type Cost, NO_COST } from "../cost/cost.ts";
import type { TokenPrice } from "../cost/prices.ts";
import type { IdleStopReason, LedgerEvent, SessionErrorBody, Usage } from "../events.ts";
import type { OpenCall, PendingInput } from "../fold_calls.ts";

export type ThreadPhase = "idle" | "running" | "rescheduling" | "terminated";

/** The definition a thread runs: a saved agent, one defined when the thread was spawned, or an advisor's model. */
export type ThreadAgent = BetaManagedAgentsSessionThread["agent"];

export interface OpenModelRequest {
  /** Id of the `span.model_request_start` event. */
  id: string;
  kind: "turn" | "compaction" | "grading";
  started_at: string;
  /** Of its model when it was sent; null when the model had none. */
  price: TokenPrice | null;
}

export interface RetryPlan {
  attempt: number;
  at: string;
  error_type: string;
  waits_for_network: boolean;
  waits_for_keychain?: true;
}

/** What a thread has used so far. */
export interface TotalUsage extends Usage {
  /** Web tools used at the endpoint; missing before the first. */
  server_tool_use?: { web_search_requests: number; web_fetch_requests: number };
}

export interface ThreadState {
  /** What the last status event said. Not whether anything runs now: that is a live lease (DESIGN.md §5). */
  phase: ThreadPhase;
  stop_reason: IdleStopReason | null;
  /** The last `session.error` since the turn began; null when the turn is healthy. */
  error: SessionErrorBody | null;
  /** Client events and messages of other threads that have arrived and are not yet consumed, oldest first. */
  inputs: PendingInput[];
  /** Tool calls without a result, in the order the model made them. */
  calls: OpenCall[];
  model_request: OpenModelRequest | null;
  /** The transcript ends with something the model has not answered. */
  awaiting_model: boolean;
  /** The turn died (retries exhausted): only a new message or a person's resume goes on. */
  stopped: boolean;
  retry: RetryPlan | null;
  /** Model requests that failed in a row. */
  failures: number;
  /** Times in a row that a request found no way to the endpoint, or its key out of reach. */
  offline_waits: number;
  /** Answers in a row that were cut at the output limit. */
  continuations: number;
  /** Tool rounds since the turn began. */
  rounds: number;
  /** Set when the model declined to answer; cleared by the next message. */
  refusal: { category: string | null; explanation: string | null } | null;
  /** Everything with seq ≤ this is represented by the last compaction's summary; 0 when there was none. */
  compacted_through: number;
  /** Tokens of the last request and its answer: what the next request will at least hold. */
  context_tokens: number;
  /** The endpoint refused the last request for its size. */
  context_full: boolean;
  /** Whether the transcript holds system messages, and whether one of them is what it ends with. */
  system_context: "none" | "last" | "answered";
  usage: TotalUsage;
  cost: Cost;
  /** Milliseconds in status running, without sleep and without the time in which no process was there. */
  active_ms: number;
  running_since: string | null;
  /** The agent's MCP servers were looked at in this turn; those that failed are tried again in the next one. */
  mcp_connected: boolean;
  /** The last `agent.message` of the turn: what a parent thread is told when it ends. */
  last_message_id: string | null;
}

/** A thread that another one spawned. */
export interface ChildThread extends ThreadState {
  id: string;
  parent_thread_id: string;
  agent: ThreadAgent;
  /** The name under which other threads and the contract's events know it. */
  name: string;
  created_at: string;
  updated_at: string;
  archived_at: string | null;
  turns: number;
  /** Its parent waits to be told how the task ended. */
  report_due: boolean;
  /** The parent's call whose result is this thread's answer; null when it answers by messages. */
  tool_use_id: string | null;
}

/** Of the session and of its primary thread, once these can differ: as soon as there is a second thread. */
export type PrimaryOwn = Pick<ThreadState, "phase" | "stop_reason" | "running_since" | "active_ms" | "usage" | "cost">;

export const NO_USAGE: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

export function newThreadState(): ThreadState {
  return {
    phase: "idle",
    stop_reason: null,
    error: null,
    inputs: [],
    calls: [],
    model_request: null,
    awaiting_model: false,
    stopped: false,
    retry: null,
    failures: 0,
    offline_waits: 0,
    continuations: 0,
    rounds: 0,
    refusal: null,
    compacted_through: 0,
    context_tokens: 0,
    context_full: false,
    system_context: "none",
    usage: NO_USAGE,
    cost: NO_COST,
    active_ms: 0,
    running_since: null,
    mcp_connected: false,
    last_message_id: null,
  };
}

/** Names of the fields of a {@link ThreadState}. */
export const THREAD_FIELDS = Object.keys(newThreadState()) as (keyof ThreadState)[];

export function primaryOwn(state: PrimaryOwn): PrimaryOwn {
  const { phase, stop_reason, running_since, active_ms, usage, cost } = state;
  return { phase, stop_reason, running_since, active_ms, usage, cost };
}

/** The name that an agent's threads go by. */
export function threadName(agent: ThreadAgent): string {
  return agent.type === "advisor" ? "anthropic.advisor" : agent.name;
}

/**
 * Adds what an event tells of tokens and searches: those of the conversation's requests, and of web tools beside them.
 * @param price of the request that the event belongs to
 */
export function spend(total: Pick<ThreadState, "usage" | "cost">, event: LedgerEvent, price: TokenPrice | null): void {
  if (event.type === "span.model_request_end") {
    total.cost = addCost(total.cost, event.model_usage, price);
    total.usage = { ...total.usage, ...addUsage(total.usage, event.model_usage) };
  } else if (event.type === "longhaul.web_request") {
    const { web_search_requests, web_fetch_requests } = event;
    total.cost = addSearches(addCost(total.cost, event.usage, price), web_search_requests);
    const before = total.usage.server_tool_use ?? { web_search_requests: 0, web_fetch_requests: 0 };
    total.usage = {
      ...addUsage(total.usage, event.usage),
      server_tool_use: {
        web_search_requests: before.web_search_requests + web_search_requests,
        web_fetch_requests: before.web_fetch_requests + web_fetch_requests,
      },
    };
  }
}

export function addUsage(a: Usage, b: Usage): Usage {
  return {
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    cache_read_input_tokens: a.cache_read_input_tokens + b.cache_read_input_tokens,
    cache_creation_input_tokens: a.cache_creation_input_tokens + b.cache_creation_input_tokens,
  };
}
