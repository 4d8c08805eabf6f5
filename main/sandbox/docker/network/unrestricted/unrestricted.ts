/**
 * The `unrestricted` network: the internet, but neither this machine nor private networks nor metadata services. Its
 * connections do not pass through the engine, so there are no `longhaul.egress` events of them.
 */
import { getServers } from "node:dns";
import { SandboxLost } from "../../../port.ts";
import type { Container } from "../../ports.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "../port.ts";
import type { Bridge } from "./bridge.ts";
import { applyGuard, ownRanges } from "./guard.ts";
import { IS_GUARDED, WAIT_FOR_GUARD } from "./guard_script.ts";

const STEP = "network: unrestricted, with private and metadata addresses closed";
const LOOK_MS = 15_000;

export class UnrestrictedNetwork implements SandboxNetwork {
  readonly networkMode: string;
  readonly env = {};
  readonly #request: AttachRequest;
  readonly #options: SandboxNetworksOptions;
  readonly #bridge: Bridge;
  #running: Promise<{ step: string }> | null = null;

  constructor(request: AttachRequest, options: SandboxNetworksOptions, bridge: Bridge) {
    this.networkMode = bridge.name;
    this.#request = request;
    this.#options = options;
    this.#bridge = bridge;
  }

  command(argv: readonly string[]): string[] {
    return ["/bin/sh", "-c", WAIT_FOR_GUARD, "longhaul", ...argv];
  }

  ready(container: Container): Promise<{ step: string }> {
    this.#running ??= this.#ready(container).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  close(): void {
    // The guard lives in the container's network and goes on without us.
  }

  async #ready(container: Container): Promise<{ step: string }> {
    const marked = await container.exec(["/bin/sh", "-c", IS_GUARDED], { timeoutMs: LOOK_MS });
    if (/^guarded$/m.test(marked.stdout.toString())) return { step: STEP };
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
    return { step: STEP };
  }
}

/**
 * Resolvers that the container engine asks from inside the container's network. Engines that name them do so in the
 * container's resolv.conf, which the guard reads; older ones use this machine's.
 */
function resolvers(): string[] {
  return getServers().filter((address) => /^[\d.]+$/.test(address) && !address.startsWith("127."));
}
