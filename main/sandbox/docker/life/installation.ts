/** What the sandboxes of one provider share: the engine, its networks, and the order in which containers start. */
import { join } from "node:path";
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { LABELS, SANDBOX_VERSION } from "../container/spec.ts";
import type { Engine } from "../discovery/connect.ts";
import { ensureImage } from "../image/ensure_image.ts";
import { sandboxNetworks } from "../network/network.ts";
import type { SandboxNetworks } from "../network/port.ts";
import type { EgressRoute, GitRoute, TellSession } from "../ports.ts";
import { CHECKPOINT_LIMITS, type CheckpointLimits } from "./checkpoints/checkpoints.ts";
import { StartQueue } from "./start_queue.ts";

export interface DockerProviderOptions {
  dataDir: string;
  /** Random id of this install; everything that is made on the engine carries it, and nothing else is touched. */
  installId: string;
  /** The engine. Asked whenever a sandbox is looked for or made; rejects with SandboxLost. */
  engine: () => Promise<Pick<Engine, "docker" | "cpus">>;
  /** Tells sessions what happens to their sandboxes between provisionings. */
  tell: TellSession;
  /** The way out of `limited` sandboxes; null: there is none. */
  egress: EgressRoute | null;
  /** The way to attached repositories; absent: they are cloned over the sandbox's own network, without a token. */
  git?: GitRoute | null;
  /** Containers that are created and started at the same time. */
  parallelStarts?: number;
  /** Milliseconds for which an engine that went away is waited for: it may be restarting. */
  patienceMs?: number;
  /** A sandbox that owes an answer and was silent for so long is asked whether it is there. */
  pingMs?: number;
  /** Milliseconds that it has to answer. */
  silenceMs?: number;
  checkpoints?: Partial<CheckpointLimits>;
}

const NO_PACKAGES = { type: "packages" as const, apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };

export class Installation {
  readonly options: DockerProviderOptions;
  readonly queue: StartQueue;
  readonly patienceMs: number;
  readonly pingMs: number;
  readonly silenceMs: number;
  readonly checkpoints: CheckpointLimits;
  readonly sandboxesDir: string;
  #networks: SandboxNetworks | null = null;

  constructor(options: DockerProviderOptions) {
    this.options = options;
    this.queue = new StartQueue(options.parallelStarts ?? 3);
    this.patienceMs = options.patienceMs ?? 20_000;
    this.pingMs = options.pingMs ?? 5000;
    this.silenceMs = options.silenceMs ?? 10_000;
    this.checkpoints = { ...CHECKPOINT_LIMITS, ...options.checkpoints };
    this.sandboxesDir = join(options.dataDir, "sandboxes");
  }

  /** Rejects with SandboxLost when no engine can be used. */
  engine(): Promise<Pick<Engine, "docker" | "cpus">> {
    return this.options.engine();
  }

  labels(sessionId: string): Record<string, string> {
    return {
      [LABELS.session]: sessionId,
      [LABELS.install]: this.options.installId,
      [LABELS.version]: SANDBOX_VERSION,
    };
  }

  get egress(): EgressRoute {
    return this.options.egress ?? NO_WAY_OUT;
  }

  networks(docker: Docker): SandboxNetworks {
    const { installId: install, tell } = this.options;
    this.#networks ??= sandboxNetworks({
      docker,
      install,
      tell,
      egress: this.egress,
      git: this.options.git ?? null,
      guardImage: () => this.#guardImage(docker),
    });
    return this.#networks;
  }

  detachNetwork(sessionId: string): void {
    this.#networks?.detach(sessionId);
  }

  close(): void {
    this.#networks?.close();
    this.#networks = null;
  }

  async #guardImage(docker: Docker): Promise<string> {
    const quiet = { onStep: () => undefined, onProgress: () => undefined };
    const labels = { [LABELS.install]: this.options.installId, [LABELS.version]: SANDBOX_VERSION };
    return (await ensureImage(docker, { image: null, packages: NO_PACKAGES, labels, ...quiet })).name;
  }
}

const NO_WAY_OUT: EgressRoute = {
  allow: () => Promise.resolve(),
  certificate: () => Promise.reject(new SandboxLost("This engine runs without its broker, which has the certificate.")),
  connect: (_session, host) =>
    Promise.reject(new SandboxLost(`There is no way out to ${host}: this engine runs without its broker.`)),
};
