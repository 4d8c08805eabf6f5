/** The `limited` network: a container without any network, and a relay in it whose connections the broker judges. */
import { SandboxLost } from "../../port.ts";
import type { Container } from "../ports.ts";
import { EgressLog } from "./egress_log.ts";
import { allowingRule, egressPolicy } from "./policy.ts";
import type { AttachRequest, SandboxNetwork, SandboxNetworksOptions } from "./port.ts";
import { EgressProxy } from "./proxy.ts";
import { RelayLife } from "./relay/relay_life.ts";
import { NoInterpreter, RELAY_PORT } from "./relay/start.ts";

export class LimitedNetwork implements SandboxNetwork {
  readonly networkMode = "none";
  readonly env: Readonly<Record<string, string>> = proxyVariables();
  readonly #request: AttachRequest;
  readonly #options: SandboxNetworksOptions;
  readonly #log: EgressLog;
  readonly #relay: RelayLife;
  #container: Container | null = null;
  #readying: Promise<{ step: string }> | null = null;
  #registered = false;

  constructor(request: AttachRequest, options: SandboxNetworksOptions) {
    this.#request = request;
    this.#options = options;
    this.#log = new EgressLog(request.session_id, options.tell);
    const proxy = new EgressProxy({
      connect: (host, port) => options.egress.connect(request.session_id, host, port),
      ruleFor: (host) => allowingRule(request.config, host),
      note: (decision) => this.#log.note(decision),
      git: (incoming, response) => options.git?.forward(request.session_id, incoming, response),
    });
    this.#relay = new RelayLife((connection) => proxy.accept(connection));
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
    this.#relay.moveTo(container);
    this.#log.open();
    return this.#readying;
  }

  close(): void {
    this.#container = null;
    this.#relay.close();
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
      await this.#relay.ready(container);
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
