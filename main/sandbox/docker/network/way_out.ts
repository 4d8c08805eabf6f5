/** The way out over the broker: a relay in the container whose connections the broker judges, kept alive. */
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxLost } from "../../port.ts";
import type { Container } from "../ports.ts";
import { EgressLog } from "./egress_log.ts";
import { allowingRule, egressPolicy } from "./policy.ts";
import type { AttachRequest, SandboxNetworksOptions } from "./port.ts";
import { EgressProxy } from "./proxy.ts";
import type { RelayLink } from "./relay/link.ts";
import { NoInterpreter, startRelay } from "./relay/start.ts";

const ALIVE_MS = 3_000;
/** Milliseconds before a relay that ended is started again; the last ones as long as the container runs. */
const RESTART_MS = { first: 100, longest: 30_000 };
/** A relay that lived this long is no failed start. */
const HEALTHY_MS = 60_000;

export class WayOut {
  readonly #request: AttachRequest;
  readonly #options: SandboxNetworksOptions;
  readonly #log: EgressLog;
  readonly #proxy: EgressProxy;
  #container: Container | null = null;
  #link: RelayLink | null = null;
  /** Id of the container that the link leads to. */
  #linkOf = "";
  /** The start of a relay that is under way. */
  #launch: Promise<void> | null = null;
  #readying: Promise<string | null> | null = null;
  #restartMs = RESTART_MS.first;
  #intercept: boolean;
  /** What the broker was told of `intercept`. */
  #told: boolean | null = null;

  constructor(request: AttachRequest, options: SandboxNetworksOptions) {
    this.#request = request;
    this.#options = options;
    this.#intercept = request.intercept ?? false;
    this.#log = new EgressLog(request.session_id, options.tell);
    this.#proxy = new EgressProxy({
      connect: (host, port) => options.egress.connect(request.session_id, host, port),
      ruleFor: (host) => allowingRule(request.config, host),
      note: (decision) => this.#log.note(decision),
      git: (incoming, response) => options.git?.forward(request.session_id, incoming, response),
    });
  }

  /** The broker is told with the next {@link ready}. */
  set intercept(wanted: boolean) {
    this.#intercept = wanted;
  }

  get intercept(): boolean {
    return this.#intercept;
  }

  /**
   * Resolves with null when the relay listens, else with why it does not: closed is a safe state. Idempotent; concurrent
   * calls share one run. Rejects with SandboxLost when the container is gone.
   */
  ready(container: Container): Promise<string | null> {
    if (this.#readying === null || this.#container?.id !== container.id) {
      const before = this.#readying ?? Promise.resolve();
      const running = before
        .then(
          () => undefined,
          () => undefined,
        )
        .then(() => this.#ready(container))
        .finally(() => {
          if (this.#readying === running) this.#readying = null;
        });
      this.#readying = running;
    }
    this.#container = container;
    this.#log.open();
    return this.#readying;
  }

  close(): void {
    this.#container = null;
    this.#drop();
    this.#log.close();
  }

  async #ready(container: Container): Promise<string | null> {
    const intercept = this.#intercept;
    if (this.#told !== intercept) {
      const policy = { ...egressPolicy(this.#request.config), intercept };
      // Without its rules the broker refuses everything, and the first connection tells it again.
      await this.#options.egress.allow(this.#request.session_id, policy).then(
        () => {
          this.#told = intercept;
        },
        () => undefined,
      );
    }
    try {
      // After a restart of the container the old link may not have noticed its end.
      const usable = this.#linkOf === container.id && (await this.#link?.alive(ALIVE_MS)) === true;
      if (!usable) this.#drop();
      await this.#start(container);
      return null;
    } catch (error) {
      if (error instanceof SandboxLost) throw error;
      if (error instanceof NoInterpreter) return "that needs python3 or node in the sandbox's image";
      return error instanceof Error ? error.message : "The relay failed.";
    }
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
    const link = await startRelay(container, (connection) => this.#proxy.accept(connection));
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
