/** Attaches files to a session that exists and takes resources away from it; its sandbox follows with the next call. */
import { invalid } from "../../../../contract/errors.ts";
import type { SessionResource } from "../../../../contract/events.ts";
import type { SessionFold } from "../../../../contract/fold.ts";
import { type FileResourceParams, MAX_RESOURCES } from "../../../../contract/schemas/resources.ts";
import { type Deps, timestamp } from "../../../http/context.ts";
import { mountTaken, type PlannedResources, planFile } from "../resources.ts";
import { existingSession, isOver } from "../session.ts";

/** @returns the resource, with the session's own copy of the file. @throws ApiError 400 */
export async function addFile(deps: Deps, sessionId: string, params: FileResourceParams): Promise<SessionResource> {
  const { fold } = await existingSession(deps, sessionId);
  refuseOver(fold);
  if (fold.environment.config.type === "self_hosted") {
    invalid(
      "`type`: files cannot be attached to sessions of a self_hosted environment. Put them on the worker's machine.",
    );
  }
  if (fold.resources.length >= MAX_RESOURCES) {
    invalid(`A session can have at most ${MAX_RESOURCES} resources. Remove some first.`);
  }
  const planned: PlannedResources = { resources: [], files: [] };
  await planFile(deps, sessionId, timestamp(deps), params, "", planned);
  const [resource] = planned.resources;
  const [copy] = planned.files;
  if (resource?.type !== "file" || copy === undefined) throw new Error("A planned file has its resource and its copy.");
  if (fold.resources.some((other) => overlaps(other, resource.mount_path))) mountTaken(resource.mount_path, "");
  // Before the event: a copy without a resource does no harm, a resource without its file does.
  await deps.catalog.putFile(copy);
  await deps.ledger.emitEvent(sessionId, { type: "longhaul.resource_added", resource });
  return resource;
}

/** What a repository's files became in the sandbox stays there: it is the agent's work. @throws ApiError 400 */
export async function removeResource(deps: Deps, sessionId: string, resource: SessionResource): Promise<void> {
  const { fold } = await existingSession(deps, sessionId);
  refuseOver(fold);
  if (!("id" in resource)) {
    invalid("A memory store is attached for as long as the session lives. Create a new session without it.");
  }
  await deps.ledger.emitEvent(sessionId, { type: "longhaul.resource_removed", resource_id: resource.id });
  if (resource.type === "file") await deps.catalog.deleteFile(resource.file_id);
}

/** A file can neither lie where another resource is, nor be the folder of one. */
function overlaps(other: SessionResource, path: string): boolean {
  const taken = other.mount_path ?? "";
  return taken === path || path.startsWith(`${taken}/`) || taken.startsWith(`${path}/`);
}

function refuseOver(fold: SessionFold): void {
  if (isOver(fold)) invalid(`Session ${fold.session_id} is over and read-only. Create a new session.`);
}
