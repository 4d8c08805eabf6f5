/**
 * What the harness costs: the time from a client's message to the model request, and from the end of one answer to the
 * next request, each beside a bare SDK loop that talks to the same local server in the same run.
 */
import { fork } from "node:child_process";
import type { Reply, ScriptRequest } from "../e2e/model_server/script.ts";
import { type ModelServer, startModelServer } from "../e2e/model_server/server.ts";
import { type Product, removeDir, serve } from "../e2e/product/serve.ts";
import { createSession, untilRests } from "../e2e/product/sessions.ts";
import type { BareJob } from "./measure/bare_client.ts";
import { ms, over, type Spread, spread, table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const BARE_CLIENT = new URL("./measure/bare_client.ts", import.meta.url).pathname;
const MESSAGES = 60;
const STEPS = 120;
const TOOL = { name: "read", input: { file_path: "small.txt" } };

/** Milliseconds on a clock that all processes of this machine share. */
function absolute(): number {
  return performance.timeOrigin + performance.now();
}

/** Times at which requests arrived, as the model server sees them. */
class Clock {
  readonly arrivals: number[] = [];

  /** Wraps a script so that each request's arrival is noted. */
  watch(script: (request: ScriptRequest) => Reply): (request: ScriptRequest) => Reply {
    return (request) => {
      this.arrivals.push(absolute());
      return script(request);
    };
  }

  clear(): void {
    this.arrivals.length = 0;
  }
}

export async function run(): Promise<BenchResult> {
  const clock = new Clock();
  const model = await startModelServer({ script: clock.watch(answer) });
  const product = await serve({ model });
  try {
    const first = { ours: await firstRequests(product, clock), bare: spread([0]) };
    const steps = {
      ours: await toolSteps(product, clock, "steps"),
      refused: await toolSteps(product, clock, "steps refused"),
      bare: spread([0]),
    };
    const bare = await bareProgram(model, clock);
    first.bare = bare.first;
    steps.bare = bare.steps;
    const before = over(first.ours, first.bare);
    const step = over(steps.refused, steps.bare);
    const withTool = over(steps.ours, steps.bare);
    return {
      table: table([
        ["", "p50", "p95", "target p50 / p95"],
        ["message to model request, bare SDK", ms(first.bare.p50), ms(first.bare.p95), ""],
        ["message to model request, Longhaul", ms(first.ours.p50), ms(first.ours.p95), ""],
        ["  overhead", ms(before.p50), ms(before.p95), "10 / 25 ms"],
        ["answer to next request, bare SDK loop", ms(steps.bare.p50), ms(steps.bare.p95), ""],
        ["answer to next request, call settled by policy", ms(steps.refused.p50), ms(steps.refused.p95), ""],
        ["  overhead", ms(step.p50), ms(step.p95), "3 / 10 ms"],
        ["answer to next request, read in the sandbox", ms(steps.ours.p50), ms(steps.ours.p95), ""],
        ["  overhead, the tool's own time included", ms(withTool.p50), ms(withTool.p95), ""],
      ]),
      json: { before_request: before, step, step_with_tool: withTool, first, steps },
    };
  } finally {
    await product.stop();
    await model.close();
    removeDir(product.data_dir);
  }
}

function answer(request: ScriptRequest): Reply {
  if (request.lastText.startsWith("steps") || request.results.size > 0) {
    const done = request.turn >= STEPS;
    const name = JSON.stringify(request.body.messages[0]).includes("refused") ? "not_a_tool" : TOOL.name;
    if (!done) return { content: [{ type: "tool_use", name, input: TOOL.input }], ping_every: 0 };
  }
  return { content: [{ type: "text", text: "ok" }], ping_every: 0 };
}

async function firstRequests(product: Product, clock: Clock): Promise<Spread> {
  const id = await createSession(product, { text: "warm up" });
  await untilRests(product, id);
  const times: number[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    clock.clear();
    const start = absolute();
    await product.client.beta.sessions.events.send(id, {
      events: [{ type: "user.message", content: [{ type: "text", text: `message ${i}` }] }],
    });
    await untilRests(product, id);
    times.push((clock.arrivals[0] ?? Number.NaN) - start);
  }
  return spread(times.slice(5));
}

/** The same two measurements with the bare SDK, in a process of its own as the engine is. */
async function bareProgram(model: ModelServer, clock: Clock): Promise<{ first: Spread; steps: Spread }> {
  clock.clear();
  const child = fork(BARE_CLIENT, { execArgv: [] });
  const said = (): Promise<Record<string, unknown>> => new Promise((resolve) => child.once("message", resolve));
  const job: BareJob = { url: model.url, apiKey: model.apiKey, messages: MESSAGES };
  child.send(job);
  const { starts } = (await said()) as { starts: number[] };
  const first = spread(starts.map((start, index) => (clock.arrivals[index] ?? Number.NaN) - start).slice(5));
  clock.arrivals.splice(0, MESSAGES);
  await said();
  return { first, steps: spread(gaps(clock)) };
}

/** Gaps between consecutive arrivals: each holds one streamed answer and what comes between it and the next request. */
function gaps(clock: Clock): number[] {
  return clock.arrivals.slice(6).map((at, index) => at - (clock.arrivals[index + 5] ?? at));
}

async function toolSteps(product: Product, clock: Clock, text: string): Promise<Spread> {
  clock.clear();
  const id = await createSession(product, { text });
  // Asking the engine all the time whether it is done would be part of what is measured.
  while (clock.arrivals.length <= STEPS) await new Promise((resolve) => setTimeout(resolve, 200));
  await untilRests(product, id);
  return spread(gaps(clock));
}
