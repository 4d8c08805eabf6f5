/**
 * Port: hands. A hand is anything that executes a named call and answers with a string: a container, an embedded
 * shell, a remote worker. Adapters under `embedded/` (and later `docker/`); each passes `sandbox_suite.ts`.
 */

import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { SessionResource } from "../contract/events.ts";
import type { RepositoryChanges } from "../contract/local_api.ts";

/** Options of one call. The same `tool_use_id` twice is the same execution: the second attaches to the first. */
export interface ExecuteCall {
  tool_use_id: string;
  /** Aborting asks the sandbox to stop the call; `execute` then rejects with {@link CallInterrupted}. */
  signal: AbortSignal;
  /** Live output for watchers; never stored. */
  onOutput?: (chunk: string) => void;
}

export interface Hand {
  /**
   * Runs a tool and resolves with the text that the model sees.
   * Rejects with {@link ToolFailure} (the tool ran and failed: an error result), {@link OutcomeUnknown},
   * {@link CallInterrupted} or {@link SandboxLost}; with nothing else.
   */
  execute(name: string, input: unknown, call: ExecuteCall): Promise<string>;
}

/** How the id of a call relates to earlier executions, asked on recovery before `execute` is repeated. */
export type CallState = "unknown" | "running" | "done" | "lost";

export interface ProvisionRequest {
  session_id: string;
  environment: Pick<BetaEnvironment, "id" | "name" | "config">;
  resources: readonly SessionResource[];
  /** Told about each step as it ends (an event in the timeline). */
  onStep: (step: { step: string; duration_ms: number; error: string | null }) => void;
  /** Opens the bytes of an uploaded file. */
  readFile: (fileId: string) => Promise<{ filename: string; bytes: Uint8Array }>;
}

export interface ProvisionResult {
  hand: Hand;
  /** True when the sandbox of an earlier process was found alive and taken on. */
  adopted: boolean;
}

export interface SandboxProvider {
  readonly kind: "embedded" | "docker";
  /** Builds the session's sandbox or adopts the one that is there. Idempotent; concurrent calls share one sandbox. */
  provision(request: ProvisionRequest): Promise<ProvisionResult>;
  /** What is known of a call id in the session's sandbox without starting anything. */
  callState(sessionId: string, toolUseId: string): Promise<CallState>;
  /** Changes of every `local_repository`; an empty list when the sandbox was never provisioned. */
  changes(sessionId: string, resources: readonly SessionResource[]): Promise<RepositoryChanges[]>;
  /** Removes the sandbox and its files for good (the session was deleted). Idempotent. */
  destroy(sessionId: string): Promise<void>;
  /** Lets go of connections; sandboxes and what runs in them go on. */
  close(): Promise<void>;
}

/** The tool ran and reports failure: `message` is the error text the model sees. */
export class ToolFailure extends Error {
  override readonly name = "ToolFailure";
}

/** The sandbox is gone or cannot be made. `message` says what happened and what the model can do. */
export class SandboxLost extends Error {
  override readonly name = "SandboxLost";
}

/** The call had started and its sandbox died before it reported: it may or may not have taken effect. */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
}

/** The call was stopped on request. */
export class CallInterrupted extends Error {
  override readonly name = "CallInterrupted";
}
