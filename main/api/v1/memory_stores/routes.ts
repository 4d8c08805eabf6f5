/** `/v1/memory_stores`: the stores; what is in them is in the files beside this one. */
import { memoryStoreCreate, memoryStoreUpdate } from "../../../contract/memory/schemas.ts";
import { MemoryStores } from "../../../session/memories/stores.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { patchedMetadata } from "../agents/agent.ts";
import { mountMemories } from "./memory_routes.ts";
import { mountMemoryVersions } from "./version_routes.ts";

export function mountMemoryStores(api: Api, deps: Deps): void {
  const stores = new MemoryStores(deps.records, deps.now);

  api.post("/v1/memory_stores", async (c) => {
    const { name, description, metadata } = await readBody(c, memoryStoreCreate);
    return c.json(await stores.create({ name, description: description ?? "", metadata: metadata ?? {} }));
  });

  api.get("/v1/memory_stores", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const rows = await stores.list({
      limit: limit + 1,
      include_archived: query.flag("include_archived") ?? false,
      ...query.createdRange(),
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    return c.json(pageOf(rows, limit));
  });

  api.get("/v1/memory_stores/:id", async (c) => c.json(await stores.get(param(c, "id"))));

  api.post("/v1/memory_stores/:id", async (c) => {
    const params = await readBody(c, memoryStoreUpdate);
    const store = await stores.update(param(c, "id"), (before) => ({
      name: params.name ?? before.name,
      description: params.description ?? before.description,
      metadata: params.metadata == null ? before.metadata : patchedMetadata(before.metadata, params.metadata),
    }));
    return c.json(store);
  });

  api.delete("/v1/memory_stores/:id", async (c) => {
    const id = param(c, "id");
    await stores.delete(id);
    return c.json({ id, type: "memory_store_deleted" });
  });

  api.post("/v1/memory_stores/:id/archive", async (c) => c.json(await stores.archive(param(c, "id"))));

  mountMemories(api, deps);
  mountMemoryVersions(api, deps);
}
