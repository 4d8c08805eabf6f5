/** `/v1/deployment_runs`: what became of each attempt to run a deployment. */
import type { BetaManagedAgentsDeploymentRun } from "@anthropic-ai/sdk/resources/beta/deployment-runs";
import { notFound } from "../../../contract/errors.ts";
import { type RunRecord, type RunState, runTable } from "../../../orchestration/schedules/port.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";

const TRIGGERS = ["schedule", "manual"] as const;

export function mountDeploymentRuns(api: Api, deps: Deps): void {
  const table = runTable(deps.records);

  api.get("/v1/deployment_runs", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const deployment_id = query.text("deployment_id");
    const has_error = query.flag("has_error");
    const trigger = query.choice("trigger_type", TRIGGERS);
    // Runs whose outcome is not known yet are in no list: the contract's runs have a session or an error.
    const outcomes =
      has_error === undefined ? (["ok", "error"] as const) : has_error ? ["error" as const] : ["ok" as const];
    const states = (trigger === undefined ? TRIGGERS : [trigger]).flatMap((by) =>
      outcomes.map((outcome): RunState => `${by}.${outcome}`),
    );
    const found = await table.list({
      limit: limit + 1,
      states,
      ...query.createdRange(),
      ...(deployment_id === undefined ? {} : { scope: deployment_id }),
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    const { data, next_page } = pageOf(found, limit);
    return c.json({ data: data.map(apiRun), next_page });
  });

  api.get("/v1/deployment_runs/:id", async (c) => {
    const id = param(c, "id");
    const run = (await table.get(id))?.value;
    if (run === undefined || (run.session_id === null && run.error === null)) notFound("Deployment run", id);
    return c.json(apiRun(run));
  });
}

/** The response object of a run. */
export function apiRun({ claimed_session_id: _, ...run }: RunRecord): BetaManagedAgentsDeploymentRun {
  return { ...run, type: "deployment_run" };
}
