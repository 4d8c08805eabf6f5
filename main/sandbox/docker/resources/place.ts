/** Brings the resources of a session into its container, each of them once. */
import type { LocalRepositoryResource, SessionResource } from "../../../contract/events.ts";
import { type ProvisionRequest, type ProvisionStep, type RepositoryProblem, SandboxLost } from "../../port.ts";
import { cloneProblem, routeFailure } from "../../resources/clone_problem.ts";
import { bundleHeader } from "../../resources/history/bundle.ts";
import { recordEntry } from "../../resources/history/entry.ts";
import { isObjectId } from "../../resources/history/source.ts";
import { folderName, storeOf } from "../../resources/history/store.ts";
import { megabytes, mountPath, nameOf, resourceId, uploadPath } from "../../resources/mount.ts";
import type { Container, ExecResult, RoutedRepository } from "../ports.ts";
import {
  failureText,
  type Marker,
  markerFile,
  readMarkers,
  runScript,
  SCRATCH,
  stateFolders,
  tarOf,
} from "./inside.ts";
import { CLEAR, CLONE_BUNDLE, CLONE_URL, NO_COMMIT, TAKEN } from "./scripts.ts";

export interface PlaceRequest
  extends Pick<ProvisionRequest, "session_id" | "resources" | "onStep" | "onProgress" | "readFile"> {
  /** Repositories that the sandbox reaches over the git route; absent: none. */
  routed?: readonly RoutedRepository[];
}

type FileResource = Extract<SessionResource, { type: "file" }>;
type RemoteRepository = Extract<SessionResource, { type: "github_repository" }>;

const CLONE_TIMEOUT_MS = 15 * 60_000;
const ENTRY_REF = "refs/longhaul/entry";

/**
 * Brings in what is not in yet; call it after every start of a container, before anything of the agent runs. A resource
 * that cannot be brought in is a step with an error: the session goes on without it, and the next provisioning tries again.
 * Rejects only when the container or the engine is gone (SandboxLost).
 * @param dataDir the engine's data folder; what entered is recorded in `repositories/<session>` of it
 */
export async function placeResources(container: Container, request: PlaceRequest, dataDir: string): Promise<void> {
  if (request.resources.length === 0) return;
  const markers = await readMarkers(container);
  const placing = new Placing(container, request, dataDir);
  for (const resource of request.resources) {
    const name = folderName(resourceId(resource));
    const marker = markers.get(name);
    if (marker?.state === "complete") continue;
    const started = performance.now();
    try {
      for (const step of await placing.place(resource, name, marker)) {
        request.onStep({ step, duration_ms: Math.round(performance.now() - started), error: null });
      }
    } catch (error) {
      if (error instanceof SandboxLost) throw error;
      const said = error instanceof Error ? error.message : String(error);
      const duration_ms = Math.round(performance.now() - started);
      const missing = resource.type === "github_repository" ? { repository: missingRepository(resource, error) } : {};
      request.onStep({ step: `attach ${nameOf(resource)}`, duration_ms, error: said, ...missing });
    }
  }
}

class Placing {
  readonly #container: Container;
  readonly #request: PlaceRequest;
  readonly #dataDir: string;

  constructor(container: Container, request: PlaceRequest, dataDir: string) {
    this.#container = container;
    this.#request = request;
    this.#dataDir = dataDir;
  }

  /** Resolves with what was done, a line each. */
  place(resource: SessionResource, name: string, marker: Marker | undefined): Promise<string[]> {
    switch (resource.type) {
      case "file":
        return this.#placeFile(resource, name);
      case "local_repository":
        return this.#placeLocal(resource, name, marker);
      case "github_repository":
        return this.#placeRemote(resource, name, marker);
      case "memory_store":
        // Filled once the sandbox is there, and again and again: see `memory/`.
        return Promise.resolve([]);
    }
  }

