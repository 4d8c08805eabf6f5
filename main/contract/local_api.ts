/** Shapes of the local API under `/longhaul/v1`, shared by the engine, the renderer and the command line. */

import type { StoredEvent } from "./events.ts";
import type { SessionFold } from "./fold.ts";
import type { Work } from "./work.ts";

/** What runs a session right now. Derived from live leases and the orchestrator's queue, never stored. */
export type Activity = "running" | "queued" | null;

/** A row of the session list, and the head of a timeline. */
export interface SessionSummary {
  id: string;
  fold: SessionFold;
  activity: Activity;
  work: Work;
}

export interface SessionSummaryPage {
  data: SessionSummary[];
  next_page: string | null;
}

export interface HealthCheck {
  state: "ok" | "degraded" | "missing";
  /** One line: what was found. */
  summary: string;
  /** What works without it, and how to get it; null when nothing is missing. */
  advice: string | null;
}

/** Answer of `GET /longhaul/v1/health`. */
export interface Health {
  version: string;
  pid: number;
  started_at: string;
  data_dir: string;
  model: HealthCheck & { source: "environment" | "vault" | "demo"; endpoint: string };
  sandbox: HealthCheck & { provider: "embedded" | "docker" };
  keychain: HealthCheck;
  ledger: HealthCheck & { sqlite: string; sessions: number };
  auto_resume: boolean;
}

/** What the agent changed in one attached repository since it entered the sandbox. */
export interface RepositoryChanges {
  mount_path: string;
  /** Path of the user's repository. */
  path: string;
  /** Unified diff that `git apply` takes in the user's repository; empty when nothing changed. */
  patch: string;
  files: ChangedFile[];
  /** What the patch leaves out or how it was made, in words; missing when there is nothing to say. */
  note?: string;
}

export interface ChangedFile {
  path: string;
  status: "added" | "modified" | "deleted";
  additions: number;
  deletions: number;
  binary: boolean;
}

/** Body of `POST /longhaul/v1/sessions/{id}/changes/bring_back`; an empty body brings back every repository. */
export interface BringBackParams {
  mount_path?: string;
}

/** One repository whose changes are now a branch of the person's repository. */
export interface BroughtBack {
  mount_path: string;
  /** Path of the user's repository. */
  path: string;
  /** `longhaul/<session>`, or with a number behind it where that name was taken. */
  branch: string;
  /** Commit that the branch points at. */
  commit: string;
  /** The agent's own commits, and one more when uncommitted work was left. */
  commits: number;
}

/** A file that the agent left under `/mnt/session/outputs`; its bytes are at `GET …/outputs/{path}`. */
export interface OutputFile {
  /** Relative to the outputs folder, with slashes. */
  path: string;
  /** Bytes. */
  size: number;
  /** ISO 8601. */
  modified_at: string;
}

/** Files of an answer of `GET …/outputs`; a longer list is cut. */
export const MAX_OUTPUTS = 10_000;

/** Answer of `GET /longhaul/v1/sessions/{id}/outputs`. */
export interface OutputList {
  data: OutputFile[];
  /** What is not in the list and why, in words; null when it is complete. */
  note: string | null;
}

/** Answer of `GET /longhaul/v1/sessions/{id}/requests/{model_request_start_id}`: the exact request, rebuilt. */
export interface RequestContext {
  model_request_start_id: string;
  /** The request as it was sent, parsed. */
  request: Record<string, unknown>;
  bytes: number;
  sha256: string;
  /** True when the rebuilt bytes have the hash recorded when the request was sent. */
  matches: boolean;
}

/** Text of an assistant message while it streams; the buffered event with the same id replaces it. */
export type PreviewFrame =
  | { type: "event_start"; event: { type: "agent.message" | "agent.thinking"; id: string } }
  | {
      type: "event_delta";
      event_id: string;
      delta: { type: "content_delta"; index: number; content: { type: "text"; text: string } };
    };

/**
 * Frames of `GET /longhaul/v1/sessions/{id}/timeline?after=<seq>` (server-sent events; the SSE `event:` is `type`).
 * First every stored event after `seq`, then `caught_up`, then live frames. Large bodies stay markers ({@link BlobMarker}).
 */
export type TimelineFrame =
  | { type: "stored"; stored: StoredEvent }
  | { type: "caught_up"; seq: number }
  /** `thread_id`: the thread whose answer streams. */
  | { type: "preview"; thread_id: string; frame: PreviewFrame }
  | { type: "tool_output"; tool_use_id: string; chunk: string }
  /** A line about what provisioning does now, for example a layer that is pulled; never stored. */
  | { type: "sandbox_progress"; text: string }
  | { type: "activity"; activity: Activity; work: Work }
  | { type: "deleted" };

/** Frames of `GET /longhaul/v1/stream`: the session list as it changes, coalesced to at most 10 per second and session. */
export type ListFrame = { type: "summary"; summary: SessionSummary } | { type: "deleted"; id: string };

/** Stands in an event for a string of a body over 64 KiB; the bytes are at `GET /longhaul/v1/blobs/{sha256}`. */
export interface BlobMarker {
  longhaul_blob: string;
  bytes: number;
  preview: string;
}
