/** The life of one session's container: found, made, started again, rebuilt, and the channel to what runs in it. */
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { type ProvisionRequest, type ProvisionResult, SandboxLost } from "../../port.ts";
import { engineCall, engineGone, WORK_MS } from "../container/engine_call.ts";
import type { SandboxNetwork } from "../network/port.ts";
import { placeResources } from "../resources/place.ts";
import { buildContainer, discard, startContainer } from "./build.ts";
import { listCheckpoints, type StoredCheckpoint } from "./checkpoints.ts";
import type { DispatchLog } from "./dispatch_log.ts";
import { type Found, look, markReady, type Owner, settledContainer, whileMaking } from "./find.ts";
import type { Installation } from "./installation.ts";
import { type Link, openLink } from "./link.ts";
import { namedStep, type OnStep, step } from "./steps.ts";
import { deathText, lostText, removedText, restartedNotice, restoredNotice, startedAfreshNotice } from "./words.ts";

/** Times that somebody else may make and lose the container while this makes it, before it is given up. */
const RACES = 5;

type UsedEngine = Awaited<ReturnType<Installation["engine"]>>;
export type Origin = Pick<ProvisionResult, "how" | "notice">;

export class ContainerLife {
  readonly #install: Installation;
  readonly #owner: Owner;
  readonly #log: DispatchLog;
  #request: ProvisionRequest | null = null;
  #network: SandboxNetwork | null = null;
  #link: Link | null = null;
  #linking: Promise<Link> | null = null;
  /** What changes the container follows each other. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The loss of the files was told in an error; the next provisioning starts with new ones. */
  #toldLoss = false;
  /** Limit of the container that was reached last. */
  memoryBytes = 0;
  /** Times that the container was found killed for its memory. */
  memoryDeaths = 0;

  constructor(install: Installation, owner: Owner, log: DispatchLog) {
    this.#install = install;
    this.#owner = owner;
    this.#log = log;
  }

  /** Finds or makes the container and reaches its runner. Rejects with SandboxLost. */
  provision(request: ProvisionRequest): Promise<Origin> {
    return this.inTurn(async () => {
      this.#request = request;
      for (let race = 0; race < RACES; race += 1) {
        const { engine, found } = await (request.had_sandbox ? this.patiently(() => this.#find()) : this.#find());
        this.#network = await this.#install.networks(engine.docker).attach({
          session_id: this.#owner.session,
          config: request.environment.config,
          runtime: request.environment.metadata?.["longhaul.runtime"] ?? null,
        });
        const origin =
          found === null ? await this.#make(engine, request) : await this.#takeOn(engine.docker, found, request);
        if (origin !== null) return origin;
      }
      throw new SandboxLost(
        "The sandbox's container was taken away each time that it was made. Call again in a while.",
      );
    });
  }

  async #find(): Promise<{ engine: UsedEngine; found: Found | null }> {
    const engine = await this.#install.engine();
    return { engine, found: await settledContainer(engine.docker, this.#owner) };
  }

  async #takeOn(docker: Docker, found: Found, request: ProvisionRequest): Promise<Origin> {
    await this.#attach(docker, found, request.onStep);
    await this.#place(found.container, request);
    this.#toldLoss = false;
    if (found.status !== "stopped") return { how: "adopted", notice: null };
    return { how: "restarted", notice: restartedNotice(found.oomKilled, found.memoryBytes) };
  }

