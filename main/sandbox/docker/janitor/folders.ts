/** What this side keeps of sessions with containers: histories of repositories, and which calls were sent. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { OwnInstall } from "./inventory.ts";

/** Folders of the data directory with one folder for each session. */
const FOLDERS = ["repositories", join("sandboxes", "docker")];
/** Folders of odd ids have names from which the id cannot be told. */
const SESSION = /^sesn_[A-Za-z0-9_-]+$/;

/**
 * Removes what deleted sessions left: the removal with the session ends half-way when the container engine is away.
 * @returns what was removed, relative to `dataDir`. Rejects when the sessions cannot be asked for, or the disk refuses.
 */
export async function removeFolders(dataDir: string, hasSession: OwnInstall["hasSession"]): Promise<string[]> {
  const removed: string[] = [];
  for (const folder of FOLDERS) {
    for (const name of await namesIn(join(dataDir, folder))) {
      if (!SESSION.test(name) || (await hasSession(name))) continue;
      await rm(join(dataDir, folder, name), { recursive: true, force: true, maxRetries: 3 });
      removed.push(join(folder, name));
    }
  }
  return removed;
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
}
