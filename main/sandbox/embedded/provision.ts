/** Fills the folder of an embedded sandbox: directories, attached files, copies of repositories. Each of them once. */
import { chmod, mkdir, readFile, realpath, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { LocalRepositoryResource, SessionResource } from "../../contract/events.ts";
import type { RepositoryChanges } from "../../contract/local_api.ts";
import { memoryMounts } from "../memory/port.ts";
import type { ProvisionRequest, ProvisionStep } from "../port.ts";
import { createBaseline, ownExcludes, treesSince } from "../resources/baseline.ts";
import { copyTree } from "../resources/copy_tree.ts";
import { diffTrees } from "../resources/diff.ts";
import { recordEntry } from "../resources/history/entry.ts";
import { type Store, storeAt } from "../resources/history/store.ts";
import { megabytes, mountPath, nameOf, resourceId, uploadPath } from "../resources/mount.ts";
import { cloneRemote, type RepositoryRemotes, RepositoryUnavailable } from "../resources/remote_source.ts";
import { RepositoryRefused, readRepository } from "../resources/repository.ts";
import { makeSandboxFolders, type SandboxLayout, safeName } from "./layout.ts";
import { writeReadOnlyMounts } from "./memory/read_only.ts";
import { isTaken, realFolder } from "./placing/real_folder.ts";

/** "placing": its files may be half in; "complete": they are all in and the agent may have changed them since. */
type MarkerState = "placing" | "complete";
type RemoteRepository = Extract<SessionResource, { type: "github_repository" }>;
type FileResource = Extract<SessionResource, { type: "file" }>;

export interface PlaceRequest extends ProvisionRequest {
  /** Where repositories that are attached by URL are fetched from; null when they cannot be. */
  remotes: RepositoryRemotes | null;
}

/** Makes the folders of a sandbox. Rejects when the disk refuses. */
export async function makeDirectories(layout: SandboxLayout, resources: readonly SessionResource[]): Promise<void> {
  makeSandboxFolders(layout.root);
  writeReadOnlyMounts(layout, memoryMounts(resources));
  for (const folder of [layout.calls, layout.baselines, layout.markers])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}

/**
 * Brings in what is not in yet. A resource that cannot be brought in is a step with an error: the session goes on
 * without it, and the next provisioning tries again.
 */
export async function placeResources(layout: SandboxLayout, request: PlaceRequest): Promise<void> {
  for (const resource of request.resources) {
    if ((await marker(layout, resourceId(resource))) === "complete") continue;
    const started = performance.now();
    const took = () => Math.round(performance.now() - started);
    try {
      for (const step of await place(layout, resource, request)) {
        request.onStep({ step, duration_ms: took(), error: null });
      }
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      const missing = resource.type === "github_repository" ? { repository: missingRepository(resource, error) } : {};
      request.onStep({ step: `attach ${nameOf(resource)}`, duration_ms: took(), error: said, ...missing });
    }
  }
}

/** Resolves with what was done, a line each. */
function place(layout: SandboxLayout, resource: SessionResource, request: PlaceRequest): Promise<string[]> {
  switch (resource.type) {
    case "file":
      return placeFile(layout, resource, request.readFile);
    case "local_repository":
      return placeRepository(layout, resource);
    case "memory_store":
      // Filled once the sandbox is there, and again and again: see `memory/`.
      return Promise.resolve([]);
    case "github_repository":
      return placeRemote(layout, resource, request);
  }
}

async function placeFile(
  layout: SandboxLayout,
  resource: FileResource,
  open: ProvisionRequest["readFile"],
): Promise<string[]> {
  const path = uploadPath(resource);
  const { bytes } = await open(resource.file_id);
  const staged = await emptyFolder(join(layout.staging, safeName(resource.id)));
  await writeFile(join(staged, "file"), bytes);
  await chmod(join(staged, "file"), 0o444);
  // The agent may have worked here since: the file may be attached to a session that runs.
  const folder = await realFolder(layout.root, dirname(path));
  await rename(join(staged, "file"), join(folder, basename(path)));
  await setMarker(layout, resource.id, "complete");
  await rm(staged, { recursive: true, force: true });
  return [`attach ${path} (${bytes.length} bytes)`];
}

async function placeRepository(layout: SandboxLayout, resource: LocalRepositoryResource): Promise<string[]> {
  const path = mountPath(resource);
  const target = join(await realFolder(layout.root, dirname(path)), basename(path));
  // Only a half-done placing of this resource may be cleared away; anything else there is somebody's work.
  if ((await marker(layout, resource.id)) === "placing") await rm(target, { recursive: true, force: true });
  if (await isTaken(target)) {
    throw new RepositoryRefused(`mount_path ${resource.mount_path} is taken. Give the repository another mount_path.`);
  }
  const source = await readRepository(resource);
  const staged = await emptyFolder(join(layout.staging, safeName(resource.id)));
  const [tree, gitDir] = [join(staged, "tree"), join(staged, "git")];
  await mkdir(tree);
  await copyTree(source, tree);
  const paths = source.files.map((file) => file.path);
  // Without its history the files still enter; only bringing changes back as a branch is then refused.
  const entry = await recordEntry(resource, historyStore(layout, resource), false).catch(() => null);
  await createBaseline(gitDir, tree, paths, await ownExcludes(source.top), entry?.format ?? "sha1");

  await setMarker(layout, resource.id, "placing");
  const baseline = baselineDir(layout, resource);
  await rm(baseline, { recursive: true, force: true });
  await rename(gitDir, baseline);
  // Looked at again: reading a large repository takes a while.
  await realFolder(layout.root, dirname(path));
  await rmdir(target).catch(() => undefined);
  await rename(tree, target);
  await setMarker(layout, resource.id, "complete");
  await rm(staged, { recursive: true, force: true });

  const bytes = source.files.reduce((sum, file) => sum + file.size, 0);
  const steps = [`copy ${resource.path} to ${mountPath(resource)} (${paths.length} files, ${megabytes(bytes)})`];
  for (const [what, names] of source.skipped) {
    const more = names.length > 5 ? ` and ${names.length - 5} more` : "";
    steps.push(
      `leave out ${what}: ${names
        .slice(0, 5)
        .map((name) => JSON.stringify(name))
        .join(", ")}${more}`,
    );
  }
  return steps;
}

/** There is no git in the sandbox: this machine's fetches the repository, and its files enter as those of a local one do. */
async function placeRemote(
  layout: SandboxLayout,
  resource: RemoteRepository,
  { remotes, session_id }: PlaceRequest,
): Promise<string[]> {
  if (remotes === null) {
    throw new Error(`${resource.url} cannot be attached to an embedded sandbox here. It needs the docker sandbox.`);
  }
  const staged = await emptyFolder(join(layout.staging, safeName(`${resource.id}-clone`)));
  try {
    const path = join(staged, "clone");
    const sha = await cloneRemote(remotes, session_id, resource, path);
    const local = { ...resource, type: "local_repository", path, checkout: { type: "commit", sha } } as const;
    const [, ...steps] = await placeRepository(layout, { ...local, include_uncommitted: false });
    const how = "its files, for there is no git in this sandbox";
    return [`clone ${resource.url} to ${mountPath(resource)} (at ${sha.slice(0, 12)}; ${how})`, ...steps];
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

function missingRepository({ url }: RemoteRepository, error: unknown): NonNullable<ProvisionStep["repository"]> {
  return { url, problem: error instanceof RepositoryUnavailable ? error.problem : "clone" };
}

/** What the agent changed in the attached repositories. Works whether or not the sandbox runs. */
export async function repositoryChanges(
  layout: SandboxLayout,
  resources: readonly SessionResource[],
): Promise<RepositoryChanges[]> {
  const changes: RepositoryChanges[] = [];
  for (const resource of resources) {
    const attached = resource.type === "local_repository" || resource.type === "github_repository";
    if (!attached || !(await isPlaced(layout, resource.id))) continue;
    const path = resource.type === "local_repository" ? resource.path : resource.url;
    const { before, after } = await treesOf(layout, resource);
    const found = await diffTrees(baselineDir(layout, resource), before, after);
    changes.push({ mount_path: resource.mount_path, path, ...found });
  }
  return changes;
}

/** Ids of what entered and of what is there now, among the objects of {@link baselineDir}. */
export async function treesOf(
  layout: SandboxLayout,
  resource: LocalRepositoryResource | RemoteRepository,
): Promise<{ before: string; after: string }> {
  const root = await realpath(layout.root);
  return treesSince(baselineDir(layout, resource), join(root, mountPath(resource)), root);
}

/** True when the resource is in, all of it. */
export async function isPlaced(layout: SandboxLayout, id: string): Promise<boolean> {
  return (await marker(layout, id)) === "complete";
}

/** The commits that the files of a repository came from. */
export function historyStore(layout: SandboxLayout, resource: LocalRepositoryResource): Store {
  return storeAt(join(layout.dir, "histories", safeName(resource.id)));
}

export function baselineDir(layout: SandboxLayout, resource: Pick<LocalRepositoryResource, "id">): string {
  return join(layout.baselines, safeName(resource.id));
}

export async function marker(layout: SandboxLayout, id: string): Promise<MarkerState | null> {
  const text = await readFile(join(layout.markers, safeName(id)), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  // A marker torn by a power cut says nothing more than that the files may be half in.
  return text === null ? null : text === "complete" ? "complete" : "placing";
}

export async function setMarker(layout: SandboxLayout, id: string, state: MarkerState): Promise<void> {
  const file = join(layout.markers, safeName(id));
  await writeFile(`${file}.tmp`, state);
  await rename(`${file}.tmp`, file);
}

export async function emptyFolder(path: string): Promise<string> {
  await rm(path, { recursive: true, force: true });
  await mkdir(path, { recursive: true, mode: 0o700 });
  return path;
}
