/** The life of one session's container: found, made, started again, rebuilt, and the channel to what runs in it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { EventDraft } from "../../../contract/events.ts";
import { type ProvisionRequest, type ProvisionResult, SandboxLost, SandboxRebuildable } from "../../port.ts";
import type { DockerContainer } from "../container/container.ts";
import { engineGone } from "../container/engine_call.ts";
import { removeDetached } from "../resources/detached.ts";
import { placeGitConfig, routedRepositories } from "../resources/git_config.ts";
import { placeResources } from "../resources/place.ts";
import { placeSkills } from "../resources/skills.ts";
import { sandboxSettings } from "../settings.ts";
import { placeVariables } from "../variables/place.ts";
import { buildContainer, discard } from "./build.ts";
import type { DispatchLog } from "./calls/dispatch_log.ts";
import type { Link } from "./calls/link.ts";
import { listCheckpoints, type StoredCheckpoint } from "./checkpoints/checkpoints.ts";
import { Connection } from "./connection.ts";
import { type Found, markReady, type Owner, settledContainer, whileMaking } from "./find.ts";
import type { Installation } from "./installation.ts";
import { deathText, lostText, removedText, restartedNotice, restoredNotice, startedAfreshNotice } from "./words.ts";

/** Times that the container may be made or taken away by somebody else meanwhile, before it is given up. */
const RACES = 5;
const TAKEN_AWAY = "The sandbox's container was taken away each time that it was reached for. Call again in a while.";

type UsedEngine = Awaited<ReturnType<Installation["engine"]>>;
export type Origin = Pick<ProvisionResult, "how" | "notice">;

export class ContainerLife {
  readonly connection: Connection;
  readonly #install: Installation;
  readonly #owner: Owner;
  readonly #log: DispatchLog;
  #request: ProvisionRequest | null = null;
  #linking: Promise<Link> | null = null;
  /** What changes the container follows each other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The loss of the files was told in an error; the next provisioning starts with new ones. */
  #toldLoss = false;

  constructor(install: Installation, owner: Owner, log: DispatchLog) {
    this.#install = install;
    this.#owner = owner;
    this.#log = log;
    this.connection = new Connection(install, owner);
  }

  /** Finds or makes the container and reaches its runner. Rejects with SandboxLost. */
  provision(request: ProvisionRequest): Promise<Origin> {
    return this.inTurn(async () => {
      this.#request = request;
      for (let race = 0; race < RACES; race += 1) {
        const { engine, found } = await (request.had_sandbox ? this.patiently(() => this.#find()) : this.#find());
        this.connection.network = await this.#install.networks(engine.docker).attach({
          session_id: this.#owner.session,
          config: request.environment.config,
          runtime: request.environment.metadata?.["longhaul.runtime"] ?? null,
          repositories: request.resources.some(({ type }) => type === "github_repository"),
          intercept: (request.variables ?? []).length > 0,
        });
        const origin = found === null ? await this.#make(engine, request) : await this.#takeOn(engine, found, request);
        if (origin !== null) return origin;
      }
      throw new SandboxLost(TAKEN_AWAY);
    });
  }

  async #find(): Promise<{ engine: UsedEngine; found: Found | null }> {
    const engine = await this.#install.engine();
    return { engine, found: await settledContainer(engine.docker, this.#owner) };
  }

  /** Null when it is gone meanwhile. */
  async #takeOn(engine: UsedEngine, found: Found, request: ProvisionRequest): Promise<Origin | null> {
    if ((await this.connection.attach(engine.docker, found, request.onStep)) === null) return null;
    await this.#place(found.container, request);
    this.#toldLoss = false;
    if (found.status !== "stopped") return { how: "adopted", notice: null };
    return { how: "restarted", notice: restartedNotice(found.oomKilled, found.memoryBytes) };
  }

