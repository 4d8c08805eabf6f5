/** The open channel to a sandbox's runner, watched while calls are under way in it. */
import { setTimeout as sleep } from "node:timers/promises";
import { type CallState, type ExecuteCall, SandboxLost } from "../../../port.ts";
import { RunnerCalls } from "../../../runner/calls.ts";
import { ChannelClosed, RunnerClient } from "../../../runner/client.ts";
import { CHANNEL_COMMAND, RUNNER_STATE_DIR } from "../../../runner/files.ts";
import type { OutputProgress } from "../../../runner/live_output.ts";
import { firstFile } from "../../container/archive.ts";
import type { DockerContainer } from "../../container/container.ts";

export interface LinkTimes {
  /** Milliseconds between questions to a runner that owes an answer. */
  pingMs: number;
  /** Milliseconds that it has to answer. */
  silenceMs: number;
}

export class Link {
  readonly container: DockerContainer;
  readonly #client: RunnerClient;
  readonly #calls: RunnerCalls;
  readonly #times: LinkTimes;
  readonly #onSilence: () => Promise<void>;
  #underWay = 0;
  #watching = false;

  constructor(container: DockerContainer, client: RunnerClient, times: LinkTimes, onSilence: () => Promise<void>) {
    this.container = container;
    this.#client = client;
    this.#calls = new RunnerCalls(client);
    this.#times = times;
    this.#onSilence = onSilence;
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  /** Rejects with what the runner's calls reject with. */
  async execute(name: string, input: unknown, call: ExecuteCall, progress: OutputProgress): Promise<string> {
    this.#underWay += 1;
    if (!this.#watching) void this.#watch();
    try {
      return await this.#calls.execute(name, input, call, progress);
    } finally {
      this.#underWay -= 1;
    }
  }

  /** Rejects with ChannelClosed. */
  state(id: string): Promise<CallState> {
    return this.#calls.state(id);
  }

  close(): void {
    this.#client.close();
  }

  /** Asks the runner for a sign of life for as long as it owes an answer: a paused container does not close a channel. */
  async #watch(): Promise<void> {
    const { pingMs, silenceMs } = this.#times;
    this.#watching = true;
    while (this.#underWay > 0 && !this.closed) {
      await sleep(pingMs, undefined, { ref: false });
      if (this.#underWay === 0 || this.closed) break;
      const answered = await Promise.race([
        this.#client.ping().then(
          () => true,
          () => false,
        ),
        sleep(silenceMs, false, { ref: false }),
      ]);
      // What cannot be found out leaves a channel that is of no use: the next one begins with a look at the container.
      if (!answered && !this.closed) await this.#onSilence().catch(() => this.close());
    }
    this.#watching = false;
  }
}

/** Rejects with SandboxLost, also when the runner does not answer. */
export async function openLink(
  container: DockerContainer,
  times: LinkTimes,
  onSilence: () => Promise<void>,
): Promise<Link> {
  try {
    return new Link(container, await RunnerClient.open(await container.open(CHANNEL_COMMAND)), times, onSilence);
  } catch (error) {
    if (!(error instanceof ChannelClosed)) throw error;
    throw new SandboxLost(error.message, { cause: error });
  }
}

/** What a running container's journal says of a call, without anything else being done. Rejects with SandboxLost. */
export async function stateIn(container: DockerContainer, times: LinkTimes, id: string): Promise<CallState> {
  const link = await openLink(container, times, () => Promise.resolve());
  try {
    return await link.state(id);
  } finally {
    link.close();
  }
}

/** What the journal's files say of a call in a container that does not run. */
export async function stateInFiles(container: DockerContainer, id: string): Promise<CallState> {
  if (!/^[A-Za-z0-9_-]{1,100}$/.test(id)) return "unknown";
  const call = `${RUNNER_STATE_DIR}/calls/${id}`;
  const end = await container.getTar(`${call}.end`);
  // The first words of the file: a colon and the code. An empty one is still to be written.
  const code = end === null ? undefined : ((await firstFile(end, 1024 * 1024)) ?? ": 0").split(/\s/)[1];
  if (code !== undefined && code !== "") return code === "L" ? "lost" : "done";
  return (await container.exists(`${call}.out`)) ? "lost" : "unknown";
}
