/** The hands of running sessions: provisioned when the model first needs them, then kept until the provider loses them. */
import type { EventDraft } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";
import { askedKind, knownKind, type SandboxProviders } from "../sandbox/choice.ts";
import type { SandboxMemory } from "../sandbox/memory/port.ts";
import {
  type CallState,
  type Hand,
  NoSandboxImage,
  type ProvisionStep,
  SandboxLost,
  type SandboxProvider,
  type SandboxVariable,
  ToolFailure,
} from "../sandbox/port.ts";
import type { BlobStore, Catalog } from "../session/catalog.ts";
import type { LiveDeltas } from "../session/live.ts";
import { attachedKey, skillMounts } from "./attachments.ts";
import type { Emit } from "./ports.ts";
import { SandboxSteps } from "./steps/sandbox_steps.ts";
import type { ThreadView } from "./thread_view.ts";

/** Why is in the timeline, for the person; the model needs to know what it has. */
const EMBEDDED_INSTEAD =
  "Containers cannot be used here now. This session has the embedded sandbox instead: a simulated shell with Python and " +
  "JavaScript, without git, compilers, package managers or network.";

/** The sandbox is there, an attached repository is not. */
class RepositoryMissing extends ToolFailure {
  constructor(why: string) {
    super(`An attached repository is missing, so nothing was run. ${why} Tell the person; a later call tries again.`);
  }
}

/** Variables that stand for credentials of the session's vaults. Rejects when the records or the broker are away. */
export type SessionVariables = (sessionId: string) => Promise<readonly SandboxVariable[]>;

export class HandPool {
  readonly #providers: SandboxProviders;
  readonly #catalog: Catalog;
  readonly #blobs: BlobStore;
  readonly #live: LiveDeltas;
  readonly #memory: SandboxMemory | null;
  readonly #variables: SessionVariables | null;
  readonly #hands = new Map<string, Promise<Hand>>();
  /** What was attached when the hand was provisioned. */
  readonly #attached = new WeakMap<Promise<Hand>, string>();
  readonly #failed = new WeakSet<Promise<Hand>>();

  /**
   * @param memory keeps mounted memory stores equal; null leaves them empty
   * @param variables of a session with vaults; null: none have any
   */
  constructor(
    providers: SandboxProviders,
    catalog: Catalog,
    blobs: BlobStore,
    live: LiveDeltas,
    memory: SandboxMemory | null = null,
    variables: SessionVariables | null = null,
  ) {
    this.#variables = variables;
    this.#memory = memory;
    this.#providers = providers;
    this.#catalog = catalog;
    this.#blobs = blobs;
    this.#live = live;
  }