  /** Null when another provider made the container meanwhile. */
  async #make(engine: UsedEngine, request: ProvisionRequest): Promise<Origin | null> {
    this.closeLink();
    const { docker } = engine;
    const [checkpoint] = await listCheckpoints(docker, this.#owner);
    this.#log.containerLost();
    if (checkpoint === undefined && request.had_sandbox && !this.#toldLoss) {
      this.#toldLoss = true;
      throw new SandboxLost(lostText());
    }
    const network = this.#network;
    if (network === null) throw new SandboxLost("The sandbox's network was let go of. Call again.");
    return whileMaking(this.#owner, async () => {
      const build = { engine, owner: this.#owner, request, network, checkpoint: checkpoint ?? null };
      const container = await buildContainer(this.#install, build);
      if (container === null) return null;
      try {
        await this.#enter(container, request.onStep);
        await this.#place(container, request);
        if (!(await markReady(container, this.#owner))) {
          this.closeLink();
          await discard(docker, container.id);
          return null;
        }
      } catch (error) {
        this.closeLink();
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

  async #place(container: Found["container"], request: ProvisionRequest): Promise<void> {
    if (request.resources.length > 0) await placeResources(container, request, this.#install.options.dataDir);
  }

  /** The open channel, if there is one; opens nothing. */
  get openedLink(): Link | null {
    return this.#link !== null && !this.#link.closed ? this.#link : null;
  }

  /** The open channel; made anew, with what that needs, when there is none. Rejects with SandboxLost. */
  link(): Promise<Link> {
    if (this.openedLink !== null) return Promise.resolve(this.openedLink);
    this.#linking ??= this.inTurn(() => this.#reach()).finally(() => {
      this.#linking = null;
    });
    return this.#linking;
  }

  async #reach(): Promise<Link> {
    if (this.openedLink !== null) return this.openedLink;
    return this.patiently(async () => {
      const { engine, found } = await this.#find();
      const { docker } = engine;
      if (found !== null) {
        const link = await this.#attach(docker, found, this.#tellStep);
        if (found.status === "stopped" && this.#request !== null) {
          await this.#place(found.container, { ...this.#request, onStep: this.#tellStep });
        }
        return link;
      }
      this.closeLink();
      const [checkpoint] = await listCheckpoints(docker, this.#owner);
      this.#log.containerLost();
      this.#toldLoss = checkpoint === undefined;
      throw new SandboxLost(removedText(checkpoint?.taken_at ?? null));
    });
  }

  /** The container, made to run; null when there is none. Opens no channel, and nothing of the agent begins to run. */
  runningContainer(): Promise<Found["container"] | null> {
    return this.inTurn(async () => {
      const { engine, found } = await this.#find();
      if (found === null) return null;
      await wake(this.#install, engine.docker, found, this.#tellStep);
      return found.container;
    });
  }

  /** Brings a container that was set up completely into a state in which calls reach it. */
  async #attach(docker: Docker, found: Found, onStep: OnStep): Promise<Link> {
    const { container, status } = found;
    this.memoryBytes = found.memoryBytes;
    const open = this.openedLink;
    if (status === "running" && open?.container.id === container.id) return open;
    if (status === "stopped" && found.oomKilled) this.memoryDeaths += 1;
    await wake(this.#install, docker, found, onStep);
    return this.#enter(container, onStep);
  }

  /** Closes off the network of a running container, and opens the channel to its runner. */
  async #enter(container: Found["container"], onStep: OnStep): Promise<Link> {
    this.closeLink();
    const network = this.#network;
    if (network === null) throw new SandboxLost("The sandbox's network was let go of. Call again.");
    const [closedOff, opened] = await Promise.allSettled([
      namedStep(
        onStep,
        "set up the network",
        () => network.ready(container),
        (ready) => ready.step,
      ),
      step(onStep, "reach the runner", () => openLink(container, this.#install, () => this.#onSilence(container))),
    ]);
    if (closedOff.status === "rejected" && opened.status === "fulfilled") opened.value.close();
    if (closedOff.status === "rejected") throw closedOff.reason;
    if (opened.status === "rejected") throw opened.reason;
    this.#link = opened.value;
    return opened.value;
  }

  /** The runner owes an answer and does not say a word: the container may be paused, gone, or its engine hangs. */
  async #onSilence(container: Found["container"]): Promise<void> {
    const { docker } = await this.#install.engine();
    const found = await look(docker, this.#owner);
    if (found?.status === "paused" && found.container.id === container.id) {
      await wake(this.#install, docker, found, this.#tellStep);
      return;
    }
    this.closeLink();
  }

  /** Ends what runs in the container; its files stay. Nothing else ends what the runner could not stop. */
  async end(container: Found["container"]): Promise<void> {
    const name = "end the container: a command in it could not be stopped otherwise";
    await step(this.#tellStep, name, () =>
      engineCall(container.docker, "end the container", WORK_MS, (abortSignal) =>
        container.docker.getContainer(container.id).kill({ abortSignal }),
      ),
    );
  }

  readonly #tellStep: OnStep = (told) => {
    this.#install.options.tell(this.#owner.session, { type: "longhaul.sandbox_step", ...told });
  };

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

  closeLink(): void {
    this.#link?.close();
    this.#link = null;
  }
}

/** Makes a paused or stopped container run. */
export async function wake(install: Installation, docker: Docker, found: Found, onStep: OnStep): Promise<void> {
  const { id } = found.container;
  if (found.status === "paused") {
    await step(onStep, "wake up the container, which had been paused", () =>
      engineCall(docker, "wake up the paused container", WORK_MS, (abortSignal) =>
        docker.getContainer(id).unpause({ abortSignal }),
      ),
    );
  }
  if (found.status === "stopped") {
    const name = `start the container again: ${deathText(found.oomKilled, found.exitCode)}`;
    await install.queue.run(() => step(onStep, name, () => startContainer(docker, id)));
  }
}
