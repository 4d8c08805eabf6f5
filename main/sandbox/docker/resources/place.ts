/** Brings the resources of a session into its container, each of them once. */
import type { ProvisionRequest } from "../../port.ts";
import type { Container } from "../ports.ts";

export type PlaceRequest = Pick<ProvisionRequest, "session_id" | "resources" | "onStep" | "onProgress" | "readFile">;

/**
 * Brings in what is not in yet; call it after every start of a container, before anything of the agent runs. A resource
 * that cannot be brought in is a step with an error: the session goes on without it, and the next provisioning tries again.
 * Rejects only when the container or the engine is gone (SandboxLost).
 * @param dataDir the engine's data folder; what entered is recorded in `repositories/<session>` of it
 */
export async function placeResources(container: Container, request: PlaceRequest, dataDir: string): Promise<void> {
  throw new Error(`not yet: ${container.id} ${request.session_id} ${dataDir}`);
}
