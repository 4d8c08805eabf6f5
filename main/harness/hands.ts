/** The hands of running sessions: provisioned when the model first needs them, then kept until the provider loses them. */
import type { EventDraft } from "../contract/events.ts";
import { type Hand, SandboxLost, type SandboxProvider } from "../sandbox/port.ts";
import type { BlobStore, Catalog } from "../session/catalog.ts";
import type { Emit } from "./ports.ts";
import type { SessionView } from "./session_view.ts";

export class HandPool {
  readonly provider: SandboxProvider;
  readonly #catalog: Catalog;
  readonly #blobs: BlobStore;
  readonly #hands = new Map<string, Promise<Hand>>();

  constructor(provider: SandboxProvider, catalog: Catalog, blobs: BlobStore) {
    this.provider = provider;
    this.#catalog = catalog;
    this.#blobs = blobs;
  }

  /** Starts provisioning without waiting: called while the arguments of the first call still stream. */
  warm(view: SessionView, emit: Emit): void {
    // A failure is reported by the call that needs the hand; here it must only not be unhandled.
    this.get(view, emit).catch(() => undefined);
  }

  /** The session's hand. Rejects with SandboxLost when it cannot be provisioned; the next call tries again. */
  get(view: SessionView, emit: Emit): Promise<Hand> {
    const known = this.#hands.get(view.sessionId);
    if (known !== undefined) return known;
    const provisioning = this.#provision(view, emit);
    this.#hands.set(view.sessionId, provisioning);
    provisioning.catch(() => {
      // After a drop a newer one may stand here.
      if (this.#hands.get(view.sessionId) === provisioning) this.#hands.delete(view.sessionId);
    });
    return provisioning;
  }

  /** Resolves when no provisioning of the session is under way; never rejects. */
  async settled(sessionId: string): Promise<void> {
    await this.#hands.get(sessionId)?.catch(() => undefined);
  }

  /** Forgets a hand whose sandbox is gone, so that the next call provisions anew. */
  drop(sessionId: string): void {
    this.#hands.delete(sessionId);
  }

  async #provision(view: SessionView, emit: Emit): Promise<Hand> {
    const started = performance.now();
    const provider = this.provider.kind;
    const replaced = view.fold.sandbox?.state === "lost";
    await emit([{ type: "longhaul.sandbox_provisioning", provider, cause: replaced ? "replaced" : "first_tool_call" }]);
    const steps: EventDraft[] = [];
    try {
      const { hand, adopted } = await this.provider.provision({
        session_id: view.sessionId,
        environment: view.fold.environment,
        resources: view.fold.resources,
        onStep: (step) => steps.push({ type: "longhaul.sandbox_step", ...step }),
        readFile: (fileId) => this.#readFile(fileId),
      });
      const duration_ms = Math.round(performance.now() - started);
      await emit([...steps, { type: "longhaul.sandbox_ready", provider, duration_ms, adopted }]);
      return hand;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      await emit([...steps, { type: "longhaul.sandbox_lost", provider, reason }]);
      throw error instanceof SandboxLost ? error : new SandboxLost(`The sandbox could not be provisioned: ${reason}`);
    }
  }

  async #readFile(fileId: string): Promise<{ filename: string; bytes: Uint8Array }> {
    const file = await this.#catalog.getFile(fileId);
    if (file === null) throw new SandboxLost(`The attached file ${fileId} was deleted, so it cannot be mounted.`);
    return { filename: file.filename, bytes: await this.#blobs.get(file.sha256) };
  }
}