  async #placeFile(resource: FileResource, name: string): Promise<string[]> {
    const path = uploadPath(resource);
    const { bytes } = await this.#request.readFile(resource.file_id);
    await this.#container.putTar("/", tarOf([...stateFolders(), { path, content: bytes }]));
    await this.#mark(name, { state: "complete" });
    return [`attach ${path} (${bytes.length} bytes)`];
  }

  async #placeLocal(resource: LocalRepositoryResource, name: string, marker: Marker | undefined): Promise<string[]> {
    const target = mountPath(resource);
    const store = storeOf(this.#dataDir, this.#request.session_id, resource.id);
    this.#request.onProgress(`reading ${resource.path}`);
    const entry = await recordEntry(resource, store, true);
    const { pack, commit, branch, format } = entry;
    if (pack === null) throw new Error(`${resource.path}: nothing was packed.`);
    const work = `${SCRATCH}/${name}`;
    const refs = [{ id: commit, ref: ENTRY_REF }, ...entry.tags.map(({ id, ref }) => ({ id, ref }))];
    const start = bundleHeader(format, refs);
    this.#request.onProgress(`sending ${resource.path} (${megabytes(pack.size)})`);
    const steps = await this.#cloned(target, name, marker, async () => {
      await this.#container.putTar(
        "/",
        tarOf([
          ...stateFolders(),
          { path: work, uid: 1000, mode: 0o700, content: "folder" },
          { path: `${work}/bundle`, uid: 1000, content: { start, file: pack.file, fileSize: pack.size } },
          { path: `${work}/shallow`, uid: 1000, content: Buffer.from(entry.shallow ?? "") },
        ]),
      );
      const args = [target, work, commit, branch ?? "", format];
      const done = await runScript(this.#container, CLONE_BUNDLE, args, { timeoutMs: CLONE_TIMEOUT_MS });
      if (done.exitCode !== 0) throw new CloneFailed(done.exitCode, failureText(done));
      await this.#mark(name, { state: "complete", entry: commit });
      const on = branch === null ? `at ${commit.slice(0, 12)}` : `on branch ${branch}`;
      const work_ = entry.commit === entry.base ? "" : ", uncommitted work as one commit on top";
      return [`clone ${resource.path} to ${target} (${megabytes(pack.size)}, ${on}${work_})`];
    });
    return [...steps, ...entry.notes.map((note) => `${resource.path}: ${note}`)];
  }

  async #placeRemote(resource: RemoteRepository, name: string, marker: Marker | undefined): Promise<string[]> {
    const target = mountPath(resource);
    const { url, checkout } = resource;
    const branch = checkout?.type === "branch" ? checkout.name : "";
    const sha = checkout?.type === "commit" ? checkout.sha : "";
    const routed = this.#request.routed?.find(({ id }) => id === resource.id);
    const own = routed?.branch ?? "";
    return this.#cloned(target, name, marker, async () => {
      const onLine = (line: string): void => this.#request.onProgress(line.slice(0, 200));
      const args = [target, url, branch, sha, own];
      const done = await runScript(this.#container, CLONE_URL, args, { timeoutMs: CLONE_TIMEOUT_MS, onLine });
      if (done.exitCode !== 0) {
        const problem = done.exitCode === NO_COMMIT ? "checkout" : cloneProblem(failureText(done));
        throw new CloneFailed(
          done.exitCode,
          `${url} could not be cloned: ${remoteFailure(done, resource, routed !== undefined)}`,
          problem,
        );
      }
      const entry = done.stdout.toString().trim().split("\n").at(-1) ?? "";
      if (!isObjectId(entry)) throw new Error(`${url} was cloned, but the sandbox's git did not say at which commit.`);
      await this.#mark(name, { state: "complete", entry });
      const how = routed === undefined ? "without a token, " : own === "" ? "" : `on branch ${own}, `;
      return [`clone ${url} to ${target} (${how}at ${entry.slice(0, 12)})`];
    });
  }

  /** Runs a clone into the empty folder `target`, and clears away what a failed one left. */
  async #cloned(
    target: string,
    name: string,
    marker: Marker | undefined,
    clone: () => Promise<string[]>,
  ): Promise<string[]> {
    const clear = async (): Promise<void> => {
      await runScript(this.#container, CLEAR, [target, `${SCRATCH}/${name}`]);
    };
    // Only a half-done placing of this resource may be cleared away; anything else there is somebody's work.
    if (marker?.state === "placing") await clear();
    else await this.#refuseTaken(target);
    await this.#mark(name, { state: "placing" });
    try {
      const steps = await clone();
      await runScript(this.#container, 'rm -rf "$1"', [`${SCRATCH}/${name}`]);
      return steps;
    } catch (error) {
      if (error instanceof SandboxLost) throw error;
      const wasTaken = error instanceof CloneFailed && error.exitCode === TAKEN;
      if (!wasTaken) await clear();
      await this.#mark(name, { state: "failed" });
      throw wasTaken ? taken(target) : error;
    }
  }

  async #refuseTaken(target: string): Promise<void> {
    const script = '[ ! -e "$1" ] || [ -z "$(ls -A "$1")" ] || exit 97';
    const { exitCode } = await runScript(this.#container, script, [target]);
    if (exitCode !== 0) throw taken(target);
  }

  #mark(name: string, marker: Marker): Promise<void> {
    return this.#container.putTar("/", tarOf([...stateFolders(), markerFile(name, marker)]));
  }
}

class CloneFailed extends Error {
  readonly exitCode: number;
  readonly problem: RepositoryProblem;
  constructor(exitCode: number, message: string, problem: RepositoryProblem = "clone") {
    super(message);
    this.exitCode = exitCode;
    this.problem = problem;
  }
}

function missingRepository({ url }: RemoteRepository, error: unknown): NonNullable<ProvisionStep["repository"]> {
  return { url, problem: error instanceof CloneFailed ? error.problem : "clone" };
}

function taken(target: string): Error {
  return new Error(`mount_path ${target} is taken. Give the repository another mount_path.`);
}

function remoteFailure(
  done: Pick<ExecResult, "exitCode" | "stderr">,
  { checkout }: RemoteRepository,
  routed: boolean,
): string {
  const text = failureText(done);
  const told = routeFailure(text);
  if (told !== null) return told.text;
  const lines = text.split("\n").filter((line) => /fatal|error/i.test(line));
  const said = (lines.at(-1) ?? text.split("\n").at(-1) ?? text).replace(/[.\s]*$/, ".");
  if (done.exitCode === NO_COMMIT || /Remote branch .* not found|pathspec|did not match/i.test(text)) {
    return `${said} Check the checkout (${JSON.stringify(checkout)}).`;
  }
  if (/resolve (host|proxy)|Connection (refused|timed out)|Failed to connect|CONNECT tunnel|from proxy/i.test(text)) {
    if (routed) return `${said} The way to it needs python3 or node in the sandbox's image, and this engine's broker.`;
    return `${said} The sandbox's network does not reach it. Add its host to allowed_hosts of the environment's networking, or check the URL.`;
  }
  if (/could not read Username|Authentication failed|terminal prompts disabled|not found|error: 40[134]/i.test(text)) {
    return `${said} The repository does not exist, or it is private, and there is no way to use a token here.`;
  }
  return said;
}
