/** A memory store as a resource of a new session: what it is called and says now is kept with the session. */
import { invalid } from "../../../contract/errors.ts";
import type { SessionResource } from "../../../contract/events.ts";
import { MAX_MOUNTED_STORES, memoryMountPath } from "../../../contract/memory/paths.ts";
import type { MemoryStoreResourceParams } from "../../../contract/schemas/resources.ts";
import { MemoryStores } from "../../../session/memories/stores.ts";
import type { Deps } from "../../http/context.ts";

/**
 * @param before the session's resources so far
 * @throws ApiError 400 that names the field
 */
export async function planMemoryStore(
  deps: Pick<Deps, "records" | "now">,
  params: MemoryStoreResourceParams,
  field: string,
  before: readonly SessionResource[],
): Promise<SessionResource> {
  const mounted = before.filter((resource) => resource.type === "memory_store");
  if (mounted.length >= MAX_MOUNTED_STORES) {
    invalid(`\`resources\` must have at most ${MAX_MOUNTED_STORES} memory stores.`);
  }
  const { memory_store_id } = params;
  if (mounted.some((resource) => resource.memory_store_id === memory_store_id)) {
    invalid(`\`${field}.memory_store_id\`: ${memory_store_id} is attached already. Attach each store once.`);
  }
  const [store] = await new MemoryStores(deps.records, deps.now).list({
    ids: [memory_store_id],
    include_archived: true,
    limit: 1,
  });
  if (store === undefined) {
    invalid(
      `\`${field}.memory_store_id\`: there is no memory store ${JSON.stringify(memory_store_id)}.`,
      "memory_store_not_found",
    );
  }
  if (store.archived_at !== null) {
    invalid(
      `\`${field}.memory_store_id\`: memory store ${store.id} is archived. Attach another one.`,
      "memory_store_archived",
    );
  }
  return {
    type: "memory_store",
    memory_store_id,
    access: params.access ?? "read_write",
    instructions: params.instructions ?? null,
    name: store.name,
    description: store.description,
    mount_path: memoryMountPath(store.name, new Set(mounted.map(({ mount_path }) => mount_path ?? ""))),
  };
}
