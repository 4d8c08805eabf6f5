/** The `limited` network: a container without any network, and a relay in it whose connections the broker judges. */
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxLost } from "../../port.ts";
import type { Container } from "../ports.ts";
import { EgressLog } from "./egress_log.ts";
import { allowingRule, egressPolicy } from "./policy.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "./port.ts";
import { EgressProxy } from "./proxy.ts";
import type { RelayLink } from "./relay/link.ts";
import { NoInterpreter, RELAY_PORT, startRelay } from "./relay/start.ts";

const ALIVE_MS = 3_000;
/** Milliseconds before a relay that ended is started again; the last ones as long as the container runs. */
const RESTART_MS = { first: 100, longest: 30_000 };
/** A relay that lived this long is no failed start. */
const HEALTHY_MS = 60_000;

export class LimitedNetwork implements SandboxNetwork {
  readonly networkMode = "none";
  readonly env: Readonly<Record<string, string>> = proxyVariables();
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
  #readying: Promise<{ step: string }> | null = null;
  #restartMs = RESTART_MS.first;
  #registered = false;

  constructor(request: AttachRequest, options: SandboxNetworksOptions) {
    this.#request = request;
    this.#options = options;
    this.#log = new EgressLog(request.session_id, options.tell);
    this.#proxy = new EgressProxy({
      connect: (host, port) => options.egress.connect(request.session_id, host, port),
      ruleFor: (host) => allowingRule(request.config, host),
      note: (decision) => this.#log.note(decision),
    });
  }

  command(argv: readonly string[]): string[] {
    return [...argv];
  }

  ready(container: Container): Promise<{ step: string }> {
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

  async #ready(container: Container): Promise<{ step: string }> {
    const policy = egressPolicy(this.#request.config);
    if (!this.#registered) {
      // Without its rules the broker refuses everything, and the first connection tells it again.
      this.#registered = await this.#options.egress.allow(this.#request.session_id, policy).then(
        () => true,
        () => false,
      );
    }
    const count = policy.mode === "limited" ? policy.allowed_hosts.length : 0;
    const step = `network: limited to ${count} allowed host${count === 1 ? "" : "s"}`;
    try {
      // After a restart of the container the old link may not have noticed its end.
      const usable = this.#linkOf === container.id && (await this.#link?.alive(ALIVE_MS)) === true;
      if (!usable) this.#drop();
      await this.#start(container);
    } catch (error) {
      if (error instanceof SandboxLost) throw error;
      if (error instanceof NoInterpreter) {
        return { step: "network: none, because reaching allowed hosts needs python3 or node in the sandbox's image" };
      }
      // Closed is a safe state: the sandbox works, its way out does not.
      return { step: `network: none. ${error instanceof Error ? error.message : "The relay failed."}` };
    }
    return { step };
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

/** What programs read to find the way out; Node's own fetch needs telling that it should look. */
function proxyVariables(): Record<string, string> {
  const proxy = `http://127.0.0.1:${RELAY_PORT}`;
  const direct = "localhost,127.0.0.1,::1";
  return {
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: direct,
    no_proxy: direct,
    NODE_USE_ENV_PROXY: "1",
  };
}
