/**
 * What the Docker provider asks of a sandbox's network. `network.ts` implements it.
 *
 * 1. `attach` before the container is created: gives the network mode, the environment and the wrapper of the main command.
 * 2. `ready` after every start of the container, and when a running one is adopted, before any command of the agent.
 * 3. `detach` when the sandbox is let go of or destroyed.
 */
import type Dockerode from "dockerode";
import type { SessionSnapshot } from "../../../contract/events.ts";
import type { Container, EgressRoute, GitRoute, TellSession } from "../ports.ts";

export interface SandboxNetworksOptions {
  docker: Dockerode;
  /** Value of the label `longhaul.install` on everything that is made here. */
  install: string;
  egress: EgressRoute;
  /** The way to attached repositories; absent: there is none. */
  git?: GitRoute | null;
  tell: TellSession;
  /** Name of an image that is present and has iproute2's `ip`: our own sandbox image. Asked for `unrestricted` only. */
  guardImage: () => Promise<string>;
}

export interface AttachRequest {
  session_id: string;
  /** The environment's `config`. */
  config: SessionSnapshot["environment"]["config"];
  /** The container runtime that the environment asks for (`longhaul.runtime`); null for the engine's default. */
  runtime: string | null;
  /** The sandbox reaches attached repositories over the relay, also when it has the internet by itself. */
  repositories?: boolean;
  /** See {@link SandboxNetwork.intercept}; false when left out. */
  intercept?: boolean;
}

/** The network of one session's sandbox. */
export interface SandboxNetwork {
  /** For `HostConfig.NetworkMode`. */
  readonly networkMode: string;
  /** Variables for the container's environment (`Env` at create). */
  readonly env: Readonly<Record<string, string>>;
  /** Further ones for the agent's shell, as they are once `ready` has resolved. */
  readonly variables: Readonly<Record<string, string>>;
  /**
   * Set when the sandbox has variables whose values only the broker knows: requests to their hosts go through it and are
   * decrypted there, which the sandbox must trust. Holds from the next `ready` on.
   */
  set intercept(wanted: boolean);
  /**
   * The main command wrapped so that nothing of the sandbox runs before `ready` has closed what must be closed. It runs
   * with the image's `/bin/sh` and ends in `exec` of the command.
   */
  command(argv: readonly string[]): string[];
  /**
   * Puts the network into its state. Idempotent and quick when it is there already; concurrent calls share one run.
   * May run beside other provisioning steps, but must be awaited before the first command of the agent.
   * Rejects with SandboxLost when the state cannot be guaranteed: then nothing may run.
   * @returns one line for the timeline's step
   */
  ready(container: Container): Promise<{ step: string }>;
  /** Lets go of the relay and of open connections; events that wait are told. Idempotent; `ready` may follow. */
  close(): void;
}

export interface SandboxNetworks {
  /** Rejects with SandboxLost. The same session gets the same object until `detach`; `intercept` is set to what is asked. */
  attach(request: AttachRequest): Promise<SandboxNetwork>;
  /** Closes the session's network and forgets it. */
  detach(sessionId: string): void;
  /** Closes all. */
  close(): void;
}
