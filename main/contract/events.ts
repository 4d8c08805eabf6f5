/**
 * Every event that a session ledger can hold: the Managed Agents contract's own (types from the official SDK) and the
 * local `longhaul.*` ones, which the timeline and the local API see but SDK clients do not (DESIGN.md L7).
 */

import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { BetaManagedAgentsSessionEvent } from "@anthropic-ai/sdk/resources/beta/sessions/events";
import type {
  BetaManagedAgentsSession,
  BetaManagedAgentsSessionAgent,
} from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import type { ContentBlock, StopReason } from "@anthropic-ai/sdk/resources/messages/messages";
import type { TokenPrice } from "./cost/prices.ts";
import type { SessionSkill } from "./skills/session_skills.ts";
import type { ThreadAgent } from "./threads/state.ts";
import type { CredentialUse } from "./vaults/grants.ts";
import type { Push } from "./vaults/pushes.ts";

export type ContractEvent = BetaManagedAgentsSessionEvent;
export type ContractEventType = ContractEvent["type"];
export type SessionStatus = BetaManagedAgentsSession["status"];
export type SessionAgent = BetaManagedAgentsSessionAgent;

/** One contract event by its type name. */
export type EventOf<T extends ContractEventType> = Extract<ContractEvent, { type: T }>;

export type IdleStopReason = EventOf<"session.status_idle">["stop_reason"];
export type SessionErrorBody = EventOf<"session.error">["error"];

/** A repository on this disk that enters the sandbox as a copy (our addition to the contract's resources). */
export interface LocalRepositoryResource {
  id: string;
  type: "local_repository";
  /** Absolute path of the work tree on this machine. */
  path: string;
  mount_path: string;
  checkout: { type: "branch"; name: string } | { type: "commit"; sha: string } | null;
  include_uncommitted: boolean;
  created_at: string;
  updated_at: string;
}

export type SessionResource = BetaManagedAgentsSession["resources"][number] | LocalRepositoryResource;

/** What a session was created with; the first event of every ledger. */
export interface SessionSnapshot {
  agent: SessionAgent;
  /** Metadata holds the sandbox settings (`longhaul.image`, …); sessions of older versions have none. */
  environment: Pick<BetaEnvironment, "id" | "name" | "config"> & { metadata?: Record<string, string> };
  primary_thread_id: string;
  title: string | null;
  metadata: Record<string, string>;
  resources: SessionResource[];
  vault_ids: string[];
  budget: BetaManagedAgentsSession["budget"];
  deployment_id: string | null;
  /** The versions that `skills` of its agents name; sessions of older versions have none. */
  skills?: SessionSkill[];
}

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
}

/**
 * Why the harness speaks: an answer was cut, the model paused, the grader wants a revision, or the last evaluation is over
 * and the criteria are still unmet.
 */
export type ContinuationCause = "max_tokens" | "pause_turn" | "outcome_revision" | "outcome_limit";

/** A tool of an MCP server as it was listed. Its annotations are hints of an untrusted party. */
export interface McpToolFacts {
  /** By which the model calls it: unique among all tools that the thread can have. */
  model_name: string;
  /** The server's own name of it. */
  name: string;
  description: string;
  /** A JSON schema of type object. */
  input_schema: Record<string, unknown>;
  read_only: boolean;
  idempotent: boolean;
}

/** Why a session was woken. */
export type WakeReason = "client_event" | "engine_start" | "retry" | "user" | "power" | "network" | "clock_jump";

/** How a call in flight at a crash was settled (DESIGN.md §6). */
export type Settlement = "collected" | "reattached" | "run_again" | "outcome_unknown" | "interrupted" | "denied";

/**
 * `created`: new; `adopted`: found running; `restarted`: found stopped or killed, started again with its files;
 * `restored`: it had been removed and was rebuilt from a checkpoint.
 */
export type SandboxOrigin = "created" | "adopted" | "restarted" | "restored";

