/** `/longhaul/v1/environments/{id}/keys`: standing credentials for the workers of a `self_hosted` environment. */
import { ApiError, invalid, notFound } from "../../contract/errors.ts";
import { environmentKeyCreate } from "../../contract/schemas/work.ts";
import { type EnvironmentKey, TooManyKeys } from "../../workers/port.ts";
import { readOptionalBody } from "../http/body.ts";
import { type Api, type Deps, param } from "../http/context.ts";
import { existingEnvironment, refuseArchivedEnvironment } from "../v1/environments/routes.ts";

const KEYS = "/longhaul/v1/environments/:id/keys";

export function mountEnvironmentKeys(api: Api, deps: Deps): void {
  const { credentials } = deps;

  api.post(KEYS, async (c) => {
    const environment = await existingEnvironment(deps, param(c, "id"));
    const { name } = await readOptionalBody(c, environmentKeyCreate);
    refuseArchivedEnvironment(environment);
    if (environment.config.type !== "self_hosted") {
      invalid(
        `Environment ${environment.id} is a ${environment.config.type} environment: no worker serves it. Create a self_hosted one.`,
      );
    }
    const { key, value } = await credentials.createKey(environment.id, name ?? null).catch((error: unknown) => {
      throw error instanceof TooManyKeys ? new ApiError("invalid_request_error", error.message) : error;
    });
    // The one time that anybody sees it: only its hash is kept.
    return c.json({ ...apiKey(key), value }, 200, { "cache-control": "no-store" });
  });

  api.get(KEYS, async (c) => {
    const { id } = await existingEnvironment(deps, param(c, "id"));
    return c.json({ data: (await credentials.listKeys(id)).map(apiKey) });
  });

  api.delete(`${KEYS}/:key`, async (c) => {
    const { id } = await existingEnvironment(deps, param(c, "id"));
    const key = param(c, "key");
    if (!(await credentials.revokeKey(id, key))) notFound("Environment key", key);
    return c.json({ id: key, type: "environment_key_deleted" });
  });
}

function apiKey(key: EnvironmentKey): EnvironmentKey & { type: "environment_key" } {
  return { ...key, type: "environment_key" };
}
