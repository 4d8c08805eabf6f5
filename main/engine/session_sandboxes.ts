/** What the API asks of a session's sandbox, whichever provider has it. A session that never had one is answered at once. */
import type { Readable } from "node:stream";
import type { SessionFold } from "../contract/fold.ts";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../contract/local_api.ts";
import { knownKind, type SandboxProviders } from "../sandbox/choice.ts";
import { BringBackRefused, type SandboxProvider } from "../sandbox/port.ts";
import type { Ledger } from "../session/ledger.ts";

export class SessionSandboxes {
  readonly #ledger: Pick<Ledger, "getSession">;
  readonly #providers: SandboxProviders;

  constructor(ledger: Pick<Ledger, "getSession">, providers: SandboxProviders) {
    this.#ledger = ledger;
    this.#providers = providers;
  }

  async changes(sessionId: string): Promise<RepositoryChanges[]> {
    const found = await this.#find(sessionId);
    return found === null ? [] : found.provider.changes(sessionId, found.fold.resources);
  }

  /** Rejects with {@link BringBackRefused}. */
  async bringBack(sessionId: string, mountPath: string | null): Promise<BroughtBack[]> {
    const found = await this.#find(sessionId);
    if (found === null) {
      throw new BringBackRefused("The session has not used its sandbox yet, so there is nothing to bring back.");
    }
    return found.provider.bringBack(sessionId, found.fold.resources, mountPath);
  }

  async outputs(sessionId: string): Promise<OutputFile[]> {
    return (await this.#find(sessionId))?.provider.outputs(sessionId) ?? [];
  }

  async readOutput(sessionId: string, path: string): Promise<{ size: number; stream: Readable } | null> {
    return (await this.#find(sessionId))?.provider.readOutput(sessionId, path) ?? null;
  }

  /** Removes the sandbox of a session that is no more. What an engine that is away keeps, the janitor removes later. */
  async destroy(fold: SessionFold): Promise<void> {
    const kind = knownKind(fold.sandbox) ?? fold.sandbox?.provider;
    if (kind === undefined) return;
    await this.#providers.of(kind === "docker" ? "docker" : "embedded").destroy(fold.session_id);
  }

  async #find(sessionId: string): Promise<{ provider: SandboxProvider; fold: SessionFold } | null> {
    const record = await this.#ledger.getSession(sessionId);
    const kind = knownKind(record?.fold.sandbox ?? null);
    return record === null || kind === null ? null : { provider: this.#providers.of(kind), fold: record.fold };
  }
}
