/** Gives each sandbox its network by the environment's `networking`. */
import { SandboxLost } from "../../port.ts";
import { LimitedNetwork } from "./limited.ts";
import { egressPolicy } from "./policy.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworks, SandboxNetworksOptions } from "./port.ts";
import { bridgeNetwork } from "./unrestricted/bridge.ts";
import { UnrestrictedNetwork } from "./unrestricted/unrestricted.ts";

/** Runtimes whose containers use the network namespace itself; others copy its routes at start and miss the guard. */
const SHARED_NAMESPACE = new Set(["runc", "crun", "youki", "io.containerd.runc.v2"]);

export function sandboxNetworks(options: SandboxNetworksOptions): SandboxNetworks {
  const attached = new Map<string, Promise<SandboxNetwork>>();
  const closeOne = (network: Promise<SandboxNetwork>) =>
    void network.then(
      (known) => known.close(),
      () => undefined,
    );
  return {
    attach(request) {
      const known = attached.get(request.session_id);
      if (known !== undefined) return known.then((network) => asAsked(network, request));
      const made = make(request, options);
      attached.set(request.session_id, made);
      made.catch(() => attached.delete(request.session_id));
      return made;
    },
    detach(sessionId) {
      const known = attached.get(sessionId);
      attached.delete(sessionId);
      if (known !== undefined) closeOne(known);
    },
    close() {
      for (const network of attached.values()) closeOne(network);
      attached.clear();
    },
  };
}

function asAsked(network: SandboxNetwork, { intercept = false }: AttachRequest): SandboxNetwork {
  network.intercept = intercept;
  return network;
}

async function make(request: AttachRequest, options: SandboxNetworksOptions): Promise<SandboxNetwork> {
  if (egressPolicy(request.config).mode === "limited") return new LimitedNetwork(request, options);
  if (request.runtime !== null && !SHARED_NAMESPACE.has(request.runtime)) {
    throw new SandboxLost(
      `The runtime ${request.runtime} has a network of its own, in which private addresses cannot be closed, so unrestricted networking does not work with it. Use limited networking, which does, or another runtime.`,
    );
  }
  return new UnrestrictedNetwork(request, options, await bridgeNetwork(options.docker, options.install));
}
