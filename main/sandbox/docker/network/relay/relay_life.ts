/** The relay of one sandbox, started in its container and started again whenever it ended. */
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxLost } from "../../../port.ts";
import type { Container } from "../../ports.ts";
import type { RelayLink } from "./link.ts";
import { NoInterpreter, startRelay } from "./start.ts";

const ALIVE_MS = 3_000;
/** Milliseconds before a relay that ended is started again; the last ones as long as the container runs. */
const RESTART_MS = { first: 100, longest: 30_000 };
/** A relay that lived this long is no failed start. */
const HEALTHY_MS = 60_000;

export class RelayLife {
  readonly #onConnection: (connection: Duplex) => void;
  #container: Container | null = null;
  #link: RelayLink | null = null;
  /** Id of the container that the link leads to. */
  #linkOf = "";
  /** The start of a relay that is under way. */
  #launch: Promise<void> | null = null;
  #restartMs = RESTART_MS.first;

  constructor(onConnection: (connection: Duplex) => void) {
    this.#onConnection = onConnection;
  }

  /** From now on the relay belongs into this container. */
  moveTo(container: Container): void {
    this.#container = container;
  }

  /**
   * Resolves when the relay listens in the container; call `moveTo` before. Rejects with {@link NoInterpreter}, with
   * SandboxLost when the container is gone, or with an Error that says why it did not start.
   */
  async ready(container: Container): Promise<void> {
    // After a restart of the container the old link may not have noticed its end.
    const usable = this.#linkOf === container.id && (await this.#link?.alive(ALIVE_MS)) === true;
    if (!usable) this.#drop();
    await this.#start(container);
  }

  /** Ends the relay; `moveTo` and `ready` may follow. */
  close(): void {
    this.#container = null;
    this.#drop();
  }

  /** Resolves when a relay listens. One at a time: two would fight for the port. */
  async #start(container: Container): Promise<void> {
    while (this.#launch !== null) await this.#launch.catch(() => undefined);
    if (this.#link !== null) return;
    const launch = this.#launched(container);
    this.#launch = launch;
    try {
      await launch;
    } finally {
      if (this.#launch === launch) this.#launch = null;
    }
  }

  async #launched(container: Container): Promise<void> {
    const link = await startRelay(container, this.#onConnection);
    if (this.#container?.id !== container.id) return link.close();
    this.#link = link;
    this.#linkOf = container.id;
    const began = Date.now();
    void link.closed.then(() => this.#restart(container, link, Date.now() - began > HEALTHY_MS));
  }

  /** A program in the container may have ended the relay; the way out comes back by itself. */
  async #restart(container: Container, ended: RelayLink, wasHealthy: boolean): Promise<void> {
    if (this.#link !== ended) return;
    this.#link = null;
    if (wasHealthy) this.#restartMs = RESTART_MS.first;
    // Never given up: `pkill python3` is an ordinary command, and nobody calls `ready` as long as the channel stands.
    for (;;) {
      await sleep(this.#restartMs, undefined, { ref: false });
      this.#restartMs = Math.min(3 * this.#restartMs, RESTART_MS.longest);
      if (this.#container?.id !== container.id || this.#link !== null) return;
      try {
        return await this.#start(container);
      } catch (error) {
        // The container is gone: whoever starts it again calls `ready`.
        if (error instanceof SandboxLost || error instanceof NoInterpreter) return;
      }
    }
  }

  #drop(): void {
    const link = this.#link;
    this.#link = null;
    link?.close();
  }
}
