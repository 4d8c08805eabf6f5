/** `/v1/deployments`: agents set up to run by themselves, on a schedule or when asked. */
import { invalid, notFound } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import { type DeploymentUpdate, deploymentCreate, deploymentUpdate } from "../../../contract/schemas/deployments.ts";
import { changeDeployment, type DeploymentRecord, deploymentTable } from "../../../orchestration/schedules/port.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { planSession } from "../sessions/new_session.ts";
import { archiveDeployment } from "./archive.ts";
import {
  apiDeployment,
  existingDeployment,
  newDeployment,
  refuseArchivedDeployment,
  sessionParams,
  updatedDeployment,
} from "./deployment.ts";
import { apiRun } from "./runs.ts";

const MAX_DEPLOYMENTS = 1000;
/** One queue for creating: they are counted. */
const QUEUE = "deployments";

export function mountDeployments(api: Api, deps: Deps): void {
  const { records, schedules, serial } = deps;
  const table = deploymentTable(records);

  api.post("/v1/deployments", async (c) => {
    const params = await readBody(c, deploymentCreate);
    const agentId = agentIdOf(params.agent);
    // In the agent's queue: one that is being archived takes its deployments with it.
    const deployment = await serial.run(agentId, async () => {
      const { agent } = await planSession(deps, { ...sessionFields(params), title: params.name });
      const created = newDeployment(newId("deployment"), timestamp(deps), params, agent.version);
      await serial.run(QUEUE, async () => {
        if ((await table.count()) >= MAX_DEPLOYMENTS) {
          invalid(`There are ${MAX_DEPLOYMENTS} deployments already. Archive one that is not needed any more.`);
        }
        await table.insert(created);
      });
      return created;
    });
    schedules.changed(deployment.id);
    return c.json(apiDeployment(deployment, deps.now()));
  });

  api.get("/v1/deployments", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const agent_id = query.text("agent_id");
    const status = query.choice("status", ["active", "paused"]);
    const include_archived = query.flag("include_archived") ?? false;
    if (status !== undefined && include_archived) {
      invalid("`status` and `include_archived` cannot be combined: archived deployments have no status of their own.");
    }
    const found = await table.list({
      limit: limit + 1,
      include_archived,
      ...query.createdRange(),
      ...(agent_id === undefined ? {} : { scope: agent_id }),
      ...(status === undefined ? {} : { states: [status] }),
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    const { data, next_page } = pageOf(found, limit);
    return c.json({ data: data.map((deployment) => apiDeployment(deployment, deps.now())), next_page });
  });

  api.get("/v1/deployments/:id", async (c) => {
    return c.json(apiDeployment(await existingDeployment(deps, param(c, "id")), deps.now()));
  });

  api.post("/v1/deployments/:id", async (c) => {
    const id = param(c, "id");
    const params = await readBody(c, deploymentUpdate);
    const { agent } = await existingDeployment(deps, id);
    const updated = await serial.run(agentIdOf(params.agent ?? agent), () =>
      change(id, async (current) => {
        refuseArchivedDeployment(current);
        const at = timestamp(deps);
        // Whatever a session is made from is checked whole: parts that fit alone may not fit together.
        const draft = updatedDeployment(current, at, params, current.agent.version);
        if (!changesSession(params)) return draft;
        const plan = await planSession(deps, { ...sessionParams(draft), agent: params.agent ?? draft.agent });
        return updatedDeployment(current, at, params, plan.agent.version);
      }),
    );
    return c.json(apiDeployment(updated, deps.now()));
  });

  api.post("/v1/deployments/:id/archive", async (c) => {
    const id = param(c, "id");
    const archived = (await archiveDeployment(deps, id)) ?? notFound("Deployment", id);
    return c.json(apiDeployment(archived, deps.now()));
  });

  api.post("/v1/deployments/:id/pause", async (c) => {
    const paused = await change(param(c, "id"), (current) => {
      refuseArchivedDeployment(current);
      // One that an error paused keeps its reason: the error is still there.
      if (current.paused_reason !== null) return current;
      return { ...current, paused_reason: { type: "manual" }, updated_at: timestamp(deps) };
    });
    return c.json(apiDeployment(paused, deps.now()));
  });

  api.post("/v1/deployments/:id/unpause", async (c) => {
    const active = await change(param(c, "id"), (current) => {
      refuseArchivedDeployment(current);
      if (current.paused_reason === null) return current;
      const at = timestamp(deps);
      // Times that passed while it was paused were not wanted: they are neither run nor missed.
      return { ...current, paused_reason: null, updated_at: at, scheduled_through: at };
    });
    return c.json(apiDeployment(active, deps.now()));
  });

  api.post("/v1/deployments/:id/run", async (c) => {
    const deployment = await existingDeployment(deps, param(c, "id"));
    refuseArchivedDeployment(deployment);
    return c.json(apiRun(await schedules.run(deployment)));
  });

  async function change(
    id: string,
    step: (current: DeploymentRecord) => DeploymentRecord | Promise<DeploymentRecord>,
  ): Promise<DeploymentRecord> {
    const changed = (await changeDeployment(table, id, step)) ?? notFound("Deployment", id);
    schedules.changed(id);
    return changed;
  }
}

const agentIdOf = (agent: string | { id: string }): string => (typeof agent === "string" ? agent : agent.id);

type SessionFields = Pick<DeploymentRecord, "environment_id" | "initial_events"> &
  Pick<Parameters<typeof planSession>[1], "agent" | "resources" | "vault_ids" | "budget">;

function sessionFields({ agent, environment_id, initial_events, resources, vault_ids, budget }: SessionFields) {
  return { agent, environment_id, initial_events, resources, vault_ids, budget };
}

function changesSession(params: DeploymentUpdate): boolean {
  const { agent, environment_id, initial_events, resources, vault_ids, budget } = params;
  return [agent, environment_id, initial_events, resources, vault_ids, budget].some((value) => value !== undefined);
}
