/** An install of its own on the real engine, for tests: a data folder, an id, and whatever was made with it. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import type { EventDraft } from "../../../contract/events.ts";
import type { ProvisionRequest, SandboxProvider } from "../../port.ts";
import { provisionRequest } from "../../testing/bench.ts";
import { LABELS } from "../container/spec.ts";
import { findEngine } from "../find_engine.ts";
import { type DockerProviderOptions, dockerProvider } from "../provider.ts";
import { SANDBOX_IMAGE, testDockerHost } from "./real_engine.ts";

export interface Install {
  readonly id: string;
  readonly dataDir: string;
  readonly docker: Docker;
  /** What sessions were told between provisionings. */
  readonly told: EventDraft[];
  /** A new provider on the same sandboxes, as a restarted engine makes one. */
  open(more?: Partial<DockerProviderOptions>): SandboxProvider;
  /** Containers of one session, or of the install. */
  containers(sessionId?: string): Promise<Docker.ContainerInfo[]>;
  /** Sends SIGKILL to the session's container, and waits until the engine knows that it is dead. */
  kill(sessionId: string): Promise<void>;
  /** Closes what was opened and removes everything that was made. */
  remove(): Promise<void>;
}

/** Of a session whose sandbox has no network: the quickest to make. */
export function limitedRequest(
  sessionId: string,
  more: Partial<ProvisionRequest> & { metadata?: Record<string, string> } = {},
): ProvisionRequest {
  const { metadata = {}, ...rest } = more;
  const networking = {
    type: "limited" as const,
    allowed_hosts: [],
    allow_mcp_servers: false,
    allow_package_managers: false,
  };
  const request = provisionRequest(sessionId, rest);
  const { config } = request.environment;
  if (config.type !== "cloud") return request;
  return { ...request, environment: { ...request.environment, metadata, config: { ...config, networking } } };
}

/** @param host address of the engine; the one that tests share when left out */
export async function newInstall(host: string = testDockerHost()): Promise<Install> {
  // An environment that names no image gets the one that was made without a registry.
  process.env["LONGHAUL_SANDBOX_IMAGE"] ??= SANDBOX_IMAGE;
  const id = `test${randomBytes(5).toString("hex")}`;
  const dataDir = await mkdtemp(join(tmpdir(), "longhaul-docker-"));
  const engine = await findEngine({ DOCKER_HOST: host });
  const { docker } = engine;
  const told: EventDraft[] = [];
  const opened: SandboxProvider[] = [];
  const label = (sessionId?: string): string[] => [
    `${LABELS.install}=${id}`,
    ...(sessionId === undefined ? [] : [`${LABELS.session}=${sessionId}`]),
  ];
  const containers = (sessionId?: string): Promise<Docker.ContainerInfo[]> =>
    docker.listContainers({ all: true, filters: { label: label(sessionId) } });
  return {
    id,
    dataDir,
    docker,
    told,
    containers,
    open: (more = {}) => {
      const tell = (_session: string, event: EventDraft): void => void told.push(event);
      const options = { dataDir, installId: id, engine: () => Promise.resolve(engine), tell, egress: null };
      const provider = dockerProvider({ ...options, ...more });
      opened.push(provider);
      return provider;
    },
    kill: async (sessionId) => {
      for (const { Id } of await containers(sessionId)) {
        const ended = docker.getContainer(Id).wait();
        await docker.getContainer(Id).kill();
        await ended;
      }
    },
    remove: async () => {
      for (const provider of opened) await provider.close();
      for (const { Id } of await containers()) await docker.getContainer(Id).remove({ force: true, v: true });
      const filters = { label: label() };
      for (const image of await docker.listImages({ filters: JSON.stringify(filters) })) {
        for (const tag of image.RepoTags ?? [image.Id]) await docker.getImage(tag).remove({ force: true });
      }
      for (const network of await docker.listNetworks({ filters })) await docker.getNetwork(network.Id).remove();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
