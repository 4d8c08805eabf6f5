/** What the agent changed in the repositories of a container, as a patch or as a branch of the person's repository. */
import { rm } from "node:fs/promises";
import type { SessionResource } from "../../../contract/events.ts";
import type { BroughtBack, RepositoryChanges } from "../../../contract/local_api.ts";
import { BringBackRefused, ChangesUnavailable } from "../../port.ts";
import { diffTrees } from "../../resources/diff.ts";
import { bringBack } from "../../resources/history/bring_back.ts";
import { storesDir } from "../../resources/history/store.ts";
import { selectRepositories } from "../../resources/select.ts";
import type { Container } from "../ports.ts";
import { readMarkers } from "./inside.ts";
import { lookAt, originOf } from "./look.ts";

/**
 * Changes of every attached repository that entered. The container must run; null stands for one that is gone, of which
 * the last state that was seen is told. Calls for one session must not overlap.
 * Rejects with ChangesUnavailable, whose message names the repository, or SandboxLost.
 */
export async function repositoryChanges(
  container: Container | null,
  dataDir: string,
  sessionId: string,
  resources: readonly SessionResource[],
): Promise<RepositoryChanges[]> {
  const repositories = selectRepositories(resources);
  if (repositories.length === 0) return [];
  const markers = container === null ? new Map() : await readMarkers(container);
  const changes: RepositoryChanges[] = [];
  for (const resource of repositories) {
    const look = await lookAt(container, markers, dataDir, sessionId, resource);
    if (look === null) continue;
    const {
      patch,
      files,
      note: left,
    } = await diffTrees(look.store.gitDir, look.entry.commit, look.tip).catch((error) => {
      throw new ChangesUnavailable(`The changes of ${originOf(resource)} cannot be shown: ${error.message}.`);
    });
    const note = [look.note, left].filter((text) => text !== undefined).join(" ");
    changes.push({
      mount_path: resource.mount_path,
      path: originOf(resource),
      patch,
      files,
      ...(note === "" ? {} : { note }),
    });
  }
  return changes;
}

/**
 * See {@link SandboxProvider.bringBack}; `container` as in {@link repositoryChanges}. Calls for one session must not
 * overlap. Rejects with BringBackRefused, or SandboxLost.
 */
export async function bringBackChanges(
  container: Container | null,
  dataDir: string,
  sessionId: string,
  resources: readonly SessionResource[],
  mountPath: string | null,
): Promise<BroughtBack[]> {
  const repositories = selectRepositories(resources, mountPath);
  const markers = container === null ? new Map() : await readMarkers(container);
  const brought: BroughtBack[] = [];
  for (const resource of repositories) {
    if (resource.type === "github_repository") {
      if (mountPath === null && repositories.length > 1) continue;
      throw new BringBackRefused(
        `${resource.url} was cloned inside the sandbox: there is no repository of this disk to bring its changes back to. Save its patch from the list of changes, or let the agent push.`,
      );
    }
    const look = await lookAt(container, markers, dataDir, sessionId, resource).catch((error: unknown) => {
      throw error instanceof ChangesUnavailable ? new BringBackRefused(error.message) : error;
    });
    if (look === null || look.tip === look.entry.commit) continue;
    const offer = { sessionId, path: resource.path, store: look.store, entry: look.entry, tip: look.tip };
    brought.push({ mount_path: resource.mount_path, path: resource.path, ...(await bringBack(offer)) });
  }
  return brought;
}

/** Removes what was recorded of the session's repositories (the session was deleted). Idempotent. */
export async function removeRepositories(dataDir: string, sessionId: string): Promise<void> {
  await rm(storesDir(dataDir, sessionId), { recursive: true, force: true, maxRetries: 3 });
}
