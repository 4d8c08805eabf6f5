/**
 * What the broker's hop costs: the time to the first byte and to the end of a streamed answer through the broker process,
 * beside the same requests sent straight to the same local server, taken in turns.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { fileURLToPath } from "node:url";
import { say } from "../e2e/model_server/script.ts";
import { type ModelServer, startModelServer } from "../e2e/model_server/server.ts";
import { newId } from "../main/contract/ids.ts";
import type { BrokerBoot, FromBroker } from "../main/contract/process.ts";
import { ms, over, type Spread, spread, table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const ROUNDS = 200;
const WARM_UP = 30;
/** A conversation of this size is common after an hour of work. */
const BODY_BYTES = 200_000;
const REPLY_CHARS = 2_000;

interface Target {
  url: URL;
  headers: Record<string, string>;
  agent: Agent;
}

interface Timing {
  first: number;
  end: number;
}

/** Measures the hop. Needs no network beyond loopback. */
export async function run(): Promise<BenchResult> {
  const server = await startModelServer({ script: () => say("x".repeat(REPLY_CHARS)) });
  const { broker, target: through } = await startBrokerProcess(server);
  const direct = targetOf(`${server.url}/v1/messages`, server.apiKey);
  try {
    const body = Buffer.from(
      JSON.stringify({
        model: "claude-sonnet-5-5",
        max_tokens: 1000,
        stream: true,
        messages: [{ role: "user", content: "word ".repeat(BODY_BYTES / 5) }],
      }),
    );
    const timings: { direct: Timing[]; broker: Timing[] } = { direct: [], broker: [] };
    for (let round = -WARM_UP; round < ROUNDS; round++) {
      // In turns, so that whatever else the machine does falls on both alike.
      const straight = await exchange(direct, body);
      const hopped = await exchange(through, body);
      if (round < 0) continue;
      timings.direct.push(straight);
      timings.broker.push(hopped);
    }
    return report(
      { direct: spreadOf(timings.direct, "first"), broker: spreadOf(timings.broker, "first") },
      { direct: spreadOf(timings.direct, "end"), broker: spreadOf(timings.broker, "end") },
    );
  } finally {
    direct.agent.destroy();
    through.agent.destroy();
    broker.kill();
    await server.close();
  }
}

interface Compared {
  direct: Spread;
  broker: Spread;
}

function report(first: Compared, end: Compared): BenchResult {
  const hop = { first_byte: over(first.broker, first.direct), end: over(end.broker, end.direct) };
  const row = (name: string, value: { p50: number; p95: number }, target = ""): string[] => [
    name,
    ms(value.p50),
    ms(value.p95),
    target,
  ];
  return {
    table: table([
      ["", "p50", "p95", "target p50"],
      row("first byte, straight to the endpoint", first.direct),
      row("first byte, through the broker", first.broker),
      row("  overhead", hop.first_byte, "2 ms"),
      row("end of the answer, straight to the endpoint", end.direct),
      row("end of the answer, through the broker", end.broker),
      row("  overhead", hop.end),
    ]),
    json: { body_bytes: BODY_BYTES, overhead: hop, first, end },
  };
}

const spreadOf = (timings: readonly Timing[], key: keyof Timing): Spread =>
  spread(timings.map((timing) => timing[key]));

async function startBrokerProcess(server: ModelServer): Promise<{ broker: ChildProcess; target: Target }> {
  const broker = fork(fileURLToPath(new URL("../main/vault/serve.ts", import.meta.url)), [], {
    execArgv: [],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const launch_secret = randomBytes(32).toString("hex");
  const boot: BrokerBoot = {
    type: "boot",
    launch_secret,
    data_dir: "",
    model: { base_url: server.url, api_key: server.apiKey },
  };
  broker.send(boot);
  const [ready] = (await once(broker, "message")) as [FromBroker];
  if (ready.type !== "ready") throw new Error(ready.type === "failed" ? ready.message : "The broker did not start.");
  const granted = await fetch(`${ready.url}/control/capabilities`, {
    method: "POST",
    headers: { authorization: `Bearer ${launch_secret}` },
    body: JSON.stringify({ session_id: newId("session") }),
  });
  const { token } = (await granted.json()) as { token: string };
  return { broker, target: targetOf(`${ready.url}/model/v1/messages`, token) };
}

function targetOf(url: string, key: string): Target {
  return {
    url: new URL(url),
    headers: { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json" },
    agent: new Agent({ keepAlive: true }),
  };
}

/** One streamed answer: milliseconds until its first byte and until its end. */
function exchange(target: Target, body: Buffer): Promise<Timing> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const outgoing = request(target.url, {
      method: "POST",
      agent: target.agent,
      headers: { ...target.headers, "content-length": body.length },
    });
    outgoing.on("error", reject);
    outgoing.on("response", (response) => {
      let first = 0;
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.on("data", () => {
        if (first === 0) first = performance.now() - started;
      });
      response.on("error", reject);
      response.on("end", () => resolve({ first, end: performance.now() - started }));
    });
    outgoing.end(body);
  });
}
