/** Resources of a new session: checked against this disk and the uploaded files, then resolved with their defaults. */
import { stat } from "node:fs/promises";
import { basename, isAbsolute, normalize, parse } from "node:path";
import { invalid } from "../../../contract/errors.ts";
import type { LocalRepositoryResource, SessionResource } from "../../../contract/events.ts";
import { newId } from "../../../contract/ids.ts";
import type {
  FileResourceParams,
  GithubRepositoryParams,
  LocalRepositoryParams,
  ResourceParams,
} from "../../../contract/schemas/resources.ts";
import type { FileRecord } from "../../../session/catalog.ts";
import type { Deps } from "../../http/context.ts";
import { usableFile } from "../files/file.ts";
import { planMemoryStore } from "../memory_stores/session_resource.ts";

const UPLOADS = "/mnt/session/uploads";
const WORKSPACE = "/workspace";

export interface PlannedResources {
  resources: SessionResource[];
  /** Copies to store with the session: deleting an uploaded file must not break a session that has it. */
  files: FileRecord[];
}

/**
 * Nothing is stored yet: a session is created whole or not at all.
 * @throws ApiError 400 that names the resource and what is wrong with it
 */
export async function planResources(
  deps: Pick<Deps, "catalog" | "records" | "now">,
  sessionId: string,
  at: string,
  params: readonly ResourceParams[],
): Promise<PlannedResources> {
  const planned: PlannedResources = { resources: [], files: [] };
  const mounted = new Set<string>();
  for (const [index, resource] of params.entries()) {
    const field = `resources[${index}]`;
    if (resource.type === "file") await planFile(deps, sessionId, at, resource, `${field}.`, planned);
    else if (resource.type === "github_repository") planned.resources.push(planRemote(at, resource, field));
    else if (resource.type === "memory_store") {
      planned.resources.push(await planMemoryStore(deps, resource, field, planned.resources));
    } else planned.resources.push(await planRepository(at, resource, field));
    const mount = planned.resources.at(-1);
    const path = mount !== undefined && "mount_path" in mount ? (mount.mount_path ?? "") : "";
    if (mounted.has(path)) mountTaken(path, `${field}.`);
    mounted.add(path);
  }
  return planned;
}

/** @param field what stands before the names of the resource's fields in the request: `resources[0].` or nothing */
export function mountTaken(path: string, field: string): never {
  invalid(`\`${field}mount_path\`: ${path} is taken by another resource. Choose another path.`);
}

/** Adds a file and its copy to `planned`; `field` as in {@link mountTaken}. @throws ApiError 400 */
export async function planFile(
  deps: Pick<Deps, "catalog" | "now">,
  sessionId: string,
  at: string,
  params: FileResourceParams,
  field: string,
  planned: PlannedResources,
): Promise<void> {
  const file = await usableFile(deps, params.file_id, `${field}file_id`);
  const copy: FileRecord = { ...file, id: newId("file"), created_at: at, scope: { id: sessionId, type: "session" } };
  planned.files.push(copy);
  planned.resources.push({
    id: newId("session_resource"),
    type: "file",
    file_id: copy.id,
    mount_path: uploadPath(params.mount_path ?? `/${params.file_id}`),
    created_at: at,
    updated_at: at,
  });
}

/** Uploads always land under one folder: `/data.csv` is `/mnt/session/uploads/data.csv` (contract.md §3.2). */
function uploadPath(path: string): string {
  return path.startsWith(`${UPLOADS}/`) ? path : `${UPLOADS}${path}`;
}

/** Only these fields are stored: a token that was given with them is gone when this returns. */
function planRemote(at: string, params: GithubRepositoryParams, field: string): SessionResource {
  const { pathname } = new URL(params.url);
  const mount_path =
    params.mount_path ?? `${WORKSPACE}/${folderName(pathname.replace(/\/+$/, "").replace(/\.git$/, ""))}`;
  refuseOutsideWorkspace(mount_path, field);
  return {
    id: newId("session_resource"),
    type: "github_repository",
    url: params.url,
    mount_path,
    checkout: params.checkout ?? null,
    created_at: at,
    updated_at: at,
  };
}

/** Here rather than at the first tool call: a repository that never enters would be found out only then. */
function refuseOutsideWorkspace(path: string, field: string): void {
  if (path === WORKSPACE || path.startsWith(`${WORKSPACE}/`)) return;
  invalid(`\`${field}.mount_path\` must be below ${WORKSPACE}, for example ${WORKSPACE}/project.`);
}

async function planRepository(
  at: string,
  params: LocalRepositoryParams,
  field: string,
): Promise<LocalRepositoryResource> {
  const path = await existingFolder(params.path, `${field}.path`);
  const checkout = params.checkout ?? null;
  if (checkout !== null && params.include_uncommitted === true) {
    invalid(
      `\`${field}\`: uncommitted changes belong to what is checked out now, not to \`checkout\`. Leave out one of the two.`,
    );
  }
  const mount_path = params.mount_path ?? `${WORKSPACE}/${folderName(path)}`;
  refuseOutsideWorkspace(mount_path, field);
  return {
    id: newId("session_resource"),
    type: "local_repository",
    path,
    mount_path,
    checkout,
    include_uncommitted: params.include_uncommitted ?? checkout === null,
    created_at: at,
    updated_at: at,
  };
}

async function existingFolder(path: string, field: string): Promise<string> {
  if (!isAbsolute(path)) invalid(`\`${field}\` must be an absolute path on this machine.`);
  const normal = normalize(path);
  const clean = normal === parse(normal).root ? normal : normal.replace(/[\\/]+$/, "");
  if (clean === parse(clean).root) invalid(`\`${field}\` must be the folder of a project, not the whole disk.`);
  let folder: boolean;
  try {
    folder = (await stat(clean)).isDirectory();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === "ENOENT" || code === "ENOTDIR" ? "does not exist on this machine" : `cannot be read (${code})`;
    return invalid(`\`${field}\`: ${JSON.stringify(path)} ${why}. Check the path.`);
  }
  if (!folder) invalid(`\`${field}\`: ${JSON.stringify(path)} is a file. Give the folder of the project.`);
  return clean;
}

function folderName(path: string): string {
  const name = basename(path).replace(/[^A-Za-z0-9._-]+/g, "-");
  return /^[-.]*$/.test(name) ? "project" : name;
}
