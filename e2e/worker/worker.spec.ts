/** The official SDK's own worker helpers, each in a process of its own, against the built product. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { byTurn, call, type ScriptRequest, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, run, serve, until } from "../product/serve.ts";
import { eventsOf, finalMessage, summaryOf } from "../product/sessions.ts";
import {
  type Hosted,
  hostedEnvironment,
  hostedSession,
  type Program,
  resultsOf,
  startOnItem,
  startWorker,
  type Worker,
} from "./hosted.ts";

/** Waits in the middle until the file `go` is there. */
const SLOW = "echo begun >> log.txt; until [ -e go ]; do sleep 0.05; done; echo ended >> log.txt; cat log.txt";

function script(request: ScriptRequest) {
  const text = JSON.stringify(request.body.messages);
  const report = say(`Report: ${[...request.results.values()].map((result) => result.text.trim()).join(" | ")}`);
  if (request.lastText.includes("Again."))
    return call({ name: "bash", input: { command: "echo again >> log.txt; cat log.txt" } });
  if (text.includes("Slowly.")) return byTurn([call({ name: "bash", input: { command: SLOW } }), report])(request);
  if (text.includes("Ask me.")) {
    const both = call(
      { name: "bash", input: { command: "echo allowed >> log.txt" } },
      { name: "bash", input: { command: "echo denied >> log.txt" } },
    );
    return byTurn([both, report])(request);
  }
  return byTurn([
    call({ name: "write", input: { file_path: "a.txt", content: "written once\n" } }),
    call(
      { name: "edit", input: { file_path: "a.txt", old_string: "once", new_string: "and edited" } },
      { name: "bash", input: { command: "echo one >> log.txt; exit 3" } },
    ),
    call({ name: "read", input: { file_path: "a.txt" } }, { name: "grep", input: { pattern: "one" } }),
    report,
  ])(request);
}

