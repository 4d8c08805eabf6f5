/**
 * Who may call what (contract.md §4.1). Routes that are not in the table are the API key's alone. Rows are tried from
 * the top; the first whose method and path fit decides.
 */
import type { Caller } from "../../workers/port.ts";

export type CallerKind = Caller["kind"];

export interface AccessRow {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  /** `:environment`, `:work`, `:session`, `:skill` and `:store` are checked to be the caller's own; other names are not. */
  path: string;
  /** Classes of callers that may call it, for what is theirs. */
  allows: readonly CallerKind[];
  /** The route changes what is in the memory store: refused for a store that is attached read-only. */
  writes_memory?: true;
  /** An item token may still call it when its item has stopped, to hear of that. */
  after_stop?: true;
}

const PERSON: readonly CallerKind[] = ["api_key"];
const POLLER: readonly CallerKind[] = ["environment_key"];
const WORKER: readonly CallerKind[] = ["environment_key", "item_token"];
const ANYONE: readonly CallerKind[] = ["api_key", "environment_key", "item_token"];
/** Memories are one session's: an environment's standing key does not open them. */
const ITEM: readonly CallerKind[] = ["api_key", "item_token"];

const WORK = "/v1/environments/:environment/work";
const SESSION = "/v1/sessions/:session";
const VERSION = "/v1/skills/:skill/versions/:version";
const MEMORIES = "/v1/memory_stores/:store/memories";

export const ACCESS: readonly AccessRow[] = [
  { method: "GET", path: WORK, allows: POLLER },
  { method: "GET", path: `${WORK}/poll`, allows: POLLER },
  { method: "GET", path: `${WORK}/stats`, allows: PERSON },
  { method: "GET", path: `${WORK}/:work`, allows: PERSON },
  { method: "POST", path: `${WORK}/:work`, allows: PERSON },
  { method: "POST", path: `${WORK}/:work/ack`, allows: WORKER, after_stop: true },
  { method: "POST", path: `${WORK}/:work/heartbeat`, allows: WORKER, after_stop: true },
  { method: "POST", path: `${WORK}/:work/stop`, allows: ANYONE, after_stop: true },
  { method: "GET", path: SESSION, allows: ANYONE },
  { method: "GET", path: `${SESSION}/events`, allows: ANYONE },
  { method: "GET", path: `${SESSION}/events/stream`, allows: ANYONE },
  { method: "POST", path: `${SESSION}/events`, allows: ANYONE },
  { method: "GET", path: VERSION, allows: ANYONE },
  { method: "GET", path: `${VERSION}/content`, allows: ANYONE },
  { method: "GET", path: MEMORIES, allows: ITEM },
  { method: "POST", path: MEMORIES, allows: ITEM, writes_memory: true },
  { method: "GET", path: `${MEMORIES}/:memory`, allows: ITEM },
  { method: "POST", path: `${MEMORIES}/:memory`, allows: ITEM, writes_memory: true },
  { method: "PATCH", path: `${MEMORIES}/:memory`, allows: ITEM, writes_memory: true },
  { method: "DELETE", path: `${MEMORIES}/:memory`, allows: ITEM, writes_memory: true },
];

/** Client events that a worker may send: what it was asked for. */
export const WORKER_EVENTS = ["user.tool_result", "user.custom_tool_result"] as const;
