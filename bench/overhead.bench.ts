/**
 * What the harness costs: the time from a client's message to the model request, and from the end of one answer to the
 * next request, each beside a bare SDK loop that talks to the same local server in the same run.
 */
import Anthropic from "@anthropic-ai/sdk";
import type { Reply, ScriptRequest } from "../e2e/model_server/script.ts";
import { startModelServer } from "../e2e/model_server/server.ts";
import { type Product, removeDir, serve } from "../e2e/product/serve.ts";
import { createSession, untilRests } from "../e2e/product/sessions.ts";
import { ms, over, spread, table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const MESSAGES = 60;
const STEPS = 120;
const TOOL = { name: "read", input: { file_path: "small.txt" } };

/** Times at which requests arrived, as the model server sees them. */
class Clock {
  readonly arrivals: number[] = [];

  /** Wraps a script so that each request's arrival is noted. */
  watch(script: (request: ScriptRequest) => Reply): (request: ScriptRequest) => Reply {
    return (request) => {
      this.arrivals.push(performance.now());
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
    const bare = new Anthropic({ baseURL: model.url, apiKey: model.apiKey, maxRetries: 0 });
    const first = await firstRequests(product, bare, clock);
    const steps = await toolSteps(product, bare, clock);
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

async function firstRequests(product: Product, bare: Anthropic, clock: Clock) {
  const id = await createSession(product, { text: "warm up" });
  await untilRests(product, id);
  const ours: number[] = [];
  const direct: number[] = [];
  const messages: Anthropic.MessageParam[] = [];
  for (let i = 0; i < MESSAGES; i++) {
    clock.clear();
    let start = performance.now();
    await product.client.beta.sessions.events.send(id, {
      events: [{ type: "user.message", content: [{ type: "text", text: `message ${i}` }] }],
    });
    await untilRests(product, id);
    ours.push((clock.arrivals[0] ?? Number.NaN) - start);

    clock.clear();
    messages.push({ role: "user", content: [{ type: "text", text: `message ${i}` }] });
    start = performance.now();
    const answered = await bare.messages
      .stream({ model: "claude-sonnet-5-5", max_tokens: 1000, messages })
      .finalMessage();
    messages.push({ role: "assistant", content: answered.content as Anthropic.ContentBlockParam[] });
    direct.push((clock.arrivals[0] ?? Number.NaN) - start);
  }
  return { ours: spread(ours.slice(5)), bare: spread(direct.slice(5)) };
}

/** Gaps between consecutive arrivals: each holds one streamed answer and what comes between it and the next request. */
function gaps(clock: Clock): number[] {
  return clock.arrivals.slice(6).map((at, index) => at - (clock.arrivals[index + 5] ?? at));
}

async function toolSteps(product: Product, bare: Anthropic, clock: Clock) {
  const session = async (text: string): Promise<number[]> => {
    clock.clear();
    const id = await createSession(product, { text });
    // Asking the engine all the time whether it is done would be part of what is measured.
    while (clock.arrivals.length <= STEPS) await new Promise((resolve) => setTimeout(resolve, 200));
    await untilRests(product, id);
    return gaps(clock);
  };
  const ours = await session("steps");
  const refused = await session("steps refused");
  clock.clear();
  const messages: Anthropic.MessageParam[] = [{ role: "user", content: "steps" }];
  const tools: Anthropic.Tool[] = [{ name: "read", input_schema: { type: "object" } }];
  for (;;) {
    const reply = await bare.messages
      .stream({ model: "claude-sonnet-5-5", max_tokens: 1000, messages, tools })
      .finalMessage();
    messages.push({ role: "assistant", content: reply.content as Anthropic.ContentBlockParam[] });
    const use = reply.content.find((block) => block.type === "tool_use");
    if (use === undefined) break;
    messages.push({ role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "text" }] });
  }
  return { ours: spread(ours), refused: spread(refused), bare: spread(gaps(clock)) };
}
