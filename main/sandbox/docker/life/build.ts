/** Makes a session's container: from the environment's image, or from a checkpoint of one that was removed. */
import type Docker from "dockerode";
import type { ProvisionRequest } from "../../port.ts";
import { RUNNER_COMMAND, runnerFiles } from "../../runner/files.ts";
import { archive } from "../container/archive.ts";
import { DockerContainer } from "../container/container.ts";
import { engineCall, isFault, WORK_MS } from "../container/engine_call.ts";
import { createOptions, LABELS, sandboxFolders } from "../container/spec.ts";
import { ensureImage, type ImageRequest } from "../image/ensure_image.ts";
import type { SandboxNetwork } from "../network/port.ts";
import { type SandboxSettings, sandboxSettings } from "../settings.ts";
import { placeholders } from "../variables/environment.ts";
import type { StoredCheckpoint } from "./checkpoints/checkpoints.ts";
import { MAKER, type Owner, removeContainer, unfinishedName } from "./find.ts";
import type { Installation } from "./installation.ts";
import { step } from "./steps.ts";

export interface BuildRequest {
  engine: Awaited<ReturnType<Installation["engine"]>>;
  owner: Owner;
  request: ProvisionRequest;
  network: SandboxNetwork;
  checkpoint: StoredCheckpoint | null;
}

/**
 * Creates the container, fills it and starts it; nothing of the agent runs in it yet, and it is not marked as ready. Null
 * when somebody else has just made one. What is left of a failure is removed. Rejects with SandboxLost.
 */
export async function buildContainer(install: Installation, build: BuildRequest): Promise<DockerContainer | null> {
  const { request, checkpoint } = build;
  const { docker, cpus } = build.engine;
  const settings = sandboxSettings(request.environment.metadata, cpus);
  const image = checkpoint?.image ?? (await prepareImage(install, build, settings));
  return install.queue.run(async () => {
    const what =
      checkpoint === null ? "create the container" : `create the container from checkpoint ${checkpoint.name}`;
    const files = await archive([...sandboxFolders(), ...runnerFiles().map((file) => ({ ...file, uid: 0, gid: 0 }))]);
    let id: string | null = null;
    try {
      await step(request.onStep, what, async () => {
        id = await create(install, build, settings, image);
        if (id !== null) await new DockerContainer(docker, id, build.owner.session).putTar("/", files);
      });
      if (id === null) return null;
      const made = new DockerContainer(docker, id, build.owner.session);
      await step(request.onStep, "start the container", () => startContainer(docker, made.id));
      return made;
    } catch (error) {
      if (id !== null) await discard(docker, id);
      throw error;
    }
  });
}

async function prepareImage(install: Installation, build: BuildRequest, settings: SandboxSettings): Promise<string> {
  const { request } = build;
  const { docker } = build.engine;
  const { config } = request.environment;
  const packages = config.type === "cloud" ? config.packages : NO_PACKAGES;
  const asked: ImageRequest = {
    image: settings.image,
    packages,
    labels: install.labels(request.session_id),
    onStep: request.onStep,
    onProgress: request.onProgress,
  };
  const installs = Object.values(packages ?? {}).some((names) => Array.isArray(names) && names.length > 0);
  if (!installs) return (await ensureImage(docker, asked)).image;
  // Packages run programs of their own while they are installed: they reach no more than an unrestricted sandbox does.
  const id = `${request.session_id}.packages`;
  const network = await install.networks(docker).attach({ session_id: id, config: UNRESTRICTED, runtime: null });
  try {
    const guard = async (containerId: string): Promise<void> => {
      await network.ready(new DockerContainer(docker, containerId, id));
    };
    return (await ensureImage(docker, { ...asked, network: network.networkMode, guard })).image;
  } finally {
    install.detachNetwork(id);
  }
}

const NO_PACKAGES = { type: "packages" as const, apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };
const UNRESTRICTED = { type: "cloud" as const, networking: { type: "unrestricted" as const }, packages: NO_PACKAGES };

/** The new container's id; null when its name is taken. */
async function create(
  install: Installation,
  { engine, owner, request, network }: BuildRequest,
  settings: SandboxSettings,
  image: string,
): Promise<string | null> {
  const options = createOptions({
    name: unfinishedName(owner),
    image,
    command: network.command(RUNNER_COMMAND),
    labels: { ...install.labels(request.session_id), [LABELS.maker]: MAKER },
    settings,
    networkMode: network.networkMode,
    env: { ...placeholders(request.variables ?? []), ...network.env },
  });
  try {
    const { docker } = engine;
    const made = await engineCall(docker, "create the container", WORK_MS, (abortSignal) =>
      docker.createContainer({ ...options, abortSignal }),
    );
    return made.id;
  } catch (error) {
    if (isFault(error, "name_taken")) return null;
    throw error;
  }
}

/** Starts a container, or does nothing when it runs. */
export async function startContainer(docker: Docker, id: string): Promise<void> {
  await engineCall(docker, "start the container", WORK_MS, async (abortSignal) => {
    try {
      await docker.getContainer(id).start({ abortSignal });
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 304) throw error;
    }
  });
}

/** Kills what runs in a container and waits for its end; nothing when it has ended. */
export async function killContainer({ docker, id }: DockerContainer): Promise<void> {
  try {
    await engineCall(docker, "end the container", WORK_MS, (abortSignal) => {
      const container = docker.getContainer(id);
      return Promise.all([container.wait({ abortSignal }), container.kill({ abortSignal })]);
    });
  } catch (error) {
    if (!isFault(error, "not_running")) throw error;
  }
}

/** Removes what is left of a failure. Never rejects: the next provisioning clears away what this leaves. */
export async function discard(docker: Docker, id: string): Promise<void> {
  await removeContainer(docker, id).catch(() => undefined);
}
