/**
 * Deployments of the served product: whatever kills the engine, a run has one session or an error, never two sessions, and
 * a schedule goes on after a restart and says what it missed.
 */
import { join } from "node:path";
import type { BetaManagedAgentsDeploymentRun } from "@anthropic-ai/sdk/resources/beta/deployment-runs";
import Database from "better-sqlite3";
import { afterEach, describe, expect, test } from "vitest";
import { type Product, removeDir, serve, tempDir, until } from "./product/serve.ts";
import { eventsOf, finalMessage, untilRests } from "./product/sessions.ts";

const started: Product[] = [];
const dirs: string[] = [];
afterEach(async () => {
  for (const product of started.splice(0)) await product.stop();
  for (const dir of dirs.splice(0)) removeDir(dir);
});

async function open(data_dir: string, env: Record<string, string> = {}): Promise<Product> {
  const product = await serve({ data_dir, env });
  started.push(product);
  return product;
}

function newDir(): string {
  const dir = tempDir();
  dirs.push(dir);
  return dir;
}

async function deploy(product: Product, schedule: { expression: string } | null = null): Promise<string> {
  const { agents, environments, deployments } = product.client.beta;
  const agent = await agents.create({ name: "a", model: "claude-sonnet-5-5" });
  const environment = await environments.create({ name: "e" });
  const { id } = await deployments.create({
    name: "nightly",
    agent: agent.id,
    environment_id: environment.id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Say hello." }] }],
    schedule: schedule === null ? null : { type: "cron", timezone: "Europe/Berlin", ...schedule },
  });
  return id;
}

async function runsOf(product: Product, deployment_id: string): Promise<BetaManagedAgentsDeploymentRun[]> {
  return (await product.client.beta.deploymentRuns.list({ deployment_id, limit: 1000 })).data;
}

async function sessionsOf(product: Product, deployment_id: string): Promise<string[]> {
  return (await product.client.beta.sessions.list({ deployment_id, limit: 1000 })).data.map(({ id }) => id);
}

describe("killed in the middle of a run", () => {
  test.each([
    ["deployment.after_claim", 0],
    ["deployment.after_session", 1],
  ])("at %s there are %i sessions", async (point, sessions) => {
    const data_dir = newDir();
    const first = await open(data_dir, { LONGHAUL_CRASH_AT: point });
    const id = await deploy(first);
    await expect(first.client.beta.deployments.run(id)).rejects.toThrow();
    expect(await first.ended).toBe(137);

    const second = await open(data_dir);
    const [run, ...more] = await runsOf(second, id);
    expect(more).toEqual([]);
    expect(await sessionsOf(second, id)).toEqual(sessions === 0 ? [] : [run?.session_id]);
    if (sessions === 0) {
      expect(run?.error).toMatchObject({ type: "unknown_error" });
      expect((await second.client.beta.deployments.run(id)).error).toBeNull();
    }
    const [session = ""] = await sessionsOf(second, id);
    await untilRests(second, session);
    expect(finalMessage(await eventsOf(second, session))).not.toBe("");
  });

  test("at any moment, while several runs are asked for at once", async () => {
    const product = await open(newDir());
    const id = await deploy(product);
    for (const delay of [0, 3, 9]) {
      const asked = Array.from({ length: 8 }, () => product.client.beta.deployments.run(id).catch(() => null));
      await new Promise((resolve) => setTimeout(resolve, delay));
      const pid = await product.local<{ pid: number }>("/health").then((health) => health.pid);
      process.kill(pid, "SIGKILL");
      const answered = (await Promise.all(asked)).filter((run) => run !== null);
      await until("the engine to be back", async () => runsOf(product, id).catch(() => null));
      const known = new Map((await runsOf(product, id)).map((run) => [run.id, run]));
      for (const run of answered) expect(known.get(run.id), "acknowledged and lost").toEqual(run);
    }
    const runs = await runsOf(product, id);
    const made = runs.flatMap(({ session_id }) => session_id ?? []);
    expect(runs.every(({ session_id, error }) => (session_id === null) !== (error === null))).toBe(true);
    expect((await sessionsOf(product, id)).sort()).toEqual(made.sort());
    expect(new Set(made).size).toBe(made.length);
  });
});

test("a schedule goes on after a restart: what passed is one record, what is due runs", async () => {
  const data_dir = newDir();
  const first = await open(data_dir);
  const id = await deploy(first, { expression: "* * * * *" });
  expect((await first.client.beta.deployments.retrieve(id)).schedule?.upcoming_runs_at).toHaveLength(5);
  await first.stop();
  // Instead of waiting for three days.
  const closedSince = new Date(Date.now() - 3 * 86_400_000).toISOString();
  const db = new Database(join(data_dir, "ledger.db"));
  db.prepare("UPDATE records SET body = json_set(body, '$.scheduled_through', ?) WHERE id = ?").run(closedSince, id);
  db.close();

  const second = await open(data_dir);
  const runs = await until("the minute's run", async () => {
    const listed = await runsOf(second, id);
    return listed.some(({ session_id }) => session_id !== null) && listed;
  });
  const [missed, ...others] = runs.filter(({ error }) => error !== null);
  expect(others).toEqual([]);
  expect(missed?.error?.message).toMatch(/^43\d\d scheduled runs from .* were missed because Longhaul was not running/);
  const ran = runs.filter(({ session_id }) => session_id !== null);
  expect(await sessionsOf(second, id)).toEqual(ran.map(({ session_id }) => session_id));
  const { schedule } = await second.client.beta.deployments.retrieve(id);
  expect(Date.now() - Date.parse(schedule?.last_run_at ?? "")).toBeLessThan(60_000);
});
