/** The `limited` network: a container without any network, and the broker as its only way out. */
import type { Container } from "../ports.ts";
import { egressPolicy } from "./policy.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "./port.ts";
import { RELAY_ADDRESS } from "./relay/start.ts";
import { WayOut } from "./way_out.ts";

export class LimitedNetwork implements SandboxNetwork {
  readonly networkMode = "none";
  readonly env: Readonly<Record<string, string>> = proxyVariables();
  readonly variables = {};
  readonly #hosts: number;
  readonly #wayOut: WayOut;

  constructor(request: AttachRequest, options: SandboxNetworksOptions) {
    const policy = egressPolicy(request.config);
    this.#hosts = policy.mode === "limited" ? policy.allowed_hosts.length : 0;
    this.#wayOut = new WayOut(request, options);
  }

  set intercept(wanted: boolean) {
    this.#wayOut.intercept = wanted;
  }

  command(argv: readonly string[]): string[] {
    return [...argv];
  }

  async ready(container: Container): Promise<{ step: string }> {
    const problem = await this.#wayOut.ready(container);
    if (problem !== null) return { step: `network: none; allowed hosts cannot be reached because ${problem}` };
    return { step: `network: limited to ${this.#hosts} allowed host${this.#hosts === 1 ? "" : "s"}` };
  }

  close(): void {
    this.#wayOut.close();
  }
}

/** What programs read to find the way out; Node's own fetch needs telling that it should look. */
function proxyVariables(): Record<string, string> {
  return { HTTP_PROXY: RELAY_ADDRESS, http_proxy: RELAY_ADDRESS, ...encryptedProxyVariables() };
}

/** The same for encrypted connections alone. */
export function encryptedProxyVariables(): Record<string, string> {
  const direct = "localhost,127.0.0.1,::1";
  return {
    HTTPS_PROXY: RELAY_ADDRESS,
    https_proxy: RELAY_ADDRESS,
    NO_PROXY: direct,
    no_proxy: direct,
    NODE_USE_ENV_PROXY: "1",
  };
}