let model: ModelServer;
let product: Product;
let workers: Worker[] = [];
beforeAll(async () => {
  model = await startModelServer({ script });
  product = await serve({ model });
});
afterEach(() => {
  for (const worker of workers) {
    worker.kill();
    removeDir(worker.workdir);
  }
  workers = [];
  expect(model.requests.map(({ rejected }) => rejected).filter((rejected) => rejected !== null)).toEqual([]);
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

function start(hosted: Hosted, program: Program, workdir?: string): Worker {
  const worker = startWorker(product, hosted, program, workdir);
  workers.push(worker);
  return worker;
}

async function untilTurnEnds(id: string, worker: Worker): Promise<void> {
  await until(
    `the turn of ${id} to end; the worker says: ${worker.output()}`,
    async () => (await summaryOf(product, id).catch(() => null))?.fold.stop_reason?.type === "end_turn",
    40_000,
  );
}

const states = async (hosted: Hosted): Promise<string[]> => {
  const found = await fetch(`${product.url}/v1/environments/${hosted.environment_id}/work`, {
    headers: { authorization: `Bearer ${hosted.key}` },
  });
  return ((await found.json()) as { data: { state: string }[] }).data.map(({ state }) => state);
};

test("EnvironmentWorker serves a session to its end, gives the item back, and is given the next message too", async () => {
  const hosted = await hostedEnvironment(product);
  const id = await hostedSession(product, hosted, "Work.");
  await until("the session to wait", async () => (await summaryOf(product, id)).work === "client");
  const worker = start(hosted, "environment_worker");
  await untilTurnEnds(id, worker);
  expect(worker.file("a.txt")).toBe("written and edited\n");
  const events = await eventsOf(product, id);
  expect(resultsOf(events).map(({ name, results }) => [name, results.length])).toEqual([
    ["write", 1],
    ["edit", 1],
    ["bash", 1],
    ["read", 1],
    ["grep", 1],
  ]);
  expect(finalMessage(events)).toContain("written and edited");
  expect(events.filter(({ event }) => event.type.startsWith("longhaul.sandbox"))).toEqual([]);
  await until("the item to be given back", async () => (await states(hosted)).join() === "stopped");
  const text = [{ type: "text" as const, text: "Again." }];
  await product.client.beta.sessions.events.send(id, { events: [{ type: "user.message", content: text }] });
  await until("the second turn", async () => worker.file("log.txt") === "one\nagain\n");
  await untilTurnEnds(id, worker);
  expect(await states(hosted)).toHaveLength(2);
  worker.child.kill("SIGTERM");
  expect(await worker.ended, worker.output()).toBe(0);
});

test("WorkPoller and toolRunner hold calls that ask until the person has answered", async () => {
  const hosted = await hostedEnvironment(product);
  const id = await hostedSession(product, hosted, "Ask me.", "always_ask");
  const worker = start(hosted, "poller_and_runner");
  const asked = await until("both calls to ask", async () => {
    const reason = (await summaryOf(product, id)).fold.stop_reason;
    return reason?.type === "requires_action" ? reason.event_ids : null;
  });
  const confirm = (tool_use_id: string, result: "allow" | "deny") =>
    product.client.beta.sessions.events.send(id, { events: [{ type: "user.tool_confirmation", tool_use_id, result }] });
  expect(worker.file("log.txt")).toBe("");
  await confirm(asked[1] ?? "", "deny");
  await confirm(asked[0] ?? "", "allow");
  await untilTurnEnds(id, worker);
  expect(await worker.ended, worker.output()).toBe(0);
  expect(worker.file("log.txt")).toBe("allowed\n");
  const calls = worker
    .output()
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as { confirmation: string; posted: boolean });
  expect(calls.map(({ confirmation, posted }) => [confirmation, posted]).sort()).toEqual([
    ["allow", true],
    ["deny", false],
  ]);
  expect(resultsOf(await eventsOf(product, id)).map(({ results }) => results.length)).toEqual([1, 1]);
});

test("an item handed to a fresh process is served with its own token, without any key", async () => {
  const hosted = await hostedEnvironment(product);
  const id = await hostedSession(product, hosted, "Work.");
  const printed = await run(["environment-key", hosted.environment_id, "--data-dir", product.data_dir]);
  expect(printed.stdout, printed.stderr).toMatch(/^sk-ant-oat01-\S{43}\n$/);
  const authToken = printed.stdout.trim();
  const { work } = new Anthropic({ baseURL: product.url, apiKey: null, authToken }).beta.environments;
  const item = await work.poll(hosted.environment_id);
  if (item === null) throw new Error("the session was not offered");
  await work.ack(item.id, { environment_id: hosted.environment_id });
  const worker = startOnItem(product, item);
  workers.push(worker);
  await untilTurnEnds(id, worker);
  expect(await worker.ended, worker.output()).toBe(0);
  expect(worker.file("a.txt")).toBe("written and edited\n");
  expect(await states(hosted)).toEqual(["stopped"]);
});

test("a worker that is killed in the middle of a call loses its session to the next one, and the person is told", async () => {
  const hosted = await hostedEnvironment(product, "2");
  const id = await hostedSession(product, hosted, "Slowly.");
  const first = start(hosted, "environment_worker");
  await until("the call to begin", async () => first.file("log.txt") === "begun\n");
  first.kill();
  expect(await first.ended).toBe("SIGKILL");
  // The shell of a killed worker goes on by itself; the second worker is given its directory, which shows what ran twice.
  writeFileSync(join(first.workdir, "go"), "");
  const second = start(hosted, "environment_worker", first.workdir);
  await untilTurnEnds(id, second);
  const events = await eventsOf(product, id);
  // At least once: the journal of a call is its worker's, and died with it.
  expect(resultsOf(events)).toEqual([{ name: "bash", results: ["begun\nended\nbegun\nended"] }]);
  const told = events.flatMap(({ event }) => (event.type === "longhaul.outcome_unknown" ? [event.message] : []));
  expect(told).toEqual([expect.stringMatching(/worker .* was lost .* may take effect twice/)]);
  expect((await summaryOf(product, id)).fold.stop_reason).toEqual({ type: "end_turn" });
});

test("an engine that is killed in the middle of a worker's call gets the result, and nothing runs twice", async () => {
  const hosted = await hostedEnvironment(product, "20");
  const id = await hostedSession(product, hosted, "Slowly.");
  const worker = start(hosted, "environment_worker");
  await until("the call to begin", async () => worker.file("log.txt") === "begun\n");
  const engine = await product.local<{ pid: number }>("/health");
  process.kill(engine.pid, "SIGKILL");
  // The call ends while no engine is there to take its result.
  writeFileSync(join(worker.workdir, "go"), "");
  await untilTurnEnds(id, worker);
  const events = await eventsOf(product, id);
  expect(resultsOf(events)).toEqual([{ name: "bash", results: ["begun\nended"] }]);
  expect(events.filter(({ event }) => event.type === "longhaul.outcome_unknown")).toEqual([]);
});

test("an interrupt ends the turn while a worker has a call in hand; its late result changes nothing", async () => {
  const hosted = await hostedEnvironment(product);
  const id = await hostedSession(product, hosted, "Slowly.");
  const worker = start(hosted, "poller_and_runner");
  await until("the call to begin", async () => worker.file("log.txt") === "begun\n");
  await product.client.beta.sessions.events.send(id, { events: [{ type: "user.interrupt" }] });
  await untilTurnEnds(id, worker);
  writeFileSync(join(worker.workdir, "go"), "");
  await until("the worker to have tried", async () => worker.output().includes('"posted":false'));
  const [bash] = resultsOf(await eventsOf(product, id));
  expect(bash?.results).toEqual([expect.stringMatching(/interrupted before completion/)]);
});
