/** Folders of a sandbox in which the agent may have put links that lead out of it. */
import { lstat, mkdir, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";

/**
 * Makes a folder with those above it, without following a link.
 * @param path as the agent sees it, without . and .. parts
 * @returns its real path on this disk. Rejects when a link or a file is in the way.
 */
export async function realFolder(root: string, path: string): Promise<string> {
  let folder = await realpath(root);
  for (const part of path.split("/").filter((name) => name !== "")) {
    folder = join(folder, part);
    await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
    if (!(await lstat(folder)).isDirectory()) throw new Error(`A link or a file is in the way of ${path}.`);
  }
  return folder;
}

/** True when anything but an empty folder is there: a file, a link, or a folder that cannot be looked into. */
export async function isTaken(target: string): Promise<boolean> {
  const found = await lstat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  if (found === null) return false;
  return !found.isDirectory() || (await readdir(target)).length > 0;
}
