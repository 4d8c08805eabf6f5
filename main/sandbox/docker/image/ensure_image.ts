/** The image that a session's container is made of: there already, pulled, or built; with the environment's packages in it. */
import type Docker from "dockerode";
import { baseImage } from "./base_image.ts";
import { removeLeftPreparations, withPackages } from "./package_layers.ts";
import { type PackageLists, packageSteps } from "./package_lists.ts";
import { programsOf } from "./programs.ts";
import { type Listener, SharedWork } from "./shared_work.ts";

export interface ImageRequest {
  /** The environment's own image (metadata `longhaul.image`); null asks for the sandbox image of this version. */
  image: string | null;
  /** `config.packages` of the environment. */
  packages: PackageLists;
  /** Put on every container and image made on the way: `longhaul.install`, `longhaul.version`. */
  labels: Record<string, string>;
  /** Told about each step as it ends: `pull image …`, `build image …`, `install apt packages: …`. Nothing to do, no step. */
  onStep: Listener["onStep"];
  /** Told what is going on inside a long step, a line at a time, a few times a second at most. */
  onProgress: Listener["onProgress"];
  /** Bridge network with a way out, in which package managers run; the engine's own when absent. */
  network?: string;
  /** Closes off the network of a container before a package manager runs in it; absent leaves it as the engine makes it. */
  guard?: (containerId: string) => Promise<void>;
  signal?: AbortSignal;
}

export interface ReadyImage {
  /** Id (`sha256:…`) to create containers with: unlike a name it cannot come to mean something else. */
  image: string;
  /** What to call it in texts. */
  name: string;
  /** Which of the programs that Longhaul can use are in it: `bash`, `git`, `python3`, `node`, `ip`, `rg`, … */
  programs: ReadonlySet<string>;
}

/** What is known and under way on one engine. */
interface EngineImages {
  shared: SharedWork;
  /** By image id, which stands for the same files for ever. */
  programs: Map<string, ReadonlySet<string>>;
  cleared: Promise<void>;
}

const engines = new WeakMap<Docker, EngineImages>();

function imagesOf(docker: Docker, install: string | undefined): EngineImages {
  const known = engines.get(docker);
  if (known !== undefined) return known;
  const cleared = install === undefined ? Promise.resolve() : removeLeftPreparations(docker, install);
  const images = { shared: new SharedWork(), programs: new Map<string, ReadonlySet<string>>(), cleared };
  engines.set(docker, images);
  return images;
}

/**
 * Resolves with an image that a sandbox can be made of. Calls that need the same image at the same time share the work
 * (on the same `docker` object), and each is told its steps.
 * Rejects with {@link SandboxLost}, whose message says which step failed, why, and what to do; the step was told to
 * `onStep` by then. Rejects with the signal's reason when it is aborted.
 */
export async function ensureImage(docker: Docker, request: ImageRequest): Promise<ReadyImage> {
  const { labels, signal } = request;
  const listener: Listener = { onStep: request.onStep, onProgress: request.onProgress };
  const images = imagesOf(docker, labels["longhaul.install"]);
  const { shared } = images;
  // Wrong names are refused before minutes are spent.
  const steps = packageSteps(request.packages);
  const base = await baseImage(docker, shared, request.image, listener, signal);
  await checked(docker, images, base, labels, signal);
  if (steps.length === 0) {
    return { image: base.id, name: base.name, programs: await checked(docker, images, base, labels, signal) };
  }
  await images.cleared;
  const made = await withPackages(
    docker,
    shared,
    base,
    steps,
    { labels, network: request.network ?? "bridge", guard: request.guard },
    listener,
    signal,
  );
  const programs = await checked(docker, images, made, labels, signal);
  return { image: made.id, name: `${base.name} with packages (${made.name})`, programs };
}

/** Looks into an image once per process. */
async function checked(
  docker: Docker,
  images: EngineImages,
  image: { id: string; name: string },
  labels: Record<string, string>,
  signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
  const known = images.programs.get(image.id);
  if (known !== undefined) return known;
  const silent: Listener = { onStep: () => undefined, onProgress: () => undefined };
  const programs = await images.shared.run(`check ${image.id}`, silent, signal, (_tell, ending) =>
    programsOf(docker, image, labels, ending),
  );
  images.programs.set(image.id, programs);
  return programs;
}
