/** The HTTP API: the contract under `/v1`, ours under `/longhaul/v1`, and the user interface's files. */
import { Hono } from "hono";
import { ApiError } from "../contract/errors.ts";
import { newId } from "../contract/ids.ts";
import { mountAccess } from "./access/access.ts";
import type { Api, ApiEnv, Deps } from "./http/context.ts";
import { asApiError, errorResponse, isOurFault, reportToStandardError } from "./http/failure.ts";
import { guardOrigin, requireCredential } from "./http/guard.ts";
import { olderSkills } from "./http/older_skills.ts";
import { Serial } from "./http/serial.ts";
import { mountStatic } from "./http/static.ts";
import { LastUses } from "./local/connections/last_uses.ts";
import { mountConnections } from "./local/connections/routes.ts";
import { mountEngine, mountSignIn } from "./local/engine.ts";
import { mountEnvironmentKeys } from "./local/environment_keys.ts";
import { mountListStream } from "./local/list_stream.ts";
import { mountLocalSessions } from "./local/sessions.ts";
import { mountSettings } from "./local/settings.ts";
import { mountTimeline } from "./local/timeline.ts";
import type { ApiPorts } from "./ports.ts";
import { mountAgents } from "./v1/agents/routes.ts";
import { mountDeployments } from "./v1/deployments/routes.ts";
import { mountDeploymentRuns } from "./v1/deployments/runs.ts";
import { mountEnvironments } from "./v1/environments/routes.ts";
import { mountEventList } from "./v1/events/list.ts";
import { mountEventSend } from "./v1/events/send.ts";
import { mountEventStream } from "./v1/events/stream.ts";
import { mountThreads } from "./v1/events/threads.ts";
import { mountFiles } from "./v1/files/routes.ts";
import { mountMemoryStores } from "./v1/memory_stores/routes.ts";
import { mountSessionCreate } from "./v1/sessions/create.ts";
import { mountSessionList } from "./v1/sessions/list.ts";
import { mountSessionResources } from "./v1/sessions/resource_routes.ts";
import { mountSessions } from "./v1/sessions/routes.ts";
import { mountSkills } from "./v1/skills/routes.ts";
import { mountVaults } from "./v1/vaults/routes.ts";
import { CredentialValues } from "./v1/vaults/values/values.ts";
import { mountWork } from "./v1/work/routes.ts";

/** The whole API over its ports. {@link listen} serves it. */
export function createApi(ports: ApiPorts): Api {
  const deps: Deps = {
    ...ports,
    reportFailure: ports.reportFailure ?? reportToStandardError,
    now: ports.now ?? Date.now,
    values: new CredentialValues(ports.records, ports.vault),
    serial: new Serial(),
  };
  const api = new Hono<ApiEnv>({ strict: false });

  api.use(async (c, next) => {
    c.set("requestId", newId("request"));
    await next();
    c.res.headers.set("request-id", c.get("requestId"));
  });
  api.onError((error, c) => {
    const requestId = c.get("requestId");
    if (isOurFault(error)) {
      deps.reportFailure?.({ request_id: requestId, method: c.req.method, path: c.req.path, error });
    }
    return errorResponse(asApiError(error), requestId, deps.scrub);
  });
  api.notFound((c) => {
    const error = new ApiError("not_found_error", `There is no endpoint ${c.req.method} ${c.req.path}.`);
    return errorResponse(error, c.get("requestId"));
  });

  api.use(guardOrigin(ports));
  mountSignIn(api, deps);
  for (const base of ["/v1/*", "/longhaul/*"]) {
    api.use(base, refuseHead(), requireCredential(ports));
  }
  mountAccess(api, deps);
  api.use("/v1/skills/*", olderSkills());
  mountAgents(api, deps);
  mountEnvironments(api, deps);
  mountWork(api, deps);
  mountFiles(api, deps);
  mountSkills(api, deps);
  mountMemoryStores(api, deps);
  mountSessionCreate(api, deps);
  mountSessionList(api, deps);
  mountSessions(api, deps);
  mountSessionResources(api, deps);
  mountEventSend(api, deps);
  mountEventList(api, deps);
  mountEventStream(api, deps);
  mountThreads(api, deps);
  mountDeployments(api, deps);
  mountDeploymentRuns(api, deps);
  mountVaults(api, deps);
  mountEngine(api, deps);
  mountSettings(api, deps);
  mountEnvironmentKeys(api, deps);
  mountLocalSessions(api, deps);
  mountTimeline(api, deps);
  mountListStream(api, deps);
  mountConnections(api, deps, ports.lastUses ?? new LastUses(ports.records, deps.now));
  for (const base of ["/v1/*", "/longhaul/*"]) api.all(base, (c) => c.notFound());
  if (ports.rendererDir !== null) mountStatic(api, ports.rendererDir);
  return api;
}

/** HEAD would open a stream that nobody reads; no client of the contract sends it. */
function refuseHead(): Parameters<Api["use"]>[1] {
  return async (c, next) => {
    if (c.req.raw.method === "HEAD") throw new ApiError("not_found_error", "This API does not answer HEAD requests.");
    await next();
  };
}
