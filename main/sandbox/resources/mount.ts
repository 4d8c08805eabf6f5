/** Where resources go in a sandbox, and what they are called in steps. */
import { posix } from "node:path";
import type { SessionResource } from "../../contract/events.ts";
import { isWithin, UPLOADS, WORKDIR } from "../machine.ts";
import { RepositoryRefused } from "./repository.ts";

type FileResource = Extract<SessionResource, { type: "file" }>;

export function resourceId(resource: SessionResource): string {
  return "id" in resource ? resource.id : `${resource.type}:${resource.mount_path ?? ""}`;
}

export function nameOf(resource: SessionResource): string {
  switch (resource.type) {
    case "file":
      return `file ${resource.file_id}`;
    case "local_repository":
      return `repository ${resource.path}`;
    case "github_repository":
      return `repository ${resource.url}`;
    case "memory_store":
      return `memory store ${resource.memory_store_id}`;
  }
}

/** Where a file goes: mount paths are below the uploads folder whether they say so or not. */
export function uploadPath(resource: Pick<FileResource, "mount_path" | "file_id">): string {
  const asked = resource.mount_path === "" ? `/${resource.file_id}` : posix.resolve("/", resource.mount_path);
  const path = isWithin(UPLOADS, asked) ? asked : posix.join(UPLOADS, asked);
  if (path === UPLOADS || path.includes("\0")) {
    throw new Error(`mount_path ${JSON.stringify(resource.mount_path)} must name a file, such as "/data.csv".`);
  }
  return path;
}

/** Where a repository goes. Throws {@link RepositoryRefused}. */
export function mountPath(resource: { mount_path: string }): string {
  const path = posix.resolve("/", resource.mount_path);
  if (isWithin(WORKDIR, path) && !/[\0\n]/.test(path)) return path;
  throw new RepositoryRefused(`mount_path ${JSON.stringify(resource.mount_path)} must be below ${WORKDIR}.`);
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
