/**
 * Exactly once: commands that append, sleep and append again are in flight in containers while the whole product is
 * killed with SIGKILL at random moments. Each line must be there once, and the model must receive the whole output.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { randomFrom, seed } from "../product/random.ts";
import { cutPower, type Product, removeDir, tempDir, until } from "../product/serve.ts";
import { createSession, eventsOf, problemsIn, summaryOf, untilRests } from "../product/sessions.ts";
import { fileIn, removeInstall, serveOnDocker } from "./product.ts";

/** Calls that must have been in flight at a kill before the test is content. */
const IN_FLIGHT = Number(process.env["LONGHAUL_EXACTLY_ONCE_RUNS"] ?? 200);
const SESSIONS = 8;
/** More than are ever needed: a session ends early when enough calls were hit. */
const MAX_CALLS = 90;

const random = randomFrom(seed);
let enough = false;
/** Results that the model was given and that are not what the command wrote. */
const wrong: string[] = [];

const lines = (n: number): string => Array.from({ length: 300 }, (_, i) => `${n}.${i + 1}`).join("\n");
const expected = (n: number): string => `begin ${n}\n${lines(n)}\nend ${n}`;
const seconds = (n: number): number => 0.3 + ((n * 7919) % 17) / 10;

function command(n: number): string {
  return [
    `echo "${n} first" >> effects.txt`,
    `echo begin ${n}`,
    `for i in $(seq 1 150); do echo ${n}.$i; done`,
    `sleep ${seconds(n)}`,
    `for i in $(seq 151 300); do echo ${n}.$i; done`,
    `echo "${n} second" >> effects.txt`,
    `echo end ${n}`,
  ].join("; ");
}

function script(request: ScriptRequest): Reply {
  const n = request.turn;
  for (const result of request.results.values()) {
    if (result.is_error || result.text !== expected(n - 1)) wrong.push(`call ${n - 1}: ${result.text.slice(0, 300)}`);
  }
  if (enough || n >= MAX_CALLS) return { content: [{ type: "text", text: `Made ${n} calls.` }] };
  return { content: [{ type: "tool_use", name: "bash", input: { command: command(n) } }] };
}

let model: ModelServer;
const data_dir = tempDir();
beforeAll(async () => {
  model = await startModelServer({ script });
});
afterAll(async () => {
  await removeInstall(data_dir);
  await model.close();
  removeDir(data_dir);
});

/** Ids of the calls that were in flight at some kill, one entry a kill. */
async function cutOffCalls(product: Product, id: string): Promise<string[]> {
  return (await eventsOf(product, id)).flatMap(({ event }) =>
    event.type === "longhaul.cut_off" ? event.calls_in_flight : [],
  );
}

async function resume(product: Product, id: string): Promise<void> {
  await product.local(`/sessions/${id}/wake`, { method: "POST" });
}

test(`${IN_FLIGHT} commands in flight at a kill run once and are collected whole`, async () => {
  let product = await serveOnDocker({ data_dir, model });
  const ids: string[] = [];
  for (let i = 0; i < SESSIONS; i++) ids.push(await createSession(product, { text: `Session ${i}` }));
  // Kills in the middle of provisioning have tests of their own; here every kill should find commands in flight.
  for (const id of ids)
    await until("a sandbox", async () => (await summaryOf(product, id)).fold.sandbox?.made, 180_000);
  let hit = 0;
  let kills = 0;
  while (hit < IN_FLIGHT) {
    await new Promise((resolve) => setTimeout(resolve, 300 + random() * 2200));
    await cutPower(product);
    kills += 1;
    product = await serveOnDocker({ data_dir, model });
    hit = 0;
    for (const id of ids) {
      hit += (await cutOffCalls(product, id)).length;
      // Killed three times in one call, a session waits for a person: this is the person.
      if ((await summaryOf(product, id)).fold.cut_offs >= 3) await resume(product, id);
    }
    if (kills > 200) throw new Error(`seed ${seed}: only ${hit} calls were in flight at ${kills} kills`);
  }
  enough = true;
  for (const id of ids) await resume(product, id);
  for (const id of ids) await untilRests(product, id, 120_000);

  const where = `seed ${seed}, ${kills} kills, ${hit} calls in flight`;
  console.log(where);
  expect(wrong, where).toEqual([]);
  expect(
    model.requests.filter((request) => request.rejected !== null),
    where,
  ).toEqual([]);
  for (const id of ids) {
    const events = await eventsOf(product, id);
    expect(problemsIn(events), where).toEqual([]);
    const { fold } = await summaryOf(product, id);
    expect(fold.outcomes_unknown, where).toBe(0);
    expect(fold.stop_reason, where).toEqual({ type: "end_turn" });
    const effects = (await fileIn(id, "/workspace/effects.txt")).split("\n");
    const wanted = Array.from({ length: fold.tool_calls }, (_, n) => [`${n} first`, `${n} second`]).flat();
    expect(effects, where).toEqual(wanted);
  }
  await product.stop();
}, 900_000);
