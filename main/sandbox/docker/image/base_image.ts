/** The image before the environment's packages: there already, pulled by name, or built from our own recipe. */
import { Readable } from "node:stream";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { NoSandboxImage, SandboxLost } from "../../port.ts";
import { EngineError, engineCall, LOOK_MS } from "../container/engine_call.ts";
import { engineFault } from "../failures.ts";
import { PullProgress, reports } from "./engine_stream.ts";
import { bootstrapScript, RECIPE_LABEL, type SandboxRecipe, sandboxRecipe } from "./sandbox_recipe.ts";
import { type Listener, type SharedWork, step, throttled } from "./shared_work.ts";

/** Names the image that sandboxes are made of when their environment names none. */
const DEFAULT_IMAGE_VARIABLE = "LONGHAUL_SANDBOX_IMAGE";
/** Metadata key of an environment. */
const IMAGE_KEY = "longhaul.image";

/** Milliseconds without a report: a pull reports several times a second, a build when a program in it prints. */
const PULL_STALL_MS = 120_000;
const BUILD_STALL_MS = 300_000;
const PROGRESS_MS = 250;
const SAFE = "The session and what was recorded of it are safe";

/** Repository with optional registry, tag and digest; or an id. Docker's own grammar, somewhat stricter. */
const REFERENCE =
  /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::\w[\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$|^sha256:[0-9a-f]{12,64}$/;

export interface BaseImage {
  id: string;
  name: string;
  /** The image's configuration, as far as it is used here. */
  config: Partial<Pick<Docker.ImageInspectInfo["Config"], "User" | "WorkingDir" | "Cmd" | "Entrypoint">>;
}

/** What the engine has under a name; null when it has nothing. Rejects with EngineError. */
export async function findImage(docker: Docker, name: string): Promise<BaseImage | null> {
  try {
    const found = await engineCall(docker, "look for an image", LOOK_MS, () => docker.getImage(name).inspect());
    return { id: found.Id, name, config: found.Config ?? {} };
  } catch (error) {
    if (error instanceof EngineError && error.fault.status === 404) return null;
    throw error;
  }
}

/** Rejects with {@link SandboxLost}. */
export async function baseImage(
  docker: Docker,
  shared: SharedWork,
  image: string | null,
  listener: Listener,
  signal: AbortSignal | undefined,
): Promise<BaseImage> {
  const byVariable = process.env[DEFAULT_IMAGE_VARIABLE] ?? "";
  const named = image ?? (byVariable === "" ? null : byVariable);
  if (named === null) {
    const recipe = await sandboxRecipe();
    return (
      (await findImage(docker, recipe.image)) ??
      shared.run(`image ${recipe.image}`, listener, signal, (tell, ending) =>
        step(`build image ${recipe.image}`, tell, () => buildImage(docker, recipe, tell, ending)),
      )
    );
  }
  const source =
    image === null ? `the variable ${DEFAULT_IMAGE_VARIABLE}` : `\`${IMAGE_KEY}\` in the environment's metadata`;
  if (named.length > 400 || !REFERENCE.test(named)) {
    throw new SandboxLost(
      `${JSON.stringify(named.slice(0, 80))} is no name of an image. ${SAFE}. Correct ${source}: a name is written like ` +
        '"debian:12", "ghcr.io/owner/image:tag" or "image@sha256:…".',
    );
  }
  return (
    (await findImage(docker, named)) ??
    shared.run(`image ${named}`, listener, signal, (tell, ending) =>
      step(`pull image ${named}`, tell, () => pull(docker, named, source, tell, ending)),
    )
  );
}

async function pull(
  docker: Docker,
  name: string,
  source: string,
  tell: Listener,
  signal: AbortSignal,
): Promise<BaseImage> {
  const progress = throttled(PROGRESS_MS, tell.onProgress);
  progress.tell(`Pulling ${name} …`);
  const layers = new PullProgress();
  try {
    const stream = await engineCall(docker, "pull an image", PULL_STALL_MS, (abortSignal) =>
      // Without a tag the engine would pull all of them.
      docker.createImage({ fromImage: /[:@][^/]*$/.test(name) ? name : `${name}:latest`, abortSignal }),
    );
    for await (const report of reports(stream as Readable, PULL_STALL_MS, signal)) {
      const line = layers.add(report);
      if (line !== null) progress.tell(`Pulling ${name}: ${line}`);
    }
  } catch (error) {
    throw pullFailed(name, source, error);
  } finally {
    progress.end();
  }
  const pulled = await findImage(docker, name);
  if (pulled === null) throw pullFailed(name, source, new Error("the engine reported success and does not have it"));
  return pulled;
}

function pullFailed(name: string, source: string, error: unknown): SandboxLost {
  const { kind, detail } = error instanceof EngineError ? error.fault : engineFault(error);
  if (error instanceof EngineError && (kind === "unreachable" || kind === "no_permission")) return error;
  const todo =
    kind === "disk_full"
      ? "Free some space (`docker system df` shows what takes it), then repeat the call"
      : `Correct ${source} if the name is wrong; check the network, or log in to its registry with \`docker login\` and ` +
        `run \`docker pull ${name}\`; an image can also be loaded from a file with \`docker load\``;
  return new SandboxLost(
    `The image ${name} is not on the container engine and could not be pulled: ${detail}. ${SAFE}. ${todo}.`,
    { cause: error },
  );
}

/** Builds the image of a recipe. Rejects with {@link SandboxLost} that names the step of the build. */
export async function buildImage(
  docker: Docker,
  recipe: SandboxRecipe,
  tell: Listener,
  signal: AbortSignal,
): Promise<BaseImage> {
  const progress = throttled(PROGRESS_MS, tell.onProgress);
  const log = new BuildLog();
  progress.tell("Building the sandbox image; this takes some minutes and happens once …");
  try {
    const context = await buildContext(recipe.files);
    const stream = await engineCall(docker, "build an image", BUILD_STALL_MS, (abortSignal) =>
      docker.buildImage(Readable.from([context]), {
        t: recipe.image,
        labels: { [RECIPE_LABEL]: recipe.hash },
        rm: true,
        forcerm: true,
        abortSignal,
      }),
    );
    for await (const { stream: text, status } of reports(stream as Readable, BUILD_STALL_MS, signal)) {
      const line = log.add(text ?? status ?? "");
      if (line !== null) progress.tell(line);
    }
  } catch (error) {
    if (error instanceof EngineError && error.fault.kind === "unreachable") throw error;
    throw buildFailed(log, error);
  } finally {
    progress.end();
  }
  const built = await findImage(docker, recipe.image);
  if (built === null) throw buildFailed(log, new Error("the engine reported success and does not have the image"));
  return built;
}

async function buildContext(files: Record<string, string>): Promise<Buffer> {
  const tar = pack();
  // A fixed time keeps the engine's cache of unchanged steps.
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o644, mtime: new Date(0) }, content);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Where a build is, and what was printed last in the step. */
export class BuildLog {
  /** "step 3/9 (RUN …)" */
  step = "its first step";
  readonly #last: string[] = [];

