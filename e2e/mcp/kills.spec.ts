/**
 * Sessions that call tools of an MCP server with a credential from the vault, while engine and broker are killed with SIGKILL
 * at random moments: no request ever goes out without its credential, no call is made twice, and every session rests.
 */
import { execFileSync } from "node:child_process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Reply, type ScriptRequest, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { randomFrom, seed } from "../product/random.ts";
import { type Product, removeDir, serve, tempDir, until } from "../product/serve.ts";
import { eventsOf, problemsIn, summaryOf, untilRests } from "../product/sessions.ts";
import { type GuardedServer, startGuardedServer } from "./guarded_server.ts";

const ROUNDS = Number(process.env["LONGHAUL_MCP_KILL_ROUNDS"] ?? 2);
const AT_ONCE = 4;
const CALLS = 12;
const TOKEN = "guarded-token-5f2c91aa";
const env = { LONGHAUL_VAULT_PASSPHRASE: "a passphrase for kills" };
const random = randomFrom(seed);

/** Writes and reads in turn; what is written names the session and the turn. */
function script({ body, turn }: ScriptRequest): Reply {
  if (turn >= CALLS) return say("Done.");
  const task = JSON.stringify(body.messages[0]).match(/task-[a-z0-9]+/)?.[0] ?? "";
  const name = turn % 2 === 0 ? "mcp__notes__write" : "mcp__notes__read";
  return { content: [{ type: "tool_use", name, input: { text: `${task} ${turn}` } }] };
}

let model: ModelServer;
let notes: GuardedServer;
let product: Product;
let agent = "";
let environment_id = "";
let vault = "";
const data_dir = tempDir();

beforeAll(async () => {
  model = await startModelServer({ script });
  notes = await startGuardedServer(TOKEN, 40);
  product = await serve({ data_dir, model, env });
  const { beta } = product.client;
  vault = (await beta.vaults.create({ display_name: "notes" })).id;
  const auth = { type: "static_bearer" as const, mcp_server_url: notes.url, token: TOKEN };
  await beta.vaults.credentials.create(vault, { auth });
  const made = await beta.agents.create({
    name: "notes",
    model: "claude-sonnet-5-5",
    mcp_servers: [{ type: "url", name: "notes", url: notes.url }],
    tools: [
      {
        type: "mcp_toolset",
        mcp_server_name: "notes",
        default_config: { enabled: true, permission_policy: { type: "always_allow" } },
      },
    ],
  });
  agent = made.id;
  environment_id = (await beta.environments.create({ name: "notes" })).id;
});
afterAll(async () => {
  await product.stop();
  await model.close();
  await notes.close();
  removeDir(data_dir);
});

let tasks = 0;

async function start(): Promise<{ id: string; task: string }> {
  tasks += 1;
  const task = `task-${tasks}x`;
  const session = await product.client.beta.sessions.create({
    agent,
    environment_id,
    vault_ids: [vault],
    initial_events: [{ type: "user.message", content: [{ type: "text", text: `Do ${task}.` }] }],
  });
  return { id: session.id, task };
}

/** Pids of engine and broker as they are now: both are restarted when they die. */
function children(): { engine: number | null; broker: number | null } {
  const rows = execFileSync("ps", ["-eo", "pid=,ppid=,args="], { encoding: "utf8" }).trim().split("\n");
  const found = rows.map((row) => /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row)).filter((match) => match !== null);
  const isOurs = (ppid: string): boolean => Number(ppid) === product.child.pid;
  // The launcher may have a process of its own between itself and the two.
  const between = found.filter(([, , ppid]) => isOurs(ppid ?? "")).map(([, pid]) => pid);
  const named = (name: RegExp): number | null => {
    const row = found.find(
      ([, , ppid, args]) => (isOurs(ppid ?? "") || between.includes(ppid)) && name.test(args ?? ""),
    );
    return row === undefined ? null : Number(row[1]);
  };
  return { engine: named(/\/serve\.js/), broker: named(/\/broker\.js/) };
}

async function strike(): Promise<void> {
  const dice = random();
  const { engine, broker } = children();
  if (dice < 0.2) {
    product.child.kill("SIGKILL");
    // A broker without its parent ends by itself.
    if (engine !== null) process.kill(engine, "SIGKILL");
    await product.ended;
    product = await serve({ data_dir, model, env });
    return;
  }
  const pid = dice < 0.5 ? engine : broker;
  if (pid !== null) process.kill(pid, "SIGKILL");
}

async function toTheEnd(id: string): Promise<void> {
  for (;;) {
    // Killed three times in a row, a session waits for a person: this is the person.
    const { fold } = await untilRests(product, id, 120_000);
    if (fold.cut_offs < 3 && fold.phase === "idle" && !fold.stopped) return;
    await product.local(`/sessions/${id}/wake`, { method: "POST" });
    await until(`${id} to be woken`, async () => (await summaryOf(product, id)).fold.cut_offs < 3);
  }
}

/** The API is away for a moment while the engine is restarted. */
function answers(): Promise<unknown> {
  return until("the engine to answer", () => product.local("/health").catch(() => null));
}

test(`${ROUNDS * AT_ONCE} sessions under kills send nothing without its credential and do nothing twice`, async () => {
  let cut = 0;
  for (let round = 0; round < ROUNDS || cut === 0; round += 1) {
    if (round > 20 * ROUNDS) throw new Error(`seed ${seed}: no session was cut off in ${round} rounds`);
    const sessions = await Promise.all(Array.from({ length: AT_ONCE }, start));
    for (let kill = 0; kill < 3; kill += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20 + random() * 700));
      await strike();
      await answers();
    }
    for (const { id, task } of sessions) {
      await toTheEnd(id);
      const where = `seed ${seed}, round ${round}, session ${id}`;
      const events = await eventsOf(product, id);
      expect(problemsIn(events), where).toEqual([]);
      const unknown = events.filter(({ event }) => event.type === "longhaul.outcome_unknown").length;
      const times = Array.from({ length: CALLS / 2 }, (_, n) => notes.written.get(`${task} ${2 * n}`) ?? 0);
      expect(Math.max(...times), where).toBeLessThanOrEqual(1);
      // A call that did not take effect is one that the model was told nobody knows of, or was told failed.
      const failed = events.filter(({ event }) => event.type === "agent.mcp_tool_result" && event.is_error).length;
      expect(times.filter((count) => count === 0).length, where).toBeLessThanOrEqual(unknown + failed);
      cut += events.filter(({ event }) => event.type === "longhaul.cut_off").length;
    }
  }
  expect(notes.unauthenticated, `seed ${seed}`).toBe(0);
  console.log(`seed ${seed}: sessions were cut off ${cut} times; the server answered ${notes.requests} requests`);
}, 300_000);