  /** Null when another provider made the container meanwhile. */
  async #make(engine: UsedEngine, request: ProvisionRequest): Promise<Origin | null> {
    this.connection.close();
    const { docker } = engine;
    const [checkpoint] = await listCheckpoints(docker, this.#owner);
    this.#log.containerLost();
    if (checkpoint === undefined && request.had_sandbox && !this.#toldLoss) {
      this.#toldLoss = true;
      throw new SandboxLost(lostText());
    }
    const { network } = this.connection;
    if (network === null) throw new SandboxLost("The sandbox's network was let go of. Call again.");
    this.connection.memoryBytes = sandboxSettings(request.environment.metadata, engine.cpus).memory_bytes;
    return whileMaking(this.#owner, async () => {
      const build = { engine, owner: this.#owner, request, network, checkpoint: checkpoint ?? null };
      const container = await buildContainer(this.#install, build);
      if (container === null) return null;
      try {
        await this.connection.enter(container, request.onStep);
        await this.#place(container, request, checkpoint === undefined);
        if (!(await markReady(container, this.#owner))) {
          this.connection.close();
          await discard(docker, container.id);
          return null;
        }
      } catch (error) {
        this.connection.close();
        await discard(docker, container.id);
        throw error;
      }
      return this.#origin(checkpoint);
    });
  }

  #origin(checkpoint: StoredCheckpoint | undefined): Origin {
    if (checkpoint !== undefined) return { how: "restored", notice: restoredNotice(checkpoint.taken_at) };
    const afresh = this.#toldLoss;
    this.#toldLoss = false;
    return { how: "created", notice: afresh ? startedAfreshNotice() : null };
  }

  /** @param fresh it was just made, and not from a copy */
  async #place(container: DockerContainer, request: ProvisionRequest, fresh = false): Promise<void> {
    const { network } = this.connection;
    if (network === null) throw new SandboxLost("The sandbox's network was let go of. Call again.");
    await placeVariables(container, request, { network, egress: this.#install.egress, fresh });
    await removeDetached(container, request);
    if (request.resources.length > 0) {
      const { dataDir, git = null } = this.#install.options;
      const routed = await routedRepositories(git, request);
      if (routed.length > 0) await placeGitConfig(container, routed);
      await placeResources(container, { ...request, routed }, dataDir);
    }
    // After the repositories: one of them may be the whole working directory.
    await placeSkills(container, request);
  }

  /** The open channel; made anew, with what that needs, when there is none. Rejects with SandboxLost. */
  link(): Promise<Link> {
    if (this.connection.opened !== null) return Promise.resolve(this.connection.opened);
    this.#linking ??= this.inTurn(() => this.patiently(() => this.#reach())).finally(() => {
      this.#linking = null;
    });
    return this.#linking;
  }

  async #reach(): Promise<Link> {
    if (this.connection.opened !== null) return this.connection.opened;
    const { tellStep } = this.connection;
    for (let race = 0; race < RACES; race += 1) {
      const { engine, found } = await this.#find();
      if (found === null) throw await this.#removed(engine);
      const started = found.status === "stopped" ? this.#tellDeath(found) : null;
      const link = await this.connection.attach(engine.docker, found, tellStep);
      if (link === null) continue;
      if (started !== null && this.#request !== null) {
        await this.#place(found.container, { ...this.#request, onStep: tellStep });
      }
      started?.();
      return link;
    }
    throw new SandboxLost(TAKEN_AWAY);
  }

  /** The death of the container between two calls, or under one. @returns what tells that it was started again */
  #tellDeath({ oomKilled, exitCode, memoryBytes }: Found): () => void {
    const began = performance.now();
    const tell = (event: EventDraft): void => this.#install.options.tell(this.#owner.session, event);
    const provider = "docker";
    const reason = `${deathText(oomKilled, exitCode)}; it is started again`;
    tell({ type: "longhaul.sandbox_lost", provider, reason });
    tell({ type: "longhaul.sandbox_provisioning", provider, cause: "replaced" });
    return () => {
      const duration_ms = Math.round(performance.now() - began);
      const notice = restartedNotice(oomKilled, memoryBytes);
      tell({ type: "longhaul.sandbox_ready", provider, duration_ms, adopted: false, how: "restarted", notice });
    };
  }

  async #removed({ docker }: UsedEngine): Promise<SandboxLost> {
    this.connection.close();
    const [checkpoint] = await listCheckpoints(docker, this.#owner);
    this.#log.containerLost();
    this.#toldLoss = checkpoint === undefined;
    const text = removedText(checkpoint?.taken_at ?? null);
    return checkpoint === undefined ? new SandboxLost(text) : new SandboxRebuildable(text);
  }

  /** The container, made to run; null when there is none. Opens no channel, and nothing of the agent begins to run. */
  runningContainer(): Promise<DockerContainer | null> {
    return this.inTurn(async () => {
      const { engine, found } = await this.#find();
      if (found === null) return null;
      await this.connection.wake(engine.docker, found, this.connection.tellStep);
      return found.container;
    });
  }

  /** Repeats what fails because the engine does not answer, for as long as a restart of the engine may take. */
  async patiently<T>(work: () => Promise<T>): Promise<T> {
    const deadline = performance.now() + this.#install.patienceMs;
    for (let pause = 100; ; pause = Math.min(pause * 2, 2000)) {
      try {
        return await work();
      } catch (error) {
        if (!engineGone(error) || performance.now() + pause > deadline) throw error;
      }
      await sleep(pause);
    }
  }

  /** Runs `work` after what came before it, whatever became of that. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