  /** The line to show for this output; null when it holds none. */
  add(text: string): string | null {
    const lines = text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim().slice(0, 200)]));
    for (const line of lines) {
      const started = /^step (\d+\/\d+)\s*:\s*(.*)$/i.exec(line);
      if (started !== null) {
        this.step = `step ${started[1]} (${started[2]})`;
        this.#last.length = 0;
      } else if (!/^(--->|Removing intermediate container )/.test(line)) {
        this.#last.push(line);
        if (this.#last.length > 6) this.#last.shift();
      }
    }
    const line = lines.at(-1);
    return line === undefined ? null : `Building the sandbox image: ${line}`;
  }

  lastLines(): string {
    return this.#last.join("\n");
  }
}

function buildFailed(log: BuildLog, error: unknown): NoSandboxImage {
  const fault = error instanceof EngineError ? error.fault : engineFault(error);
  const printed = log.lastLines();
  const todo =
    fault.kind === "disk_full"
      ? "Free some space (`docker system df` shows what takes it), then repeat the call"
      : "It needs a registry for its base images and Debian's packages: check the network, then repeat the call. Without a " +
        `registry, \`${bootstrapScript()}\` makes the image on Debian or Ubuntu. An image of your own can be named in the ` +
        `environment's metadata (\`${IMAGE_KEY}\`), and LONGHAUL_SANDBOX=embedded works without containers`;
  return new NoSandboxImage(
    `The sandbox image could not be built: it failed at ${log.step} because ${fault.detail}. ${SAFE}. ${todo}.` +
      (printed === "" ? "" : `\nLast output:\n${printed}`),
    { cause: error },
  );
}
