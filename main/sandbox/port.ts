/**
 * Port: hands. A hand is anything that executes a named call and answers with a string: a container, an embedded
 * shell, a remote worker. Adapters under `embedded/` and `docker/`; each passes `sandbox_suite.ts`.
 */

import type { Readable } from "node:stream";
import type { SandboxOrigin, SessionResource, SessionSnapshot } from "../contract/events.ts";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../contract/local_api.ts";
import type { SkillFile } from "../contract/skills/session_skills.ts";
import type { VariableGrant } from "../contract/vaults/grants.ts";
import type { MemoryFiles } from "./memory/port.ts";

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

/** A skill to put in place: the agent's own files from then on. */
export interface SkillMount {
  /** Of its version. */
  id: string;
  name: string;
  /** Its folder in the sandbox. */
  path: string;
  /** Rejects with an Error that says why the files cannot be had. */
  read(): Promise<readonly SkillFile[]>;
}

export type FileResource = Extract<SessionResource, { type: "file" }>;

/** A variable whose value only the broker has: the sandbox holds the placeholder, and the value goes to its hosts alone. */
export type SandboxVariable = Pick<VariableGrant, "name" | "placeholder" | "hosts" | "credential">;

/** Why a repository is not there, as the contract tells these apart. */
export type RepositoryProblem = "authentication" | "forbidden" | "not_found" | "checkout" | "clone";

/** A step of a provisioning that has ended. */
export interface ProvisionStep {
  step: string;
  duration_ms: number;
  error: string | null;
  /** Set when the step was to bring in a repository by its URL and failed: the session goes on without it. */
  repository?: { url: string; problem: RepositoryProblem };
  /** Set when a credential is for a host that the environment's network does not allow. */
  credential?: { vault_id: string; credential_id: string };
}

export interface ProvisionRequest {
  session_id: string;
  /** `metadata` may hold sandbox settings, see `docker/settings.ts`. */
  environment: SessionSnapshot["environment"];
  resources: readonly SessionResource[];
  /** Absent: none. */
  skills?: readonly SkillMount[];
  /**
   * Variables that stand for credentials. Absent: the session has no vaults. An empty list: it has none now, which takes
   * back what an adopted sandbox was told.
   */
  variables?: readonly SandboxVariable[];
  /** Files that were attached once and shall be there no longer; absent: none. */
  detached?: readonly FileResource[];
  /** True when the session's events tell of an earlier sandbox: if it cannot be found, something was lost. */
  had_sandbox: boolean;
  /** Told about each step as it ends (an event in the timeline). */
  onStep: (step: ProvisionStep) => void;
  /** Told what is going on inside a long step, a line at a time; never stored. */
  onProgress: (text: string) => void;
  /** Opens the bytes of an uploaded file. */
  readFile: (fileId: string) => Promise<{ filename: string; bytes: Uint8Array }>;
}

export interface ProvisionResult {
  hand: Hand;
  /** True when the sandbox of an earlier process was found alive and taken on. */
  adopted: boolean;
  how: SandboxOrigin;
  /** What the model must be told with the next result because files or processes were lost; null when nothing was. */
  notice: string | null;
}

export interface Checkpoint {
  /** Name of the copy. */
  checkpoint: string;
  size_bytes: number;
  duration_ms: number;
}

export type SandboxKind = "embedded" | "docker";

export interface SandboxProvider {
  readonly kind: SandboxKind;
  /**
   * Builds the session's sandbox or takes on the one that is there. Idempotent; concurrent calls share one sandbox.
   * Rejects with {@link SandboxLost}.
   */
  provision(request: ProvisionRequest): Promise<ProvisionResult>;
  /** What is known of a call id in the session's sandbox without starting anything. */
  callState(sessionId: string, toolUseId: string): Promise<CallState>;
  /**
   * Changes of every attached repository; an empty list when the sandbox was never provisioned. Rejects with
   * {@link ChangesUnavailable}.
   */
  changes(sessionId: string, resources: readonly SessionResource[]): Promise<RepositoryChanges[]>;
  /**
   * Makes the changes of one repository, or of all, a branch `longhaul/<session>` of the person's repository. Their
   * files, index, hooks and config take no part. Repositories that did not change are not in the list. Rejects with
   * {@link BringBackRefused}.
   */
  bringBack(sessionId: string, resources: readonly SessionResource[], mountPath: string | null): Promise<BroughtBack[]>;
  /**
   * Files under `/mnt/session/outputs`, by path, at most `MAX_OUTPUTS + 1` of them; an empty list when the sandbox was
   * never provisioned.
   */
  outputs(sessionId: string): Promise<OutputFile[]>;
  /** The bytes of one of them; null when there is no such regular file. `path` is relative to the outputs folder. */
  readOutput(sessionId: string, path: string): Promise<{ size: number; stream: Readable } | null>;
  /** The mounts of the session's memory stores. Without it whoever serves the tools keeps them equal to the stores. */
  memoryFiles?(sessionId: string): MemoryFiles;
  /**
   * Takes a copy of the sandbox's files from which a removed sandbox can be rebuilt; null when none is needed (nothing
   * ran since the last one, or the files outlive the sandbox anyway). Rejects when it cannot be taken.
   */
  checkpoint(sessionId: string): Promise<Checkpoint | null>;
  /** Removes the sandbox and its files for good (the session was deleted). Idempotent. */
  destroy(sessionId: string): Promise<void>;
  /** Lets go of connections; sandboxes and what runs in them go on. */
  close(): Promise<void>;
}

/** The changes cannot be brought back; `message` names the repository, what is in the way and what to do. */
export class BringBackRefused extends Error {
  override readonly name = "BringBackRefused";
}

/** What the agent changed cannot be told now; `message` names the repository and what to do. */
export class ChangesUnavailable extends Error {
  override readonly name = "ChangesUnavailable";
}

/** The tool ran and reports failure: `message` is the error text the model sees. */
export class ToolFailure extends Error {
  override readonly name = "ToolFailure";
}

/** The sandbox is gone or cannot be made. `message` says what happened and what the model can do. */
export class SandboxLost extends Error {
  override readonly name: string = "SandboxLost";
}

/** The sandbox was found gone before the call reached it, and there is a copy: provision again, then make the call. */
export class SandboxRebuildable extends SandboxLost {}

/** The image that this version makes sandboxes of is not there and could not be made. Nothing was made of the sandbox. */
export class NoSandboxImage extends SandboxLost {}

/** The call had started and its sandbox died before it reported: it may or may not have taken effect. */
export class OutcomeUnknown extends Error {
  override readonly name = "OutcomeUnknown";
}

/** The call was stopped on request. */
export class CallInterrupted extends Error {
  override readonly name = "CallInterrupted";
}
