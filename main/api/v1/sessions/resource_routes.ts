/** `/v1/sessions/{id}/resources`: what is attached to a session. Files can be added to it and removed from it. */

import { z } from "zod";
import { invalid, notFound } from "../../../contract/errors.ts";
import type { SessionResource } from "../../../contract/events.ts";
import { addedResource, updatedResource } from "../../../contract/schemas/resources.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { keepToken } from "../vaults/repository_tokens.ts";
import { addFile, removeResource } from "./attaching/attached_resources.ts";
import { existingSession, isOver } from "./session.ts";

const cursorSchema = z.strictObject({ after: z.int().min(0) });

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
    const [id, resourceId] = [param(c, "id"), param(c, "resource")];
    await existingResource(deps, id, resourceId);
    const { authorization_token } = await readBody(c, updatedResource);
    const resource = await deps.serial.run(id, async () => {
      const { fold } = await existingSession(deps, id);
      if (isOver(fold)) invalid(`Session ${id} is over and read-only. Create a new session.`);
      const found = await existingResource(deps, id, resourceId);
      if (found.type !== "github_repository") {
        invalid("`authorization_token` can be changed for resources of type github_repository only.");
      }
      const place = { id: found.id, session_id: id, url: found.url, created_at: timestamp(deps) };
      await keepToken(deps, place, authorization_token);
      return found;
    });
    return c.json(resource);
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
