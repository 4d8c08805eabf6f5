/**
 * The environment's packages as images: one per package manager on top of the one before, each named by the hash of all
 * that went into it. A name is given only to what is complete, so whatever is found under it can be used.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { type ArchiveEntry, archive } from "../container/archive.ts";
import { Tail } from "../container/demux.ts";
import { EngineError, engineCall, LOOK_MS } from "../container/engine_call.ts";
import { type BaseImage, findImage } from "./base_image.ts";
import { isLeftPreparation, PREPARING, PREPARING_MEMORY, RunStalled, runPreparing } from "./container_run.ts";
import { blamedPackage, CA_FILE, installCommand, type PackageStep } from "./package_lists.ts";
import { type Listener, type SharedWork, step, throttled } from "./shared_work.ts";

/** Repository of images with packages in them. */
export const PACKAGES_REPOSITORY = "longhaul-recipe";
/** Label of such an image: the same hash as in its name. */
const LAYER_LABEL = "longhaul.packages";
/** Compilers can be silent for minutes. */
const STALL_MS = 600_000;
/** Large ones build for an hour; one that never ends is not waited for. */
const LIMIT_MS = 2 * 60 * 60_000;
/** A large layer takes the engine its time. */
const COMMIT_MS = 600_000;
const PROGRESS_MS = 250;
/** What a package manager needs to become other users and to own files; nothing that reaches the host. */
const CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETFCAP"];

export interface LayerOptions {
  labels: Record<string, string>;
  /** Name of a bridge network with a way out. */
  network: string;
  guard: ((containerId: string) => Promise<void>) | undefined;
}

/** The image with the packages of all steps in it. Rejects with {@link SandboxLost}. */
export async function withPackages(
  docker: Docker,
  shared: SharedWork,
  base: BaseImage,
  steps: readonly PackageStep[],
  options: LayerOptions,
  listener: Listener,
  signal: AbortSignal | undefined,
): Promise<BaseImage> {
  let below = base;
  for (const next of steps) {
    const hash = layerHash(below.id, next);
    const name = `${PACKAGES_REPOSITORY}:${hash}`;
    const from = below;
    below =
      (await findImage(docker, name)) ??
      (await shared.run(`image ${name}`, listener, signal, (tell, ending) =>
        step(`install ${next.manager} packages: ${shortList(next.names)}`, tell, () =>
          install(docker, from, next, hash, options, tell, ending),
        ),
      ));
  }
  return below;
}

/** Two environments with the same packages on the same image have the same hash, in whatever order they name them. */
export function layerHash(baseId: string, { manager, names }: PackageStep): string {
  return createHash("sha256")
    .update(JSON.stringify([baseId, manager, names]))
    .digest("hex")
    .slice(0, 24);
}

function shortList(names: readonly string[]): string {
  return names.length <= 6 ? names.join(", ") : `${names.slice(0, 5).join(", ")} and ${names.length - 5} more`;
}

async function install(
  docker: Docker,
  base: BaseImage,
  packages: PackageStep,
  hash: string,
  options: LayerOptions,
  tell: Listener,
  signal: AbortSignal,
): Promise<BaseImage> {
  const { manager } = packages;
  const progress = throttled(PROGRESS_MS, tell.onProgress);
  const output = new Tail(16 * 1024);
  progress.tell(`Installing ${manager} packages: ${shortList(packages.names)} …`);
  const run = {
    image: base.id,
    argv: installCommand(packages),
    user: "0:0",
    labels: { ...options.labels, [LAYER_LABEL]: hash },
    network: options.network,
    capabilities: CAPABILITIES,
    files: await authorities(),
    stallMs: STALL_MS,
    limitMs: LIMIT_MS,
    ...(options.guard === undefined ? {} : { beforeStart: options.guard }),
    onOutput: (bytes: Buffer) => {
      output.add(bytes);
      const line = lastLines(bytes.toString("utf8"), 1);
      if (line !== "") progress.tell(`${manager}: ${line.slice(0, 200)}`);
    },
    signal,
  };
  try {
    await runPreparing(docker, run, async (exitCode, container) => {
      if (exitCode !== 0) throw installFailed(packages, output.text(), endOf(exitCode));
      progress.tell(`Keeping the ${manager} packages as an image …`);
      await engineCall(docker, "keep the installed packages as an image", COMMIT_MS, (abortSignal) =>
        container.commit({ repo: PACKAGES_REPOSITORY, tag: hash, changes: restored(base), abortSignal }),
      );
    });
  } catch (error) {
    if (error instanceof RunStalled) throw installFailed(packages, output.text(), error.message);
    throw error;
  } finally {
    progress.end();
  }
  const made = await findImage(docker, `${PACKAGES_REPOSITORY}:${hash}`);
  if (made !== null) return made;
  throw new SandboxLost(
    `The image with the environment's ${manager} packages was removed right after it was made. Repeat the call.`,
  );
}