interface LonghaulPayloads {
  "longhaul.session_created": { session: SessionSnapshot };
  "longhaul.session_archived": Record<never, never>;
  /** A thread was spawned, with the definition that it runs; the contract's `session.thread_created` names it only. */
  "longhaul.thread_created": {
    spawned_thread_id: string;
    parent_thread_id: string;
    agent: ThreadAgent;
    /** The call that spawned it and whose result is its answer; null when it answers by messages. */
    tool_use_id: string | null;
  };
  /** Client events that enter the transcript now, in this order; sets what the API reports as `processed_at`. */
  "longhaul.inputs_consumed": { event_ids: string[] };
  /** The person, a program or the returning network asks for the session to go on now: no stopped turn or planned retry holds it. */
  "longhaul.resume_requested": { by: "user" | "api" | "network" };
  "longhaul.lease_acquired": {
    holder: string;
    token: number;
    boot_id: string;
    pid: number;
    reason: WakeReason;
    /** Holder whose lease was taken over because its process is gone or frozen. */
    taken_over_from: string | null;
  };
  "longhaul.lease_released": { holder: string; token: number; outcome: "rested" | "rescheduled" | "shutdown" };
  /** The process that ran the session ended without releasing it; everything before `last_event_at` is safe. */
  "longhaul.cut_off": {
    cause: "engine_died" | "engine_frozen" | "shutdown";
    last_event_at: string;
    noticed_at: string;
    /** Ids of `agent.*tool_use` events that had started and have no result. */
    calls_in_flight: string[];
    model_request_in_flight: string | null;
  };
  "longhaul.sleep_gap": { from: string; to: string; seconds: number };
  /** Facts of a model request, beside its `span.model_request_start`; the request is rebuilt from the events before it. */
  "longhaul.model_request": {
    model_request_start_id: string;
    /** `grading`: the grader's, which has a context of its own. */
    kind: "turn" | "compaction" | "grading";
    /** Long tool results were shortened in this compaction request, because the full history no longer fits. */
    shortened: boolean;
    model: string;
    /** SHA-256 of the request body's bytes: proves that a rebuilt request is the one that was sent. */
    request_sha256: string;
    request_bytes: number;
    message_count: number;
    tool_count: number;
    /** Price of the model when it was sent, in nano-dollars per token; null or missing when it has none. */
    price?: TokenPrice | null;
  };
  /** The raw assistant content, kept so that later requests are byte-identical (thinking signatures included). */
  "longhaul.model_response": {
    model_request_start_id: string;
    /** Set for the grader's answer, which is no part of the conversation. */
    kind?: "grading";
    message_id: string;
    model: string;
    content: ContentBlock[];
    stop_reason: StopReason | null;
    stop_details: { category: string | null; explanation: string | null } | null;
    usage: Usage;
    /** The model's `toolu_…` id → id of the `agent.*tool_use` event. */
    tool_events: Record<string, string>;
    /** Milliseconds from sending the request to its first content, and to its end. */
    first_token_ms: number | null;
    duration_ms: number;
    /** True when the built-in offline demo model answered. */
    demo: boolean;
  };
  "longhaul.model_request_abandoned": { model_request_start_id: string; cause: "cut_off" | "interrupted" | "failed" };
  /** Text that the harness itself adds as a user turn, for example after `max_tokens`. */
  "longhaul.continuation": { text: string; cause: ContinuationCause };
  /** What a call of a web tool cost: its requests are made beside the conversation. */
  "longhaul.web_request": {
    tool_use_id: string;
    tool: string;
    model: string;
    usage: Usage;
    /** List price of the model then; null when it has none. */
    price: TokenPrice | null;
    web_search_requests: number;
    web_fetch_requests: number;
    attempts: number;
    duration_ms: number;
  };
  "longhaul.tool_started": { tool_use_id: string; attempt: number };
  "longhaul.call_settled": { tool_use_id: string; how: Settlement };
  /** Shown in the timeline and the resume sheet: nobody can know whether the call took effect. */
  "longhaul.outcome_unknown": { tool_use_id: string; tool_name: string; message: string };
  "longhaul.retry_scheduled": {
    attempt: number;
    at: string;
    error_type: string;
    waits_for_network: boolean;
    /** Set when the model's key is out of reach until a person unlocks the keychain. */
    waits_for_keychain?: true;
  };
  /** The endpoint said that the request no longer fits: a compaction comes next, with long results shortened. */
  "longhaul.context_full": {
    model_request_start_id: string;
    /** Set for the grader's request: it is made again and shows less. */
    kind?: "grading";
  };
  "longhaul.compaction": {
    model_request_start_id: string;
    summary: string;
    /** Everything with seq ≤ this is represented by the summary from now on. */
    through_seq: number;
    tokens_before: number;
  };
  "longhaul.sandbox_provisioning": { provider: string; cause: "first_tool_call" | "replaced" | "resources_changed" };
  "longhaul.sandbox_step": { step: string; duration_ms: number; error: string | null };
  "longhaul.sandbox_ready": {
    provider: string;
    duration_ms: number;
    adopted: boolean;
    /** How the session came to its sandbox; missing in events of older versions. */
    how?: SandboxOrigin;
    /** What the model is told with the next result, because something of the sandbox was lost; null when nothing was. */
    notice?: string | null;
  };
  "longhaul.sandbox_lost": { provider: string; reason: string };
  /** A copy of the sandbox's files, taken at rest: what a removed sandbox is rebuilt from. */
  "longhaul.sandbox_checkpoint": {
    provider: string;
    /** Name of the copy; null when none was taken, and then `error` says why. */
    checkpoint: string | null;
    size_bytes: number;
    duration_ms: number;
    error: string | null;
  };
  /** Connections that the sandbox asked the egress route for, gathered by host and decision. */
  "longhaul.egress": {
    host: string;
    port: number;
    decision: "allowed" | "denied";
    /** Which rule decided, in words. */
    reason: string;
    /** Connections since the last event of the same host, port and decision. */
    count: number;
  };
  /** Uses of a credential by one of the broker's routes, gathered by credential, host and decision. Never the value. */
  "longhaul.credential_used": {
    /** The session's own id for the token of an attached repository. */
    vault_id: string;
    /** The resource's id for the token of an attached repository. */
    credential_id: string;
    route: CredentialUse["route"];
    host: string;
    decision: CredentialUse["decision"];
    reason: string;
    count: number;
  };
  /** What an MCP server offers to this thread's agent; written when a connection shows something new. */
  "longhaul.mcp_tools": {
    mcp_server_name: string;
    url: string;
    /** What the server says of its use; null when nothing. */
    instructions: string | null;
    /** In the server's order; at most 256. */
    tools: McpToolFacts[];
    /** Tools that cannot be used, and why. */
    left_out: { name: string; reason: string }[];
  };
  /** The servers of this thread's agent were looked at for the turn. Failures are told by `session.error`. */
  "longhaul.mcp_connected": { servers: { mcp_server_name: string; state: "ready" | "failed"; duration_ms: number }[] };
  /** The agent wants to push and a person is asked; an earlier request for the same branch counts no more. */
  "longhaul.push_requested": Push & { request_id: string };
  "longhaul.push_decided": { request_id: string; result: "allow" | "deny"; deny_message: string | null };
  /** A server took a push of the agent's. */
  "longhaul.pushed": {
    /** Null when no person had to be asked. */
    request_id: string | null;
    repository_url: string;
    branch: string;
    old: string;
    new: string;
  };
  "longhaul.resource_added": { resource: SessionResource };
  "longhaul.resource_removed": { resource_id: string };
  /** Files of the outputs folder were stored as files of the session; what could not be says why. Long lists are cut. */
  "longhaul.outputs_stored": {
    /** Of all that were stored. */
    count: number;
    files: { file_id: string; path: string; size_bytes: number }[];
    skipped: { path: string; reason: string }[];
  };
  /**
   * A mounted memory store and its folder in the sandbox were made equal. `written` and `deleted` count memories, `updated`
   * files; nothing is told of a look that found nothing to do.
   */
  "longhaul.memory_synced": {
    memory_store_id: string;
    mount_path: string;
    written: number;
    deleted: number;
    updated: number;
    /** Memories that were changed on both sides: the store's version won, the agent's was kept under another path. */
    conflicts: number;
    /** Why nothing could be done; null when it was. */
    error: string | null;
  };
  /** The agent's commits were fetched into the person's repository as a branch; their files were not touched. */
  "longhaul.changes_brought_back": { mount_path: string; path: string; branch: string; commit: string };
}

