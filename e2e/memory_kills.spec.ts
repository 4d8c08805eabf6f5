/**
 * Sessions that write memories and outputs, while the product is killed with SIGKILL at random moments: when they rest at
 * last, their stores hold what they left in the folder, nothing of it lost, come back or in conflict, and each output is
 * stored once.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Reply, type ScriptRequest, say } from "./model_server/script.ts";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { randomFrom, seed } from "./product/random.ts";
import { cutPower, type Product, removeDir, serve, tempDir, until } from "./product/serve.ts";
import { eventsOf, problemsIn, summaryOf, untilRests } from "./product/sessions.ts";

const ROUNDS = Number(process.env["LONGHAUL_MEMORY_KILL_ROUNDS"] ?? 3);
const AT_ONCE = 4;
const random = randomFrom(seed);

/** By the number of turns before: a repeated request gets the same answer. */
const COMMANDS = [
  "for i in $(seq 40); do echo $i > f$i.md; done; echo one > /mnt/session/outputs/log.txt",
  "rm drop.md f1.md f2.md; echo changed > keep.md; echo changed > f3.md; echo two >> /mnt/session/outputs/log.txt",
  "mkdir sub; mv f4.md sub/f4.md; echo again > f1.md; echo more > /mnt/session/outputs/more.txt",
];

function script({ turn }: ScriptRequest): Reply {
  const command = COMMANDS[turn];
  if (command === undefined) return say("Done.");
  return { content: [{ type: "tool_use", name: "bash", input: { command: `cd /mnt/memory/notes && ${command}` } }] };
}

const WANTED: Record<string, string> = {
  ...Object.fromEntries(Array.from({ length: 36 }, (_, n) => [`/f${n + 5}.md`, `${n + 5}\n`])),
  ...{ "/keep.md": "changed\n", "/f3.md": "changed\n", "/sub/f4.md": "4\n", "/f1.md": "again\n", "/other.md": "other" },
};

let model: ModelServer;
let product: Product;
let agent = "";
let environment_id = "";
const data_dir = tempDir();
beforeAll(async () => {
  model = await startModelServer({ script });
  product = await serve({ data_dir, model });
  const { beta } = product.client;
  const tools = [{ type: "agent_toolset_20260401" as const }];
  agent = (await beta.agents.create({ name: "notes", model: "claude-sonnet-5-5", tools })).id;
  environment_id = (await beta.environments.create({ name: "notes" })).id;
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(data_dir);
});

async function start(): Promise<{ id: string; store: string }> {
  const { beta } = product.client;
  const store = await beta.memoryStores.create({ name: "notes" });
  for (const name of ["keep", "drop", "other"]) {
    await beta.memoryStores.memories.create(store.id, { path: `/${name}.md`, content: name });
  }
  const session = await beta.sessions.create({
    agent,
    environment_id,
    resources: [{ type: "memory_store", memory_store_id: store.id }],
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Take notes." }] }],
  });
  return { id: session.id, store: store.id };
}

async function contents(store: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const row of product.client.beta.memoryStores.memories.list(store, { view: "full", limit: 20 })) {
    if (row.type === "memory") found[row.path] = row.content ?? "";
  }
  return found;
}

/** In the order of their names; one that is stored twice is there twice. */
async function outputs(session: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { id, filename } of product.client.beta.files.list({ scope_id: session })) {
    found.push(`${filename}: ${await (await product.client.beta.files.download(id)).text()}`);
  }
  return found.sort();
}

async function killAndRestart(): Promise<void> {
  await cutPower(product);
  product = await serve({ data_dir, model });
}

async function toTheEnd(id: string): Promise<void> {
  const waits = (await untilRests(product, id)).fold.cut_offs >= 3;
  if (!waits) return;
  // Killed three times in a row, a session waits for a person: this is the person.
  await product.local(`/sessions/${id}/wake`, { method: "POST" });
  await until(`${id} to be woken`, async () => (await summaryOf(product, id)).fold.cut_offs < 3);
  await untilRests(product, id);
}

test(`${ROUNDS * AT_ONCE} sessions lose no memory and no output to kills`, async () => {
  let cut = 0;
  // A fast machine may finish a round before its first kill: then there are more, until some were hit.
  for (let round = 0; round < ROUNDS || cut === 0; round += 1) {
    if (round > 20 * ROUNDS) throw new Error(`seed ${seed}: no session was cut off in ${round} rounds`);
    const sessions = await Promise.all(Array.from({ length: AT_ONCE }, start));
    for (let kill = 0; kill < 2; kill += 1) {
      await new Promise((resolve) => setTimeout(resolve, 20 + random() * 600));
      await killAndRestart();
    }
    for (const { id, store } of sessions) {
      await toTheEnd(id);
      const where = `seed ${seed}, round ${round}, session ${id}`;
      const events = await eventsOf(product, id);
      expect(problemsIn(events), where).toEqual([]);
      expect(await contents(store), where).toEqual(WANTED);
      expect(await outputs(id), where).toEqual(["log.txt: one\ntwo\n", "more.txt: more\n"]);
      expect(
        events.filter(({ event }) => event.type === "longhaul.memory_synced" && event.conflicts > 0),
        where,
      ).toEqual([]);
      cut += events.filter(({ event }) => event.type === "longhaul.cut_off").length;
    }
  }
  console.log(`seed ${seed}: sessions were cut off ${cut} times`);
}, 300_000);