/**
 * Networks that inspect traffic sign with an authority of their own. Where this machine names it for Node, the package
 * managers get it too; it does not stay in the image.
 */
async function authorities(): Promise<Buffer> {
  const file = process.env["NODE_EXTRA_CA_CERTS"] ?? "";
  const content = file === "" ? null : await readFile(file).catch(() => null);
  const owner = { uid: 0, gid: 0 };
  const entries: ArchiveEntry[] = [{ path: `${dirname(CA_FILE)}/`, mode: 0o755, ...owner }];
  if (content !== null) entries.push({ path: CA_FILE, mode: 0o644, ...owner, content });
  return archive(entries);
}

/** Dockerfile lines that take back what the preparing container was started with. */
function restored({ config }: BaseImage): string[] {
  const list = (words: string[] | string | null | undefined): string[] =>
    typeof words === "string" ? [words] : (words ?? []);
  const [entrypoint, command] = [list(config.Entrypoint), list(config.Cmd)];
  return [
    `USER ${config.User === undefined || config.User === "" ? "root" : config.User}`,
    `WORKDIR ${config.WorkingDir === undefined || config.WorkingDir === "" ? "/" : config.WorkingDir}`,
    // An empty list would not replace what the container has.
    ...(entrypoint.length === 0 ? [] : [`ENTRYPOINT ${JSON.stringify(entrypoint)}`]),
    `CMD ${JSON.stringify(command.length === 0 && entrypoint.length === 0 ? ["/bin/sh"] : command)}`,
  ];
}

function endOf(exitCode: number): string {
  if (exitCode !== 137) return `it ended with exit code ${exitCode}`;
  return `it was killed, most likely because it needed more than ${PREPARING_MEMORY / 1024 ** 3} GiB of memory`;
}

function installFailed({ manager, names }: PackageStep, output: string, why: string): SandboxLost {
  const blamed = blamedPackage(manager, output);
  const what = blamed ?? (names.length === 1 ? names[0] : undefined);
  const todo = /SELF_SIGNED_CERT|CERTIFICATE_VERIFY_FAILED|certificate verif|unknown authority/i.test(output)
    ? "The network presents certificates of an authority that the image does not know: name the file with it in the " +
      "variable NODE_EXTRA_CA_CERTS when Longhaul is started"
    : `Correct config.packages.${manager} of the environment or check the network of the container engine`;
  return new SandboxLost(
    `Installing the environment's ${manager} packages failed${what === undefined ? "" : ` at ${JSON.stringify(what)}`}: ${why}. ` +
      `Nothing of it was kept. ${todo}, then repeat the call.\nLast output:\n${lastLines(output, 12)}`,
  );
}

/** The last lines that say something; a line that was drawn over itself counts as its last state. */
function lastLines(text: string, count: number): string {
  return text
    .split("\n")
    .map((line) => stripVTControlCharacters(line.split("\r").findLast((part) => part.trim() !== "") ?? "").trimEnd())
    .filter((line) => line.trim() !== "")
    .slice(-count)
    .map((line) => line.slice(0, 300))
    .join("\n");
}

/**
 * Removes containers that earlier processes of this install left while they prepared an image. Call it once per process, before
 * the first one is made here. Never rejects: they cost disk and nothing else.
 */
export async function removeLeftPreparations(docker: Docker, install: string): Promise<void> {
  try {
    const left = await engineCall(docker, "list containers", LOOK_MS, (abortSignal) =>
      docker.listContainers({
        all: true,
        filters: { label: [`longhaul.install=${install}`], name: [PREPARING] },
        abortSignal,
      }),
    );
    for (const { Id, Names } of left) {
      // The engine's filter finds the text anywhere in the name.
      if (!Names.every(isLeftPreparation)) continue;
      await engineCall(docker, "remove a container", LOOK_MS, (abortSignal) =>
        docker.getContainer(Id).remove({ force: true, v: true, abortSignal }),
      );
    }
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
  }
}
