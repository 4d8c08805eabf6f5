/** What can be attached to a session whose tools run on somebody's own machine. */
import { invalid } from "../../../contract/errors.ts";

/** Memories are the only resource that a worker fetches by itself. @throws ApiError 400 */
export function refuseMounts(resources: readonly { type: string }[]): void {
  const index = resources.findIndex(({ type }) => type !== "memory_store");
  const resource = resources[index];
  if (resource === undefined) return;
  invalid(
    `\`resources[${index}].type\`: a ${resource.type} cannot be attached in a self_hosted environment: nothing of it is mounted there. ` +
      "Put it on the worker's machine, or use a cloud environment.",
  );
}
