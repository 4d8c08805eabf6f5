/** `/v1/agents`: versioned definitions of what a session runs. */

import { z } from "zod";
import { ApiError, notFound } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import { agentCreate, agentUpdate } from "../../../contract/schemas/agents.ts";
import { METADATA_CODES } from "../../../contract/schemas/primitives.ts";
import type { Agent } from "../../../session/catalog.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, encodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { archiveDeploymentsOf } from "../deployments/archive.ts";
import { newAgent, refuseArchivedAgent, updatedAgent } from "./agent.ts";
import { checkedSkills } from "./skills.ts";

const MAX_VERSION = 999_999_999;
const versionCursor = z.strictObject({ before_version: z.int().min(1) });

export function mountAgents(api: Api, deps: Deps): void {
  const { catalog } = deps;

  api.post("/v1/agents", async (c) => {
    const params = await readBody(c, agentCreate, METADATA_CODES);
    const skills = await checkedSkills(deps, params.skills);
    const agent = await newAgent(catalog, newId("agent"), timestamp(deps), params, skills);
    await catalog.createAgent(agent);
    return c.json(agent);
  });

  api.get("/v1/agents", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const agents = await catalog.listAgents({
      limit: limit + 1,
      include_archived: query.flag("include_archived") ?? false,
      ...query.createdRange(),
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    return c.json(pageOf(agents, limit));
  });

  api.get("/v1/agents/:id", async (c) => {
    const version = new Query(c).integer("version", 1, MAX_VERSION);
    return c.json(await existingAgent(deps, param(c, "id"), version));
  });

  api.post("/v1/agents/:id", async (c) => {
    const id = param(c, "id");
    const params = await readBody(c, agentUpdate, METADATA_CODES);
    const skills = params.skills === undefined ? undefined : await checkedSkills(deps, params.skills);
    const agent = await deps.serial.run(id, async () => {
      const current = await existingAgent(deps, id);
      refuseArchivedAgent(current);
      if (params.version !== undefined && params.version !== current.version)
        conflict(id, params.version, current.version);
      const next = await updatedAgent(catalog, current, timestamp(deps), params, skills);
      if (next === current) return current;
      if (!(await catalog.putAgentVersion(next, current.version))) conflict(id, current.version, next.version);
      return next;
    });
    return c.json(agent);
  });

  api.post("/v1/agents/:id/archive", async (c) => {
    const id = param(c, "id");
    const agent = await deps.serial.run(id, async () => {
      const current = await existingAgent(deps, id);
      const at = timestamp(deps);
      const archived: Agent = current.archived_at === null ? { ...current, archived_at: at, updated_at: at } : current;
      if (archived !== current) await catalog.replaceAgent(archived);
      // Again for one that was archived before: an engine that died in between left some of them.
      await archiveDeploymentsOf(deps, id);
      return archived;
    });
    return c.json(agent);
  });

  api.get("/v1/agents/:id/versions", async (c) => {
    const query = new Query(c);
    const { id, archived_at } = await existingAgent(deps, param(c, "id"));
    const limit = pageLimit(query);
    const page = query.text("page");
    const before = page === undefined ? undefined : decodeCursor(versionCursor, page).before_version;
    const versions = await catalog.listAgentVersions(id, limit + 1, before);
    const data = versions.slice(0, limit).map((agent) => ({ ...agent, archived_at }));
    const last = data.at(-1);
    const more = versions.length > limit && last !== undefined;
    return c.json({ data, next_page: more ? encodeCursor({ before_version: last.version }) : null });
  });
}

/** The agent, at a version or at its newest; an archived agent is archived at each. @throws ApiError 404 */
export async function existingAgent(deps: Pick<Deps, "catalog">, id: string, version?: number): Promise<Agent> {
  const agent = await deps.catalog.getAgent(id, version);
  const newest = version === undefined ? agent : await deps.catalog.getAgent(id);
  if (agent !== null && newest !== null) return { ...agent, archived_at: newest.archived_at };
  return notFound(version === undefined ? "Agent" : `Version ${version} of agent`, id);
}

function conflict(id: string, expected: number, actual: number): never {
  throw new ApiError(
    "conflict_error",
    `Agent ${id} is at version ${actual}, not ${expected}: somebody changed it meanwhile. Retrieve it, apply your change to that, and send its version.`,
  );
}
