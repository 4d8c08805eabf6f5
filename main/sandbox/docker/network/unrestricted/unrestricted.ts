/**
 * The `unrestricted` network: the internet, but neither this machine nor private networks nor metadata services. Its
 * connections do not pass through the engine, so there are no `longhaul.egress` events of them.
 */
import { getServers } from "node:dns";
import { SandboxLost } from "../../../port.ts";
import { engineCall, LOOK_MS } from "../../container/engine_call.ts";
import type { Container, GitRoute } from "../../ports.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "../port.ts";
import { EgressProxy } from "../proxy.ts";
import { EgressRefused } from "../refused.ts";
import { RelayLife } from "../relay/relay_life.ts";
import { NoInterpreter } from "../relay/start.ts";
import type { Bridge } from "./bridge.ts";
import { applyGuard, ownRanges } from "./guard.ts";
import { WAIT_FOR_GUARD } from "./guard_script.ts";

const STEP = "network: unrestricted, with private and metadata addresses closed";

export class UnrestrictedNetwork implements SandboxNetwork {
  readonly networkMode: string;
  readonly env = {};
  readonly #request: AttachRequest;
  readonly #options: SandboxNetworksOptions;
  readonly #bridge: Bridge;
  /** By container. */
  readonly #running = new Map<string, Promise<{ step: string }>>();
  /** Container and its start for which the guard stands. */
  #guarded = "";
  /** For attached repositories only; null when there are none. */
  readonly #relay: RelayLife | null;

  constructor(request: AttachRequest, options: SandboxNetworksOptions, bridge: Bridge) {
    this.networkMode = bridge.name;
    this.#request = request;
    this.#options = options;
    this.#bridge = bridge;
    const { git } = options;
    this.#relay = request.repositories === true && git != null ? repositoryRelay(request.session_id, git) : null;
  }

  command(argv: readonly string[]): string[] {
    return ["/bin/sh", "-c", WAIT_FOR_GUARD, "longhaul", ...argv];
  }

  ready(container: Container): Promise<{ step: string }> {
    const known = this.#running.get(container.id);
    if (known !== undefined) return known;
    this.#relay?.moveTo(container);
    const running = this.#whole(container).finally(() => this.#running.delete(container.id));
    this.#running.set(container.id, running);
    return running;
  }

  close(): void {
    // The guard lives in the container's network and goes on without us.
    this.#relay?.close();
  }

  async #whole(container: Container): Promise<{ step: string }> {
    const { step } = await this.#ready(container);
    try {
      await this.#relay?.ready(container);
    } catch (error) {
      if (error instanceof SandboxLost) throw error;
      const why =
        error instanceof NoInterpreter
          ? "that needs python3 or node in the sandbox's image"
          : error instanceof Error
            ? error.message
            : "the relay failed";
      return { step: `${step}; attached repositories cannot be reached: ${why}` };
    }
    return { step };
  }

  async #ready(container: Container): Promise<{ step: string }> {
    // Nothing in the container is asked whether the guard stands: a package can have put its own shell into the image.
    const start = await this.#startOf(container);
    if (start === this.#guarded) return { step: STEP };
    try {
      await applyGuard({
        docker: this.#options.docker,
        install: this.#options.install,
        sessionId: this.#request.session_id,
        containerId: container.id,
        image: await this.#options.guardImage(),
        ranges: [...this.#bridge.subnets, ...ownRanges()],
        resolvers: resolvers(),
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new SandboxLost(
        `The sandbox's network could not be closed towards private addresses (${reason}), so nothing was run in it. Its files are safe. Use limited networking, or correct the container engine and try again.`,
      );
    }
    this.#guarded = start;
    return { step: STEP };
  }

  /** Changes with each start, which makes a new network without the guard. */
  async #startOf({ id }: Container): Promise<string> {
    const { docker } = this.#options;
    const { State } = await engineCall(docker, "look up the container's start", LOOK_MS, (abortSignal) =>
      docker.getContainer(id).inspect({ abortSignal }),
    );
    return `${id} ${State.StartedAt}`;
  }
}

/** Passes on requests for repositories and nothing else. */
function repositoryRelay(sessionId: string, git: GitRoute): RelayLife {
  const proxy = new EgressProxy({
    connect: () => Promise.reject(new EgressRefused("This sandbox has the internet by itself.")),
    ruleFor: () => null,
    note: () => undefined,
    git: (incoming, response) => git.forward(sessionId, incoming, response),
  });
  return new RelayLife((connection) => proxy.accept(connection));
}

/**
 * Resolvers that the container engine asks from inside the container's network. Engines that name them do so in the
 * container's resolv.conf, which the guard reads; older ones use this machine's.
 */
function resolvers(): string[] {
  return getServers().filter((address) => /^[\d.]+$/.test(address) && !address.startsWith("127."));
}
