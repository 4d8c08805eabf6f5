/** Copies of a sandbox's files as images, from which a removed container is rebuilt. */
import type Docker from "dockerode";
import type { Checkpoint } from "../../../port.ts";
import type { DockerContainer } from "../../container/container.ts";
import { engineCall, isFault, LOOK_MS } from "../../container/engine_call.ts";
import { LABELS } from "../../container/spec.ts";
import { containerName, type Owner } from "../find.ts";

const REPOSITORY = "longhaul-checkpoint";
/** Copying gigabytes takes time. */
const COPY_MS = 10 * 60_000;

export interface CheckpointLimits {
  /** Checkpoints of one session that are kept. */
  keep: number;
  /** Bytes that the sandbox may have written since its image; a larger one is not copied. */
  maxBytes: number;
  /** Layers of an image beyond which it is made anew in one layer: engines stop at about 125. */
  maxLayers: number;
}

export const CHECKPOINT_LIMITS: CheckpointLimits = { keep: 2, maxBytes: 4 * 1024 ** 3, maxLayers: 100 };

export interface StoredCheckpoint {
  /** `longhaul-checkpoint:<container>-<number>`. */
  name: string;
  image: string;
  number: number;
  /** ISO 8601. */
  taken_at: string;
}

/** Checkpoints of a session, newest first. */
export async function listCheckpoints(docker: Docker, owner: Owner): Promise<StoredCheckpoint[]> {
  const label = [`${LABELS.install}=${owner.install}`, `${LABELS.session}=${owner.session}`, LABELS.checkpoint];
  const images = await engineCall(docker, "list checkpoints", LOOK_MS, (abortSignal) =>
    docker.listImages({ filters: JSON.stringify({ label }), abortSignal }),
  );
  return images
    .map((image) => ({
      name: (image.RepoTags ?? []).find((tag) => tag.includes(REPOSITORY)) ?? image.Id,
      image: image.Id,
      number: Number(image.Labels?.[LABELS.checkpoint]),
      taken_at: new Date(image.Created * 1000).toISOString(),
    }))
    .sort((a, b) => b.number - a.number);
}

/**
 * Copies the container's files; its processes stand still meanwhile. Older checkpoints are removed after it.
 * Rejects with an Error that says why there is none.
 */
export async function takeCheckpoint(
  docker: Docker,
  owner: Owner,
  container: DockerContainer,
  limits: CheckpointLimits,
): Promise<Checkpoint> {
  const started = performance.now();
  const size = await writtenBytes(docker, container.id);
  if (size > limits.maxBytes) {
    throw new Error(
      `The sandbox has written ${gibibytes(size)} since its image, more than the ${gibibytes(limits.maxBytes)} that a checkpoint ` +
        "may have. Its files are safe as long as its container is kept. Delete what is not needed, such as build output.",
    );
  }
  const older = await listCheckpoints(docker, owner);
  const number = (older[0]?.number ?? 0) + 1;
  const tag = `${containerName(owner)}-${number}`;
  const changes = [`LABEL ${LABELS.checkpoint}=${number}`];
  if ((await layers(docker, container.id)) >= limits.maxLayers) {
    // A commit takes over the container's labels; an import has none.
    const labels = [`LABEL ${LABELS.install}=${owner.install}`, `LABEL ${LABELS.session}=${owner.session}`];
    await flatten(docker, container.id, tag, [...changes, ...labels]);
  } else {
    await engineCall(docker, "take a checkpoint of the sandbox", COPY_MS, (abortSignal) =>
      docker.getContainer(container.id).commit({ repo: REPOSITORY, tag, pause: true, changes, abortSignal }),
    );
  }
  await removeCheckpoints(docker, older.slice(Math.max(0, limits.keep - 1)));
  return {
    checkpoint: `${REPOSITORY}:${tag}`,
    size_bytes: size,
    duration_ms: Math.round(performance.now() - started),
  };
}

/** Bytes in the container's writable layer. */
async function writtenBytes(docker: Docker, id: string): Promise<number> {
  const [row] = await engineCall(docker, "measure the sandbox", COPY_MS, (abortSignal) =>
    docker.listContainers({ all: true, size: true, filters: JSON.stringify({ id: [id] }), abortSignal }),
  );
  return (row as { SizeRw?: number } | undefined)?.SizeRw ?? 0;
}

async function layers(docker: Docker, containerId: string): Promise<number> {
  const { Image } = await engineCall(docker, "look up the sandbox's container", LOOK_MS, (abortSignal) =>
    docker.getContainer(containerId).inspect({ abortSignal }),
  );
  const image = await engineCall(docker, "look up the sandbox's image", LOOK_MS, (abortSignal) =>
    docker.getImage(Image).inspect({ abortSignal } as Docker.ImageInspectOptions),
  );
  return image.RootFS.Layers?.length ?? 0;
}

/** One image of one layer with everything in it. What an import forgets is said again when a container is made of it. */
async function flatten(docker: Docker, containerId: string, tag: string, changes: string[]): Promise<void> {
  const { Config } = await engineCall(docker, "look up the sandbox's container", LOOK_MS, (abortSignal) =>
    docker.getContainer(containerId).inspect({ abortSignal }),
  );
  const env = (Config.Env ?? []).flatMap(environmentChange);
  const files = await engineCall(docker, "read the sandbox's files", LOOK_MS, (abortSignal) =>
    docker.getContainer(containerId).export({ abortSignal }),
  );
  const progress = await engineCall(docker, "take a checkpoint of the sandbox", COPY_MS, (abortSignal) =>
    docker.importImage(files, { repo: REPOSITORY, tag, changes: [...changes, ...env], abortSignal }),
  );
  await new Promise<void>((resolve, reject) => {
    docker.modem.followProgress(progress, (error: Error | null) => (error === null ? resolve() : reject(error)));
  });
}

/** As a line of a Dockerfile, in which a dollar would name another variable; none for what such a line cannot hold. */
function environmentChange(variable: string): string[] {
  const [name = "", ...value] = variable.split("=");
  if (variable.includes("\n")) return [];
  return [`ENV ${name}="${value.join("=").replace(/[\\"$]/g, "\\$&")}"`];
}

/** Removes checkpoints; one that a container is made of stays as long as that container does. */
export async function removeCheckpoints(docker: Docker, checkpoints: readonly StoredCheckpoint[]): Promise<void> {
  for (const { name } of checkpoints) {
    try {
      await engineCall(docker, "remove an old checkpoint", COPY_MS, (abortSignal) =>
        docker.getImage(name).remove({ abortSignal }),
      );
    } catch (error) {
      if (!isFault(error, "no_image", "no_container") && !isConflict(error)) throw error;
    }
  }
}

function isConflict(error: unknown): boolean {
  return (error as { fault?: { status?: number } }).fault?.status === 409;
}

function gibibytes(bytes: number): string {
  return `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}
