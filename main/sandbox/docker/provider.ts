/** Docker sandboxes: a container per session that outlives this process and is replaced when it dies (DESIGN.md §7). */
import type { Readable } from "node:stream";
import type { SessionResource } from "../../contract/events.ts";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../../contract/local_api.ts";
import type { MemoryFiles } from "../memory/port.ts";
import type { CallState, Checkpoint, ProvisionRequest, ProvisionResult, SandboxProvider } from "../port.ts";
import { type DockerProviderOptions, Installation } from "./life/installation.ts";
import { DockerSandbox } from "./life/sandbox.ts";

export type { DockerProviderOptions };

/** The provider of Docker sandboxes. Nothing is contacted, read or started before the first call of a method. */
export function dockerProvider(options: DockerProviderOptions): SandboxProvider {
  return new DockerProvider(options);
}

class DockerProvider implements SandboxProvider {
  readonly kind = "docker";
  readonly #install: Installation;
  readonly #sandboxes = new Map<string, DockerSandbox>();

  constructor(options: DockerProviderOptions) {
    this.#install = new Installation(options);
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
    return this.#sandbox(sessionId).bringBack(resources, mountPath);
  }

  outputs(sessionId: string): Promise<OutputFile[]> {
    return this.#sandbox(sessionId).outputs();
  }

  readOutput(sessionId: string, path: string): Promise<{ size: number; stream: Readable } | null> {
    return this.#sandbox(sessionId).readOutput(path);
  }

  memoryFiles(sessionId: string): MemoryFiles {
    return this.#sandbox(sessionId).memoryFiles();
  }

  checkpoint(sessionId: string): Promise<Checkpoint | null> {
    return this.#sandbox(sessionId).checkpoint();
  }

  async destroy(sessionId: string): Promise<void> {
    await this.#sandbox(sessionId).destroy();
    this.#sandboxes.delete(sessionId);
  }

  async close(): Promise<void> {
    for (const sandbox of this.#sandboxes.values()) sandbox.close();
    this.#sandboxes.clear();
    this.#install.close();
  }

  #sandbox(sessionId: string): DockerSandbox {
    const known = this.#sandboxes.get(sessionId);
    if (known !== undefined) return known;
    const sandbox = new DockerSandbox(this.#install, sessionId);
    this.#sandboxes.set(sessionId, sandbox);
    return sandbox;
  }
}
