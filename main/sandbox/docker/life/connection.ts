/** The way into a session's container: made to run, its network closed off, the channel to its runner open. */
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { ChannelClosed } from "../../runner/client.ts";
import type { DockerContainer } from "../container/container.ts";
import { containerGone, engineCall, isFault, WORK_MS } from "../container/engine_call.ts";
import type { SandboxNetwork } from "../network/port.ts";
import { killContainer, startContainer } from "./build.ts";
import { type Link, openLink } from "./calls/link.ts";
import { type Found, look, type Owner } from "./find.ts";
import type { Installation } from "./installation.ts";
import { namedStep, type OnStep, step } from "./steps.ts";
import { deathText } from "./words.ts";

/** How long a container is tried to reach: it may be ending, and a busy engine takes its time to know. */
const REACH_MS = 12_000;
const AGAIN_MS: { first: number; longest: number } = { first: 100, longest: 1600 };
/** Channels that a running container does not answer before it is ended and started again. */
const UNANSWERED = 2;

export class Connection {
  /** Set before the first attempt. */
  network: SandboxNetwork | null = null;
  /** Bytes; of the container that was reached last. */
  memoryBytes = 0;
  /** Times that the container was found killed for its memory. */
  memoryDeaths = 0;
  /** Steps outside of a provisioning go to the session. */
  readonly tellStep: OnStep;
  readonly #install: Installation;
  readonly #owner: Owner;
  #link: Link | null = null;

  constructor(install: Installation, owner: Owner) {
    this.#install = install;
    this.#owner = owner;
    this.tellStep = (told) => install.options.tell(owner.session, { type: "longhaul.sandbox_step", ...told });
  }

  /** The open channel, if there is one; opens nothing. */
  get opened(): Link | null {
    return this.#link !== null && !this.#link.closed ? this.#link : null;
  }

  close(): void {
    this.#link?.close();
    this.#link = null;
  }

  /**
   * Brings a container that was set up completely into a state in which calls reach it. Null when it is gone meanwhile.
   * Rejects with SandboxLost.
   */
  async attach(docker: Docker, found: Found, onStep: OnStep): Promise<Link | null> {
    const deadline = performance.now() + REACH_MS;
    let now: Found | null = found;
    let unanswered = 0;
    for (let pause = AGAIN_MS.first; now !== null && !now.removing; pause = Math.min(pause * 2, AGAIN_MS.longest)) {
      try {
        return await this.#attachNow(docker, now, onStep);
      } catch (error) {
        if (containerGone(error)) return null;
        if (isChannelClosed(error)) unanswered += 1;
        else if (!isFault(error, "not_running", "paused")) throw error;
        // One that does not answer takes its time, and is to be ended and started again before it is given up.
        if (unanswered > UNANSWERED || (unanswered === 0 && performance.now() > deadline)) throw error;
      }
      await sleep(pause);
      now = await look(docker, this.#owner);
      // Its processes do not answer although they run: what was spoiled inside is made anew by a start.
      if (unanswered === UNANSWERED && now?.status === "running") {
        await this.end(now.container);
        now = await look(docker, this.#owner);
      }
    }
    return null;
  }

  async #attachNow(docker: Docker, found: Found, onStep: OnStep): Promise<Link> {
    const { container, status } = found;
    this.memoryBytes = found.memoryBytes;
    const open = this.opened;
    if (status === "running" && open?.container.id === container.id) return open;
    if (status === "stopped" && found.oomKilled) this.memoryDeaths += 1;
    await this.wake(docker, found, onStep);
    return this.enter(container, onStep);
  }

  /** Closes off the network of a running container, and opens the channel to its runner. Rejects with SandboxLost. */
  async enter(container: DockerContainer, onStep: OnStep): Promise<Link> {
    this.close();
    const { network } = this;
    if (network === null) throw new SandboxLost("The sandbox's network was let go of. Call again.");
    const [closedOff, reached] = await Promise.allSettled([
      namedStep(
        onStep,
        "set up the network",
        () => network.ready(container),
        (ready) => ready.step,
      ),
      step(onStep, "reach the runner", () => openLink(container, this.#install, () => this.#onSilence(container))),
    ]);
    if (closedOff.status === "rejected" && reached.status === "fulfilled") reached.value.close();
    if (closedOff.status === "rejected") throw closedOff.reason;
    if (reached.status === "rejected") throw reached.reason;
    this.#link = reached.value;
    return reached.value;
  }

  /** Makes a paused or stopped container run. */
  async wake(docker: Docker, found: Found, onStep: OnStep): Promise<void> {
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
      await this.#install.queue.run(() => step(onStep, name, () => startContainer(docker, id)));
    }
  }

  /** Ends what runs in the container; its files stay. Nothing else ends what the runner could not stop. */
  async end(container: DockerContainer): Promise<void> {
    await step(this.tellStep, "end what runs in the container, which did not answer", () => killContainer(container));
  }

  /** The runner owes an answer and does not say a word: the container may be paused, gone, or its engine hangs. */
  async #onSilence(container: DockerContainer): Promise<void> {
    const { docker } = await this.#install.engine();
    const found = await look(docker, this.#owner);
    if (found?.status === "paused" && found.container.id === container.id) {
      await this.wake(docker, found, this.tellStep);
    } else {
      this.close();
    }
  }
}

function isChannelClosed(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof ChannelClosed) return true;
  return false;
}
