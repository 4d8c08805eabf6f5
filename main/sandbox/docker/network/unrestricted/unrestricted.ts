/**
 * The `unrestricted` network: the internet, but neither this machine nor private networks nor metadata services. Its
 * connections do not pass through the engine, so there are no `longhaul.egress` events of them. Only where variables stand
 * for credentials are programs told to make encrypted connections through the broker, which puts the values in; a program
 * that does not listen sends placeholders.
 */
import { getServers } from "node:dns";
import { SandboxLost } from "../../../port.ts";
import { engineCall, LOOK_MS } from "../../container/engine_call.ts";
import type { Container } from "../../ports.ts";
import { encryptedProxyVariables } from "../limited.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "../port.ts";
import { WayOut } from "../way_out.ts";
import type { Bridge } from "./bridge.ts";
import { applyGuard, ownRanges } from "./guard.ts";
import { WAIT_FOR_GUARD } from "./guard_script.ts";

const STEP = "network: unrestricted, with private and metadata addresses closed";

export class UnrestrictedNetwork implements SandboxNetwork {
  readonly networkMode: string;
  readonly env = {};
  /** Empty unless the relay listens: programs would find nobody there. */
  variables: Readonly<Record<string, string>> = {};
  readonly #wayOut: WayOut;
  /** Attached ones are reached over the relay: the token must not be in here. */
  readonly #repositories: boolean;
  readonly #request: AttachRequest;
  readonly #options: SandboxNetworksOptions;
  readonly #bridge: Bridge;
  /** By container. */
  readonly #running = new Map<string, Promise<{ step: string }>>();
  /** Container and its start for which the guard stands. */
  #guarded = "";

  constructor(request: AttachRequest, options: SandboxNetworksOptions, bridge: Bridge) {
    this.networkMode = bridge.name;
    this.#request = request;
    this.#options = options;
    this.#bridge = bridge;
    this.#wayOut = new WayOut(request, options);
    this.#repositories = request.repositories === true && options.git != null;
  }

  set intercept(wanted: boolean) {
    this.#wayOut.intercept = wanted;
  }

  command(argv: readonly string[]): string[] {
    return ["/bin/sh", "-c", WAIT_FOR_GUARD, "longhaul", ...argv];
  }

  ready(container: Container): Promise<{ step: string }> {
    const known = this.#running.get(container.id);
    if (known !== undefined) return known;
    const running = this.#ready(container).finally(() => this.#running.delete(container.id));
    this.#running.set(container.id, running);
    return running;
  }

  close(): void {
    // The guard lives in the container's network and goes on without us.
    this.#wayOut.close();
  }

  async #ready(container: Container): Promise<{ step: string }> {
    await this.#guard(container);
    const { intercept } = this.#wayOut;
    if (!intercept && !this.#repositories) {
      this.#wayOut.close();
      this.variables = {};
      return { step: STEP };
    }
    const problem = await this.#wayOut.ready(container);
    this.variables = intercept && problem === null ? encryptedProxyVariables() : {};
    const missing = [
      ...(intercept ? ["no request gets the value of a variable"] : []),
      ...(this.#repositories ? ["attached repositories cannot be reached"] : []),
    ].join(" and ");
    return { step: problem === null ? STEP : `${STEP}; ${missing}, because ${problem}` };
  }

  async #guard(container: Container): Promise<void> {
    // Nothing in the container is asked whether the guard stands: a package can have put its own shell into the image.
    const start = await this.#startOf(container);
    if (start === this.#guarded) return;
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

/**
 * Resolvers that the container engine asks from inside the container's network. Engines that name them do so in the
 * container's resolv.conf, which the guard reads; older ones use this machine's.
 */
function resolvers(): string[] {
  return getServers().filter((address) => /^[\d.]+$/.test(address) && !address.startsWith("127."));
}
