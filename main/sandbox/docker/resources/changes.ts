/** What the agent changed in the repositories of a container, as a patch or as a branch of the person's repository. */
import type { SessionResource } from "../../../contract/events.ts";
import type { BroughtBack, RepositoryChanges } from "../../../contract/local_api.ts";
import type { Container } from "../ports.ts";

/**
 * Changes of every attached repository that entered. The container must run; null stands for one that is gone, of which
 * the last state that was seen is told. Calls for one session must not overlap.
 * Rejects with ChangesUnavailable, whose message names the repository.
 */
export async function repositoryChanges(
  container: Container | null,
  dataDir: string,
  sessionId: string,
  resources: readonly SessionResource[],
): Promise<RepositoryChanges[]> {
  throw new Error(`not yet: ${container?.id} ${dataDir} ${sessionId} ${resources.length}`);
}

/**
 * See {@link SandboxProvider.bringBack}; `container` as in {@link repositoryChanges}. Calls for one session must not
 * overlap. Rejects with BringBackRefused.
 */
export async function bringBackChanges(
  container: Container | null,
  dataDir: string,
  sessionId: string,
  resources: readonly SessionResource[],
  mountPath: string | null,
): Promise<BroughtBack[]> {
  throw new Error(`not yet: ${container?.id} ${dataDir} ${sessionId} ${resources.length} ${mountPath}`);
}

/** Removes what was recorded of the session's repositories (the session was deleted). Idempotent. */
export async function removeRepositories(dataDir: string, sessionId: string): Promise<void> {
  throw new Error(`not yet: ${dataDir} ${sessionId}`);
}
