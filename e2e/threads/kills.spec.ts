/**
 * Sessions of a lead and ten workers, each in a thread of its own, while the product is killed with SIGKILL at random
 * moments. Every thread must end as in the run that nobody disturbed: same files, same final message, one result per
 * call, one report to the lead, and no request that the strict server refuses.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StoredEvent } from "../../main/contract/events.ts";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { randomFrom, seed } from "../product/random.ts";
import { cutPower, type Product, removeDir, serve, tempDir } from "../product/serve.ts";
import { eventsOf, finalMessage, problemsIn, summaryOf, untilRests, workspaceFiles } from "../product/sessions.ts";

/** Sessions that must have been cut off at least once. */
const RUNS = Number(process.env["LONGHAUL_THREAD_KILL_RUNS"] ?? 100);
const AT_ONCE = 8;
const WORKERS = Array.from({ length: 10 }, (_, n) => `worker${n}`);
const random = randomFrom(seed);

/** The lead gives everybody a task and says at each turn whom it has heard from; a worker works, looks, and reports. */
function script(request: ScriptRequest): Reply {
  const me = WORKERS.find((name) => JSON.stringify(request.body.system).includes(`You are ${name}.`));
  if (me === undefined) return lead(request);
  const bash = (command: string): Reply => ({ content: [{ type: "tool_use", name: "bash", input: { command } }] });
  if (request.turn === 0) return bash(`echo ${me} begins >> ${me}.txt; sleep 0.1; echo ${me} ends >> ${me}.txt`);
  if (request.turn === 1) return bash(`cat ${me}.txt`);
  return { content: [{ type: "text", text: `${me}: ${[...request.results.values()][0]?.text.replace(/\s+/g, " ")}` }] };
}

function lead(request: ScriptRequest): Reply {
  if (request.turn === 0) {
    const give = (agent: string) => ({
      type: "tool_use" as const,
      name: "send_to_agent",
      input: { agent, message: "Work." },
    });
    return { content: WORKERS.map(give) };
  }
  const conversation = JSON.stringify(request.body.messages);
  const heard = WORKERS.filter((name) => conversation.includes(`agent \\"${name}\\"`));
  return { content: [{ type: "text", text: `heard: ${heard.join(" ")}` }] };
}

let model: ModelServer;
let product: Product;
let agentId = "";
let environmentId = "";
const data_dir = tempDir();
beforeAll(async () => {
  model = await startModelServer({ script });
  product = await serve({ data_dir, model });
  const { beta } = product.client;
  const create = (name: string, more: object = {}) =>
    beta.agents.create({
      name,
      model: "claude-sonnet-5-5",
      system: `You are ${name}.`,
      tools: [{ type: "agent_toolset_20260401" }],
      ...more,
    });
  const workers = await Promise.all(WORKERS.map((name) => create(name)));
  const roster = { type: "coordinator", agents: workers.map(({ id }) => id) } as const;
  agentId = (await create("lead", { multiagent: roster })).id;
  environmentId = (await beta.environments.create({ name: "threads" })).id;
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(data_dir);
});

async function start(): Promise<string> {
  const session = await product.client.beta.sessions.create({
    agent: agentId,
    environment_id: environmentId,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Split the work." }] }],
  });
  return session.id;
}

/** What must be the same whatever happened on the way. */
async function endOf(id: string) {
  const events = await eventsOf(product, id);
  const { fold } = await summaryOf(product, id);
  const of = (thread: string): StoredEvent[] => events.filter(({ thread_id }) => thread_id === thread);
  return {
    problems: problemsIn(events),
    files: workspaceFiles(data_dir, id),
    heard: finalMessage(of(fold.primary_thread_id)).split(" ").sort(),
    stop_reason: fold.stop_reason,
    unknown: fold.outcomes_unknown,
    primary: fold.primary?.phase,
    threads: fold.threads.map((thread) => ({
      name: thread.name,
      phase: thread.phase,
      stop_reason: thread.stop_reason,
      open: thread.calls.length + thread.inputs.length,
      final: finalMessage(of(thread.id)),
      results: of(thread.id).filter(({ event }) => event.type === "agent.tool_result").length,
      reports: of(thread.id).filter(({ event }) => event.type === "agent.thread_message_sent").length,
    })),
  };
}

async function cutOffs(id: string): Promise<number> {
  return (await eventsOf(product, id)).filter(({ event }) => event.type === "longhaul.cut_off").length;
}

/** The whole product, and starts it again: a supervisor that lost only its engine would back off after a few. */
async function killAndRestart(): Promise<void> {
  await cutPower(product);
  product = await serve({ data_dir, model });
}

async function toTheEnd(id: string): Promise<void> {
  for (;;) {
    const { fold } = await untilRests(product, id).catch(async (error: unknown) => {
      // Killed three times in a row, a session waits for a person: this is the person.
      const summary = await summaryOf(product, id);
      if (summary.fold.cut_offs < 3) throw error;
      return summary;
    });
    if (fold.cut_offs < 3) return;
    await product.local(`/sessions/${id}/wake`, { method: "POST" });
  }
}

test(`${RUNS} sessions of eleven threads end as if nothing had happened`, async () => {
  const undisturbed = await start();
  await untilRests(product, undisturbed);
  const wanted = await endOf(undisturbed);
  expect(wanted).toMatchObject({ problems: [], unknown: 0, stop_reason: { type: "end_turn" } });
  expect(wanted.heard).toEqual(["heard:", ...WORKERS]);
  expect(wanted.threads.every(({ reports, results, open }) => reports === 1 && results === 2 && open === 0)).toBe(true);
  await product.client.beta.sessions.delete(undisturbed);

  let runs = 0;
  let kills = 0;
  for (let round = 0; runs < RUNS; round += 1) {
    if (round > RUNS) throw new Error(`seed ${seed}: only ${runs} sessions were cut off in ${round} rounds`);
    const ids = await Promise.all(Array.from({ length: AT_ONCE }, start));
    for (let kill = 0; kill < 2; kill += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100 + random() * 1800));
      await killAndRestart();
      kills += 1;
    }
    for (const id of ids) {
      await toTheEnd(id);
      const where = `seed ${seed}, round ${round}, session ${id}`;
      expect(await endOf(id), where).toEqual(wanted);
      if ((await cutOffs(id)) > 0) runs += 1;
      await product.client.beta.sessions.delete(id);
    }
  }
  console.log(`seed ${seed}: ${runs} sessions cut off, ${kills} kills`);
  expect(model.requests.filter(({ rejected }) => rejected !== null)).toEqual([]);
}, 900_000);
