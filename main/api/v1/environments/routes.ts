/** `/v1/environments`: what the sandboxes of sessions are made of. */
import { ApiError, invalid, notFound } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import { environmentCreate, environmentUpdate } from "../../../contract/schemas/environments.ts";
import { METADATA_CODES } from "../../../contract/schemas/primitives.ts";
import type { Environment } from "../../../session/catalog.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { newEnvironment, updatedEnvironment } from "./environment.ts";

/** All changes share one queue: names must be unique across environments. */
const QUEUE = "environments";

export function mountEnvironments(api: Api, deps: Deps): void {
  const { catalog, serial } = deps;

  api.post("/v1/environments", async (c) => {
    const environment = newEnvironment(
      newId("environment"),
      timestamp(deps),
      await readBody(c, environmentCreate, METADATA_CODES),
    );
    await serial.run(QUEUE, async () => {
      await refuseTakenName(deps, environment);
      await catalog.putEnvironment(environment);
    });
    return c.json(environment);
  });

  api.get("/v1/environments", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const environments = await catalog.listEnvironments({
      limit: limit + 1,
      include_archived: query.flag("include_archived") ?? false,
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    return c.json(pageOf(environments, limit));
  });

  api.get("/v1/environments/:id", async (c) => c.json(await existingEnvironment(deps, param(c, "id"))));

  api.post("/v1/environments/:id", async (c) => {
    const params = await readBody(c, environmentUpdate, METADATA_CODES);
    const environment = await serial.run(QUEUE, async () => {
      const current = await existingEnvironment(deps, param(c, "id"));
      refuseArchivedEnvironment(current);
      const next = updatedEnvironment(current, timestamp(deps), params);
      if (next === current) return current;
      if (next.name !== current.name) await refuseTakenName(deps, next);
      await catalog.putEnvironment(next);
      return next;
    });
    return c.json(environment);
  });

  api.delete("/v1/environments/:id", async (c) => {
    const { id, config } = await existingEnvironment(deps, param(c, "id"));
    await serial.run(QUEUE, async () => {
      // Sessions keep a snapshot of their environment: none of them breaks, unless it lives by its work queue.
      if (config.type === "self_hosted") await refuseInUse(deps, id);
      await catalog.deleteEnvironment(id);
      if (config.type === "self_hosted") await Promise.all([deps.work.forget(id), deps.credentials.forget(id)]);
    });
    return c.json({ id, type: "environment_deleted" });
  });

  api.post("/v1/environments/:id/archive", async (c) => {
    const environment = await serial.run(QUEUE, async () => {
      const current = await existingEnvironment(deps, param(c, "id"));
      if (current.archived_at !== null) return current;
      const at = timestamp(deps);
      const archived: Environment = { ...current, archived_at: at, updated_at: at };
      await catalog.putEnvironment(archived);
      return archived;
    });
    return c.json(environment);
  });
}

/** @throws ApiError 404 `environment_not_found` */
export async function existingEnvironment(deps: Pick<Deps, "catalog">, id: string): Promise<Environment> {
  return (await deps.catalog.getEnvironment(id)) ?? notFound("Environment", id, "environment_not_found");
}

/** @throws ApiError 400 `environment_archived` */
export function refuseArchivedEnvironment(environment: Environment): void {
  if (environment.archived_at === null) return;
  invalid(
    `Environment ${environment.id} was archived and is read-only. Create a new one instead.`,
    "environment_archived",
  );
}

/** Without its queue no worker would ever be given the session again. */
async function refuseInUse(deps: Deps, id: string): Promise<void> {
  const session = await deps.work.sessionInUse(id);
  if (session === null) return;
  invalid(
    `Environment ${id} cannot be deleted while session ${session} belongs to it: no worker could serve it any more. ` +
      "Archive or delete its sessions first, or archive the environment.",
  );
}

async function refuseTakenName(deps: Deps, environment: Environment): Promise<void> {
  const other = await deps.catalog.findEnvironmentByName(environment.name);
  if (other === null || other.id === environment.id || other.archived_at !== null) return;
  throw new ApiError(
    "conflict_error",
    `There is an environment named ${JSON.stringify(environment.name)} already (${other.id}). Use it, or choose another name.`,
  );
}
