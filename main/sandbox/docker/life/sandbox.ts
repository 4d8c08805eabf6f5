/** One session's sandbox: calls that go into its container, what is known of them, copies of its files, its end. */
import type { Readable } from "node:stream";
import type { SessionResource } from "../../../contract/events.ts";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../../../contract/local_api.ts";
import type { MemoryFiles } from "../../memory/port.ts";
import {
  CallInterrupted,
  type CallState,
  type Checkpoint,
  type ExecuteCall,
  type Hand,
  OutcomeUnknown,
  type ProvisionRequest,
  type ProvisionResult,
  SandboxLost,
  ToolFailure,
} from "../../port.ts";
import { ChannelClosed } from "../../runner/client.ts";
import { effectOf } from "../../toolset/definitions.ts";
import type { DockerContainer } from "../container/container.ts";
import { engineGone } from "../container/engine_call.ts";
import { DockerMemoryFiles } from "../memory/memory_files.ts";
import type { Container } from "../ports.ts";
import { bringBackChanges, removeRepositories, repositoryChanges } from "../resources/changes.ts";
import { listOutputs, readOutput } from "../resources/outputs.ts";
import { diskFullText } from "./calls/disk.ts";
import { DispatchLog } from "./calls/dispatch_log.ts";
import { type Link, stateIn, stateInFiles } from "./calls/link.ts";
import { MemoryWatch } from "./calls/memory.ts";
import { ShellQueue } from "./calls/shell_queue.ts";
import { listCheckpoints, removeCheckpoints, takeCheckpoint } from "./checkpoints/checkpoints.ts";
import { ContainerLife } from "./container_life.ts";
import {
  containerName,
  type Found,
  look,
  type Owner,
  removeContainer,
  settledContainer,
  unfinishedName,
} from "./find.ts";
import type { Installation } from "./installation.ts";
import { outOfMemoryText } from "./words.ts";

const UNKNOWN_OUTCOME = "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.";
/** Containers or channels that may die under one call before it is given up: a call that kills each of them must end. */
const DEATHS_PER_CALL = 3;

interface CallBegin {
  at: number;
  /** Of the container, until then. */
  memoryDeaths: number;
}

export class DockerSandbox implements Hand {
  readonly #install: Installation;
  readonly #owner: Owner;
  readonly #log: DispatchLog;
  readonly #life: ContainerLife;
  #provisioning: Promise<ProvisionResult> | null = null;
  readonly #memory = new MemoryWatch();
  readonly #shell = new ShellQueue();
  #reading: Promise<unknown> = Promise.resolve();
  /** Calls under way in this process. */
  #running = 0;
  #destroyed = false;
  #closed = false;

  constructor(install: Installation, sessionId: string) {
    this.#install = install;
    this.#owner = { session: sessionId, install: install.options.installId };
    this.#log = new DispatchLog(install.sandboxesDir, sessionId);
    this.#life = new ContainerLife(install, this.#owner, this.#log);
  }

  provision(request: ProvisionRequest): Promise<ProvisionResult> {
    this.#destroyed = false;
    this.#provisioning ??= this.#life
      .provision(request)
      .then((origin) => ({ hand: this, adopted: origin.how === "adopted", ...origin }))
      .finally(() => {
        this.#provisioning = null;
      });
    return this.#provisioning;
  }

  async execute(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    const { tool_use_id: id, signal } = call;
    this.#running += 1;
    try {
      if (name !== "bash") return await this.#execute(name, input, call);
      const text = await this.#shell.run(id, signal, () => this.#execute(name, input, call));
      if (text === null) throw new CallInterrupted("The command was stopped before it began.");
      return text;
    } finally {
      this.#running -= 1;
    }
  }

  async #execute(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    const { tool_use_id: id, signal } = call;
    const begun: CallBegin = { at: performance.now(), memoryDeaths: this.#life.connection.memoryDeaths };
    const progress = { bytes: 0 };
    let sent = false;
    for (let deaths = 0; deaths < DEATHS_PER_CALL; deaths += 1) {
      if (signal.aborted && !sent) throw new CallInterrupted("The call was stopped before it ran.");
      const link = await this.#linkFor(name, sent);
      if (!sent) await this.#record(link, id, name);
      sent = true;
      try {
        return await link.execute(name, input, call, progress);
      } catch (error) {
        if (!(error instanceof ChannelClosed)) throw await this.#explained(error, link.container, begun);
        link.close();
        if (error.stuck) await this.#life.connection.end(link.container);
      }
    }
    const text = `The connection into the sandbox broke ${DEATHS_PER_CALL} times during this call.`;
    if (effectOf(name) === "effect") throw new OutcomeUnknown(`${UNKNOWN_OUTCOME} ${text}`);
    throw new SandboxLost(`${text} Its files are kept. Try something that needs less memory.`);
  }

  async #linkFor(name: string, sent: boolean): Promise<Link> {
    if (this.#destroyed) throw new SandboxLost("The sandbox was removed with its session.");
    if (this.#closed) throw new SandboxLost("This process lets go of the sandbox; the call goes on in it.");
    try {
      return await this.#life.link();
    } catch (error) {
      // Whatever is said of the sandbox: this call had reached it.
      if (sent && effectOf(name) === "effect") {
        throw new OutcomeUnknown(`${UNKNOWN_OUTCOME} ${error instanceof Error ? error.message : String(error)}`);
      }
      throw error;
    }
  }

  /** Writes down that the call is sent. Rejects with OutcomeUnknown when a container that is gone had got it. */
  async #record(link: Link, id: string, name: string): Promise<void> {
    if (this.#log.isLost(id) && effectOf(name) === "effect" && (await link.state(id)) === "unknown") {
      throw new OutcomeUnknown(UNKNOWN_OUTCOME);
    }
    this.#log.add(id);
  }

