/** `/v1/sessions/{id}/resources`: what is attached to a session. Files can be added to it and removed from it. */

import { z } from "zod";
import { invalid, notFound } from "../../../contract/errors.ts";
import type { SessionResource } from "../../../contract/events.ts";
import { addedResource } from "../../../contract/schemas/resources.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { addFile, removeResource } from "./attaching/attached_resources.ts";
import { existingSession } from "./session.ts";

const cursorSchema = z.strictObject({ after: z.int().min(0) });
const NOT_YET =
  "A resource cannot be changed by this version of Longhaul yet. Create a new session with the resources it needs.";

export function mountSessionResources(api: Api, deps: Deps): void {
  api.get("/v1/sessions/:id/resources", async (c) => {
    const query = new Query(c);
    const { resources } = (await existingSession(deps, param(c, "id"))).fold;
    const limit = pageLimit(query);
    const page = query.text("page");
    const start = page === undefined ? 0 : decodeCursor(cursorSchema, page).after;
    const end = start + limit;
    return c.json({
      data: resources.slice(start, end),
      next_page: end < resources.length ? encodeCursor({ after: end }) : null,
    });
  });

  api.get("/v1/sessions/:id/resources/:resource", async (c) => {
    return c.json(await existingResource(deps, param(c, "id"), param(c, "resource")));
  });

  api.post("/v1/sessions/:id/resources", async (c) => {
    const id = param(c, "id");
    await existingSession(deps, id);
    const params = await readBody(c, addedResource);
    return c.json(await deps.serial.run(id, () => addFile(deps, id, params)));
  });

  api.delete("/v1/sessions/:id/resources/:resource", async (c) => {
    const [id, resource] = [param(c, "id"), param(c, "resource")];
    await deps.serial.run(id, async () => removeResource(deps, id, await existingResource(deps, id, resource)));
    return c.json({ id: resource, type: "session_resource_deleted" });
  });

  api.post("/v1/sessions/:id/resources/:resource", async (c) => {
    await existingResource(deps, param(c, "id"), param(c, "resource"));
    return invalid(NOT_YET);
  });
}

async function existingResource(deps: Deps, sessionId: string, resourceId: string): Promise<SessionResource> {
  const { resources } = (await existingSession(deps, sessionId)).fold;
  // A memory store is known by the id of the store: it has none of its own.
  const found = resources.find(
    (resource) => ("id" in resource ? resource.id : resource.memory_store_id) === resourceId,
  );
  return found ?? notFound("Resource", resourceId);
}