type LonghaulEventMap = {
  [T in keyof LonghaulPayloads]: { id: string; type: T; processed_at: string } & LonghaulPayloads[T];
};

export type LonghaulEventType = keyof LonghaulEventMap;
export type LonghaulEvent = LonghaulEventMap[LonghaulEventType];
export type LonghaulEventOf<T extends LonghaulEventType> = LonghaulEventMap[T];

export type LedgerEvent = ContractEvent | LonghaulEvent;

/** An event as the ledger keeps it. Unknown types of later versions are kept too and skipped by readers (L8). */
export interface StoredEvent {
  /** Position in the session: 1, 2, 3, … without gaps. */
  seq: number;
  session_id: string;
  thread_id: string;
  /** ISO 8601 with milliseconds; when the append was made. */
  created_at: string;
  event: LedgerEvent;
}

type DistributiveDraft<E> = E extends LedgerEvent
  ? Omit<E, "id" | "processed_at"> & { id?: string; thread_id?: string }
  : never;

/**
 * An event before its append: the ledger adds `id` (unless given) and, except for client events, `processed_at`.
 * `thread_id` says which thread it belongs to and is not part of the event; default: the event's `session_thread_id`,
 * then the primary thread.
 */
export type EventDraft = DistributiveDraft<LedgerEvent>;

const QUEUED_TYPES = new Set<string>(["user.message", "user.interrupt", "user.tool_confirmation", "system.message"]);

/** True for client events that wait with `processed_at: null` until a `longhaul.inputs_consumed` names them (L6). */
export function isQueuedType(type: string): boolean {
  return QUEUED_TYPES.has(type);
}

/** True for events that SDK clients see. */
export function isContractEvent(event: LedgerEvent): event is ContractEvent {
  return !event.type.startsWith("longhaul.");
}