  /** A failure that comes of too little memory says so: neither the model nor the person could tell from "Killed". */
  async #explained(error: unknown, container: DockerContainer, begun: CallBegin): Promise<unknown> {
    const { memoryDeaths, memoryBytes } = this.#life.connection;
    const elapsed = performance.now() - begun.at;
    if (error instanceof OutcomeUnknown) {
      const died = memoryDeaths > begun.memoryDeaths || (await this.#memory.happened(container, elapsed));
      if (!died) return error;
      return new ToolFailure(`${outOfMemoryText(memoryBytes)} The call was cut off; it may have taken effect in part.`);
    }
    if (error instanceof ToolFailure && (await this.#memory.failedByIt(container, error.message, elapsed))) {
      return new ToolFailure(`${error.message}\n\n${outOfMemoryText(memoryBytes)}`);
    }
    const diskText = error instanceof ToolFailure ? await diskFullText(container, error.message) : null;
    if (error instanceof ToolFailure && diskText !== null) return new ToolFailure(`${error.message}\n\n${diskText}`);
    return error;
  }

  /** Starts nothing. Rejects with OutcomeUnknown when the engine cannot be asked about a call that had been sent. */
  async callState(id: string): Promise<CallState> {
    const open = this.#life.connection.opened;
    if (open !== null) {
      const state = await open.state(id).catch((error: unknown) => {
        if (error instanceof ChannelClosed) return null;
        throw error;
      });
      if (state !== null) return this.#known(id, state);
    }
    try {
      return await this.#life.patiently(async () => {
        const { docker } = await this.#install.engine();
        const found = await settledContainer(docker, this.#owner);
        // Its journal went with it. What was not sent to it since its last checkpoint did not run, or is in the copy.
        if (found === null) return this.#log.has(id) ? "lost" : this.#known(id, "unknown");
        return this.#known(id, await this.#stateIn(found, id));
      });
    } catch (error) {
      if (engineGone(error) && this.#log.has(id))
        throw new OutcomeUnknown(`${UNKNOWN_OUTCOME} ${(error as Error).message}`);
      if (engineGone(error)) return "unknown";
      throw error;
    }
  }

  #known(id: string, state: CallState): CallState {
    return state === "unknown" && this.#log.isLost(id) ? "lost" : state;
  }

  #stateIn(found: Found, id: string): Promise<CallState> {
    const { container, status } = found;
    return status === "running" ? stateIn(container, this.#install, id) : stateInFiles(container, id);
  }

  changes(resources: readonly SessionResource[]): Promise<RepositoryChanges[]> {
    return this.#withFiles((container) => repositoryChanges(container, this.#dataDir, this.#owner.session, resources));
  }

  bringBack(resources: readonly SessionResource[], mountPath: string | null): Promise<BroughtBack[]> {
    return this.#withFiles((container) =>
      bringBackChanges(container, this.#dataDir, this.#owner.session, resources, mountPath),
    );
  }

  /** One after the other, in a container that runs; null when there is none. */
  #withFiles<T>(read: (container: Container | null) => Promise<T>): Promise<T> {
    const result = this.#reading.then(async () => read(await this.#life.runningContainer()));
    this.#reading = result.catch(() => undefined);
    return result;
  }

  memoryFiles(): MemoryFiles {
    return new DockerMemoryFiles(() => this.#life.runningContainer());
  }

  async outputs(): Promise<OutputFile[]> {
    const container = await this.#container();
    return container === null ? [] : listOutputs(container);
  }

  async readOutput(path: string): Promise<{ size: number; stream: Readable } | null> {
    const container = await this.#container();
    return container === null ? null : readOutput(container, path);
  }

  /** The container, whether it runs or not. */
  async #container(): Promise<Container | null> {
    const { docker } = await this.#install.engine();
    return (await look(docker, this.#owner))?.container ?? null;
  }

  /** Null when nothing ran since the last one, or something runs now. */
  async checkpoint(): Promise<Checkpoint | null> {
    if (this.#log.size === 0 || this.#running > 0) return null;
    return this.#life.inTurn(async () => {
      const { docker } = await this.#install.engine();
      const found = await look(docker, this.#owner);
      if (found === null || this.#running > 0) return null;
      const before = this.#log.size;
      const taken = await takeCheckpoint(docker, this.#owner, found.container, this.#install.checkpoints);
      // A call that came meanwhile may be in the copy with half of its effects: it stays in the log. One that was attached
      // to again does not make the log longer, but runs.
      if (this.#log.size === before && this.#running === 0) this.#log.checkpointed();
      return taken;
    });
  }

  async destroy(): Promise<void> {
    // Calls that this cuts off must not bring the container back.
    this.#destroyed = true;
    await this.#provisioning?.catch(() => undefined);
    await this.#life.inTurn(async () => {
      this.#life.connection.close();
      const { docker } = await this.#install.engine();
      for (const name of [containerName(this.#owner), unfinishedName(this.#owner)]) {
        const found = await look(docker, this.#owner, name);
        if (found !== null) await removeContainer(docker, found.container.id);
      }
      await removeCheckpoints(docker, await listCheckpoints(docker, this.#owner));
      this.#install.detachNetwork(this.#owner.session);
      await removeRepositories(this.#dataDir, this.#owner.session);
      this.#log.remove();
    });
  }

  /** Lets go of connections. Calls under way go on in the container; the next process collects their results. */
  close(): void {
    this.#closed = true;
    this.#life.connection.close();
    this.#install.detachNetwork(this.#owner.session);
  }

  get #dataDir(): string {
    return this.#install.options.dataDir;
  }
}