  /** Starts provisioning without waiting: called while the arguments of the first call still stream. */
  warm(view: ThreadView, emit: Emit): void {
    const known = this.#current(view);
    if (known !== undefined && !this.#failed.has(known)) return;
    this.#start(view, emit);
  }

  /**
   * The session's hand. Rejects with SandboxLost when it cannot be provisioned: with the failure of the early start if
   * that failed, so that a slow failure is not waited for twice; with ToolFailure while an attached repository is missing.
   * The next call tries again.
   */
  get(view: ThreadView, emit: Emit): Promise<Hand> {
    const hand = this.#current(view) ?? this.#start(view, emit);
    hand.catch(() => {
      // After a drop a newer one may stand here.
      if (this.#hands.get(view.sessionId) === hand) this.#hands.delete(view.sessionId);
    });
    return hand;
  }

  /** The hand that has all that is attached now; what was attached since is brought in by provisioning again. */
  #current(view: ThreadView): Promise<Hand> | undefined {
    const known = this.#hands.get(view.sessionId);
    return known !== undefined && this.#attached.get(known) === attachedKey(view.fold) ? known : undefined;
  }

  #start(view: ThreadView, emit: Emit): Promise<Hand> {
    const before = this.#hands.get(view.sessionId);
    const provisioning = this.#provision(view, emit, before);
    this.#attached.set(provisioning, attachedKey(view.fold));
    this.#hands.set(view.sessionId, provisioning);
    // The call that needs the hand reports the failure.
    provisioning.catch(() => this.#failed.add(provisioning));
    return provisioning;
  }

  /** What the session's sandbox knows of a call; nothing is started. */
  async callState(fold: SessionFold, toolUseId: string): Promise<CallState> {
    const kind = knownKind(fold.sandbox);
    return kind === null ? "unknown" : this.#providers.of(kind).callState(fold.session_id, toolUseId);
  }

  /** Resolves when no provisioning of the session is under way; never rejects. */
  async settled(sessionId: string): Promise<void> {
    await this.#hands.get(sessionId)?.catch(() => undefined);
  }

  /**
   * Forgets a hand whose sandbox is gone, so that the next call provisions anew.
   * @param hand only this one: another call may have put a new one in its place already
   */
  drop(sessionId: string, hand?: Promise<Hand>): void {
    if (hand !== undefined && this.#hands.get(sessionId) !== hand) return;
    this.#hands.delete(sessionId);
    this.#memory?.forget(sessionId);
  }

  /** Call it before a session is told to be at rest: what the agent remembered is in its stores then. Never rejects. */
  async rest(fold: SessionFold): Promise<void> {
    const kind = knownKind(fold.sandbox);
    if (this.#memory !== null && kind !== null) await this.#memory.rest(this.#providers.of(kind), fold);
  }

  /**
   * Takes a checkpoint of a session that has come to rest. Resolves with the event that tells of it, or null when there
   * is nothing to tell; never rejects.
   */
  async checkpoint(fold: SessionFold): Promise<EventDraft | null> {
    const kind = knownKind(fold.sandbox);
    // Without a hand nothing was executed by this process, so there is nothing new to keep.
    if (kind === null || !this.#hands.has(fold.session_id)) return null;
    const started = performance.now();
    try {
      const taken = await this.#providers.of(kind).checkpoint(fold.session_id);
      return taken === null ? null : { type: "longhaul.sandbox_checkpoint", provider: kind, ...taken, error: null };
    } catch (reason) {
      const error = reason instanceof Error ? reason.message : String(reason);
      const duration_ms = Math.round(performance.now() - started);
      const failed = { provider: kind, checkpoint: null, size_bytes: 0, duration_ms, error };
      return { type: "longhaul.sandbox_checkpoint", ...failed };
    }
  }

  /** @param before the hand that lacks what was attached since */
  async #provision(view: ThreadView, emit: Emit, before: Promise<Hand> | undefined): Promise<Hand> {
    // A provider answers two requests at a time with one sandbox, as the first of them asked for it.
    const changed = (await before?.catch(() => null)) != null;
    const asked = askedKind(view.fold.environment.metadata);
    const known = knownKind(view.fold.sandbox);
    let provider: SandboxProvider;
    try {
      provider = known === null ? await this.#providers.choose(asked) : this.#providers.of(known);
    } catch (error) {
      throw await lost(emit, asked ?? "docker", [], error);
    }
    try {
      return await this.#provisionWith(provider, { told: null, changed }, view, emit);
    } catch (error) {
      const instead = known === null && error instanceof NoSandboxImage ? this.#providers.instead(asked) : null;
      if (instead === null) throw error;
      return this.#provisionWith(instead, { told: EMBEDDED_INSTEAD, changed }, view, emit);
    }
  }

  /**
   * @param why.told what the model must be told with the first result; null: what the provider says
   * @param why.changed the sandbox was at hand, but not with all that is attached now
   */
  async #provisionWith(
    provider: SandboxProvider,
    why: { told: string | null; changed: boolean },
    view: ThreadView,
    emit: Emit,
  ): Promise<Hand> {
    const started = performance.now();
    const { fold, sessionId } = view;
    const lostBefore = fold.sandbox?.state === "lost" ? "replaced" : "first_tool_call";
    const cause = why.changed ? "resources_changed" : lostBefore;
    await emit([{ type: "longhaul.sandbox_provisioning", provider: provider.kind, cause }]);
    const steps = new SandboxSteps(emit);
    try {
      const missing: string[] = [];
      const onStep = (step: ProvisionStep): void => {
        if (step.repository !== undefined) missing.push(step.error ?? step.repository.url);
        steps.add(step);
      };
      const {
        hand: made,
        adopted,
        how,
        notice,
      } = await provider.provision({
        ...(await this.#variablesOf(fold)),
        session_id: sessionId,
        environment: fold.environment,
        resources: fold.resources,
        skills: skillMounts(fold, this.#blobs),
        detached: fold.detached ?? [],
        had_sandbox: knownKind(fold.sandbox) !== null,
        onStep,
        onProgress: (text) => this.#live.publish(sessionId, { type: "sandbox_progress", text }),
        readFile: (fileId) => this.#readFile(fileId),
      });
      const hand = (await this.#memory?.mounted(provider, fold, made, onStep)) ?? made;
      const duration_ms = Math.round(performance.now() - started);
      const ready = { provider: provider.kind, duration_ms, adopted, how, notice: why.told ?? notice };
      await emit([...(await steps.rest()), { type: "longhaul.sandbox_ready", ...ready }]);
      // Work without the repository that it is about would be work in the wrong place. The next call tries once more.
      if (missing.length > 0) throw new RepositoryMissing(missing.join(" "));
      return hand;
    } catch (error) {
      if (error instanceof RepositoryMissing) throw error;
      throw await lost(emit, provider.kind, await steps.rest(), error);
    }
  }

  async #variablesOf({ vault_ids, session_id }: SessionFold): Promise<{ variables?: readonly SandboxVariable[] }> {
    if (vault_ids.length === 0 || this.#variables === null) return {};
    return { variables: await this.#variables(session_id) };
  }

  async #readFile(fileId: string): Promise<{ filename: string; bytes: Uint8Array }> {
    const file = await this.#catalog.getFile(fileId);
    if (file === null) throw new SandboxLost(`The attached file ${fileId} was deleted, so it cannot be mounted.`);
    return { filename: file.filename, bytes: await this.#blobs.get(file.sha256) };
  }
}

/** Writes down that there is no sandbox. Resolves with the error for the call that needed it. */
async function lost(emit: Emit, provider: string, steps: EventDraft[], error: unknown): Promise<SandboxLost> {
  const reason = error instanceof Error ? error.message : String(error);
  await emit([...steps, { type: "longhaul.sandbox_lost", provider, reason }]);
  return error instanceof SandboxLost ? error : new SandboxLost(`The sandbox could not be provisioned: ${reason}`);
}
