import type { SandboxNetworks, SandboxNetworksOptions } from "../network/port.ts";
export function sandboxNetworks(_options: SandboxNetworksOptions): SandboxNetworks {
  const network = {
    networkMode: "none",
    env: {},
    command: (argv: readonly string[]) => [...argv],
    ready: async () => ({ step: "set up no network" }),
    close: () => undefined,
  };
  return { attach: async () => network, detach: () => undefined, close: () => undefined };
}
