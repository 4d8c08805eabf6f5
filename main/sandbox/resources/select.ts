/** The repositories among a session's resources. */
import type { SessionResource } from "../../contract/events.ts";
import { BringBackRefused } from "../port.ts";

export type RepositoryResource = Extract<SessionResource, { type: "local_repository" | "github_repository" }>;

/**
 * All of them, or the one at `mountPath`.
 * @throws BringBackRefused when there is none
 */
export function selectRepositories(
  resources: readonly SessionResource[],
  mountPath: string | null = null,
): RepositoryResource[] {
  const all = resources.filter(
    (resource): resource is RepositoryResource =>
      resource.type === "local_repository" || resource.type === "github_repository",
  );
  if (mountPath === null) return all;
  const found = all.filter((resource) => resource.mount_path === mountPath);
  if (found.length > 0) return found;
  const known = all.map((resource) => resource.mount_path).join(", ");
  throw new BringBackRefused(
    `mount_path ${JSON.stringify(mountPath)} is no repository of this session. ${known === "" ? "It has none." : `It has: ${known}.`}`,
  );
}
