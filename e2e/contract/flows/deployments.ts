/** `client.beta.deployments` and `.deploymentRuns`. */
import type { BetaManagedAgentsDeployment } from "@anthropic-ai/sdk/resources/beta/deployments";
import { describe, expect, test } from "vitest";
import { createAgent, message, untilIdle } from "../sessions.ts";
import { all, refused, type Use, unique } from "../stand.ts";

const YEARLY = { type: "cron" as const, expression: "0 3 1 1 *", timezone: "Europe/Berlin" };

export function deploymentFlows(use: Use): void {
  const create = async (more: object = {}): Promise<BetaManagedAgentsDeployment> => {
    const { client } = use();
    const agent = (await createAgent(client)).id;
    const environment_id = (await client.beta.environments.create({ name: unique("env") })).id;
    const initial_events = [message("Hello.")];
    return client.beta.deployments.create({
      name: unique("deployment"),
      agent,
      environment_id,
      initial_events,
      ...more,
    });
  };

  describe("deployments", () => {
    test("create, retrieve, update, list, pause, unpause, archive", async () => {
      const { deployments } = use().client.beta;
      const made = await create({ schedule: YEARLY, metadata: { a: "1" } });
      expect(made).toMatchObject({ status: "active", schedule: YEARLY, metadata: { a: "1" }, paused_reason: null });
      expect(await deployments.retrieve(made.id)).toMatchObject({ id: made.id, name: made.name });
      const updated = await deployments.update(made.id, { description: "New.", schedule: null });
      expect(updated).toMatchObject({ description: "New.", schedule: null, name: made.name });
      const other = await create();
      expect((await all(deployments.list({ limit: 1 }))).map(({ id }) => id).slice(0, 2)).toEqual([other.id, made.id]);
      expect(await deployments.pause(made.id)).toMatchObject({ status: "paused", paused_reason: { type: "manual" } });
      expect((await all(deployments.list({ status: "paused" }))).map(({ id }) => id)).toContain(made.id);
      expect(await deployments.unpause(made.id)).toMatchObject({ status: "active", paused_reason: null });
      expect((await deployments.archive(made.id)).archived_at).not.toBeNull();
      expect((await all(deployments.list())).map(({ id }) => id)).not.toContain(made.id);
    });

    test("a run by hand makes a session; it is listed and retrieved", async () => {
      const { client } = use();
      const { deployments, deploymentRuns } = client.beta;
      const made = await create();
      const run = await deployments.run(made.id);
      expect(run).toMatchObject({ deployment_id: made.id, trigger_context: { type: "manual" }, error: null });
      await untilIdle(client, run.session_id ?? "");
      expect((await client.beta.sessions.retrieve(run.session_id ?? "")).deployment_id).toBe(made.id);
      expect(await deploymentRuns.retrieve(run.id)).toMatchObject({ id: run.id, session_id: run.session_id });
      const listed = await all(deploymentRuns.list({ deployment_id: made.id, limit: 1 }));
      expect(listed.map(({ id }) => id)).toEqual([run.id]);
      expect(await all(deploymentRuns.list({ deployment_id: made.id, has_error: true }))).toEqual([]);
    });

    test("refusals", async () => {
      const { deployments, deploymentRuns } = use().client.beta;
      const none = "depl_none";
      const bad = { ...YEARLY, expression: "61 * * * *" };
      expect((await refused(create({ schedule: bad }), 400)).message).toContain("expression");
      await refused(create({ schedule: { ...YEARLY, timezone: "Nowhere/None" } }), 400);
      await refused(create({ initial_events: [] }), 400);
      await refused(deployments.retrieve(none), 404);
      await refused(deployments.update(none, { name: "x" }), 404);
      await refused(deployments.list({ limit: 0 }), 400);
      await refused(deployments.pause(none), 404);
      await refused(deployments.unpause(none), 404);
      await refused(deployments.run(none), 404);
      await refused(deployments.archive(none), 404);
      await refused(deploymentRuns.retrieve("drun_none"), 404);
      await refused(deploymentRuns.list({ limit: 0 }), 400);
      const { id } = await create();
      await deployments.archive(id);
      await refused(deployments.run(id), 400);
    });
  });
}
