/** Embedded sandboxes: nothing to install, a folder and a host process for each session (DESIGN.md §7). */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { SessionResource } from "../../contract/events.ts";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../../contract/local_api.ts";
import type { MemoryFiles } from "../memory/port.ts";
import type { CallState, ProvisionRequest, ProvisionResult, SandboxProvider } from "../port.ts";
import type { RepositoryRemotes } from "../resources/remote_source.ts";
import { sandboxesDir, sandboxLayout } from "./layout.ts";
import type { HostProgram } from "./link/launch.ts";
import { EmbeddedMemoryFiles } from "./memory/memory_files.ts";
import { listOutputs, readOutput } from "./results/outputs.ts";
import { EmbeddedSandbox, REMOVED, removeTree } from "./sandbox.ts";

const DEFAULT_IDLE_MS = 10 * 60_000;
const DEFAULT_PING_MS = 5000;

export interface EmbeddedOptions {
  /** Sandboxes are in the folder `sandboxes` of it. */
  dataDir: string;
  /** Path of the host script: `host.ts`, or what it was bundled to. */
  hostEntry: string;
  /** A host that was not used for so long ends by itself and is started again on demand. */
  idleMs?: number;
  /** How often a host that owes an answer is asked whether it is there; six silences and it is taken for dead. */
  pingMs?: number;
  /** Where repositories that are attached by URL are fetched from; absent: they cannot be attached. */
  remotes?: RepositoryRemotes | null;
}

/** The provider of embedded sandboxes. Cheap: nothing is started or read before the first call of a method. */
export function embeddedProvider(options: EmbeddedOptions): SandboxProvider {
  return new EmbeddedProvider(options);
}

class EmbeddedProvider implements SandboxProvider {
  readonly kind = "embedded";
  readonly #dataDir: string;
  readonly #program: HostProgram;
  readonly #remotes: RepositoryRemotes | null;
  readonly #sandboxes = new Map<string, EmbeddedSandbox>();

  constructor(options: EmbeddedOptions) {
    this.#dataDir = options.dataDir;
    this.#remotes = options.remotes ?? null;
    const { hostEntry: entry, idleMs = DEFAULT_IDLE_MS, pingMs = DEFAULT_PING_MS } = options;
    this.#program = { entry, idleMs, pingMs };
  }

  provision(request: ProvisionRequest): Promise<ProvisionResult> {
    return this.#sandbox(request.session_id).provision(request);
  }

  callState(sessionId: string, toolUseId: string): Promise<CallState> {
    return this.#sandbox(sessionId).callState(toolUseId);
  }

  changes(sessionId: string, resources: readonly SessionResource[]): Promise<RepositoryChanges[]> {
    return this.#sandbox(sessionId).changes(resources);
  }

  bringBack(
    sessionId: string,
    resources: readonly SessionResource[],
    mountPath: string | null,
  ): Promise<BroughtBack[]> {
    return this.#sandbox(sessionId).bringBack(sessionId, resources, mountPath);
  }

  outputs(sessionId: string): Promise<OutputFile[]> {
    return listOutputs(sandboxLayout(this.#dataDir, sessionId));
  }

  readOutput(sessionId: string, path: string): Promise<{ size: number; stream: Readable } | null> {
    return readOutput(sandboxLayout(this.#dataDir, sessionId), path);
  }

  memoryFiles(sessionId: string): MemoryFiles {
    return new EmbeddedMemoryFiles(sandboxLayout(this.#dataDir, sessionId));
  }

  /** The folder outlives the host process; there is nothing to copy. */
  checkpoint(): Promise<null> {
    return Promise.resolve(null);
  }

  async destroy(sessionId: string): Promise<void> {
    await this.#sandbox(sessionId).destroy();
    this.#sandboxes.delete(sessionId);
    await this.#finishRemovals();
  }

  async close(): Promise<void> {
    for (const sandbox of this.#sandboxes.values()) sandbox.close();
    this.#sandboxes.clear();
  }

  #sandbox(sessionId: string): EmbeddedSandbox {
    const known = this.#sandboxes.get(sessionId);
    if (known !== undefined) return known;
    const sandbox = new EmbeddedSandbox(sandboxLayout(this.#dataDir, sessionId), this.#program, this.#remotes);
    this.#sandboxes.set(sessionId, sandbox);
    return sandbox;
  }

  /** Removes what an earlier removal, cut off in the middle, left behind. */
  async #finishRemovals(): Promise<void> {
    const dir = sandboxesDir(this.#dataDir);
    const names = await readdir(dir).catch(() => []);
    for (const name of names) if (name.startsWith(REMOVED)) await removeTree(join(dir, name));
  }
}
