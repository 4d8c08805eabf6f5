/** What the API asks of a session's sandbox, whichever provider has it. A session that never had one is answered at once. */
import { pipeline, type Readable } from "node:stream";
import type { SessionFold } from "../contract/fold.ts";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../contract/local_api.ts";
import type { SecretScanner } from "../contract/secrets/scanner.ts";
import { knownKind, type SandboxProviders } from "../sandbox/choice.ts";
import { BringBackRefused, type SandboxProvider } from "../sandbox/port.ts";
import type { Ledger } from "../session/ledger.ts";
import { scrubBytes, scrubStrings } from "./secrets/scrub.ts";

export class SessionSandboxes {
  readonly #ledger: Pick<Ledger, "getSession">;
  readonly #providers: SandboxProviders;
  readonly #secrets: SecretScanner;

  /** @param secrets values that are masked in whatever is shown of a sandbox */
  constructor(ledger: Pick<Ledger, "getSession">, providers: SandboxProviders, secrets: SecretScanner) {
    this.#ledger = ledger;
    this.#providers = providers;
    this.#secrets = secrets;
  }

  async changes(sessionId: string): Promise<RepositoryChanges[]> {
    const found = await this.#find(sessionId);
    if (found === null) return [];
    return scrubStrings(await found.provider.changes(sessionId, found.fold.resources), this.#secrets);
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
    const output = await (await this.#find(sessionId))?.provider.readOutput(sessionId, path);
    if (output == null || !this.#secrets.active) return output ?? null;
    const clean = scrubBytes(this.#secrets);
    pipeline(output.stream, clean, () => undefined);
    return { size: output.size, stream: clean };
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
