/** From the start of the engine process to the first resumed model request, for sessions of 1 k, 10 k and 100 k events. */
import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { startModelServer } from "../e2e/model_server/server.ts";
import { removeDir, tempDir, until } from "../e2e/product/serve.ts";
import type { EventDraft } from "../main/contract/events.ts";
import { newId } from "../main/contract/ids.ts";
import type { EngineBoot, FromEngine } from "../main/contract/process.ts";
import { snapshot } from "../main/orchestration/testing/rig.ts";
import { fileBlobStore } from "../main/session/blobs.ts";
import { openSqliteLedger } from "../main/session/sqlite/open.ts";
import { startBroker } from "../main/vault/broker.ts";
import { spread, table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const SIZES = [1_000, 10_000, 100_000];
const RUNS = 5;
const ROUNDS_PER_TURN = 100;
const TARGET_MS: Record<number, number> = { 1000: 500, 100000: 2_000 };
const ENGINE = new URL("../out/main/serve.js", import.meta.url).pathname;

export async function run(): Promise<BenchResult> {
  const rows: string[][] = [["events", "p50", "worst", "target"]];
  const json: Record<string, object> = {};
  for (const size of SIZES) {
    const times: number[] = [];
    for (let i = 0; i < RUNS; i++) times.push(await wakeOnce(size));
    const { p50 } = spread(times);
    const worst = Math.max(...times);
    const target = TARGET_MS[size];
    rows.push([
      String(size),
      `${p50.toFixed(0)} ms`,
      `${worst.toFixed(0)} ms`,
      target === undefined ? "" : `${target} ms`,
    ]);
    json[`events_${size}`] = { p50, worst };
  }
  return { table: table(rows), json };
}

/** Writes a session that was cut off, starts the engine on it and waits for its model request. */
async function wakeOnce(size: number): Promise<number> {
  const data_dir = tempDir();
  await record(data_dir, size);
  let arrived = 0;
  const model = await startModelServer({
    script: () => {
      arrived ||= performance.now();
      return { content: [{ type: "text", text: "resumed" }] };
    },
    models: { "claude-sonnet-5-5": { context: 100_000_000, max_output: 64_000, prefill: false } },
  });
  const launch_secret = randomBytes(32).toString("hex");
  const broker = await startBroker({
    type: "boot",
    launch_secret,
    data_dir,
    model: { base_url: model.url, api_key: model.apiKey },
  });
  const started = performance.now();
  const engine = fork(ENGINE, { execArgv: [], env: { ...process.env, LONGHAUL_COMPACT_AT: "100000000" } });
  const boot: EngineBoot = {
    type: "boot",
    data_dir,
    host: "127.0.0.1",
    port: 0,
    broker: { url: broker.url, launch_secret },
    auto_resume: true,
    sandbox: null,
    renderer_dir: null,
  };
  engine.send(boot);
  engine.on("message", (message: FromEngine) => {
    if (message.type === "failed") throw new Error(message.message);
  });
  await until("the resumed request", async () => arrived > 0, 60_000);
  const gone = new Promise((resolve) => engine.once("exit", resolve));
  engine.send({ type: "drain" });
  await gone;
  await broker.close();
  await model.close();
  removeDir(data_dir);
  return arrived - started;
}

/** A log of tool rounds as a real session writes them, ending in a turn that still awaits the model. */
async function record(dataDir: string, size: number): Promise<void> {
  const store = openSqliteLedger({ dataDir, blobs: fileBlobStore(`${dataDir}/blobs`) });
  const id = newId("session");
  await store.ledger.createSession(id, [{ type: "longhaul.session_created", session: snapshot() }]);
  let written = 1;
  const batch: EventDraft[] = [{ type: "session.status_running" }];
  for (let n = 0; written + batch.length < size; n++) {
    // A person speaks now and then: a turn of thousands of tool rounds would be stopped.
    batch.push(...(n % ROUNDS_PER_TURN === 0 ? message(n) : round(n)));
    if (batch.length < 3_000) continue;
    written += (await store.ledger.emitEvents(id, batch.splice(0))).length;
  }
  await store.ledger.emitEvents(id, batch);
  await store.ledger.close();
}

function message(n: number): EventDraft[] {
  const id = newId("event");
  const content = [{ type: "text" as const, text: `Part ${n} of a long task.` }];
  return [{ type: "user.message", id, content } as EventDraft, { type: "longhaul.inputs_consumed", event_ids: [id] }];
}

function round(n: number): EventDraft[] {
  const span = newId("event");
  const use = newId("event");
  const usage = {
    input_tokens: 10,
    output_tokens: 10,
    cache_read_input_tokens: 1_000,
    cache_creation_input_tokens: 50,
  };
  const input = { command: `grep -n "needle ${n}" src/file_${n}.ts` };
  return [
    { type: "span.model_request_start", id: span },
    {
      type: "agent.tool_use",
      id: use,
      name: "bash",
      input,
      evaluated_permission: "allow",
      evaluation: { type: "always_allow" },
    },
    {
      type: "longhaul.model_response",
      model_request_start_id: span,
      message_id: `msg_${n}`,
      model: "claude-sonnet-5-5",
      content: [{ type: "tool_use", id: `toolu_${n}`, name: "bash", input, caller: { type: "direct" } }],
      stop_reason: "tool_use",
      stop_details: null,
      usage,
      tool_events: { [`toolu_${n}`]: use },
      first_token_ms: 300,
      duration_ms: 900,
      demo: false,
    },
    {
      type: "span.model_request_end",
      model_request_start_id: span,
      is_error: false,
      model_usage: { ...usage, speed: null },
    },
    { type: "longhaul.tool_started", tool_use_id: use, attempt: 1 },
    {
      type: "agent.tool_result",
      tool_use_id: use,
      is_error: false,
      content: [{ type: "text", text: `src/file_${n}.ts:12: needle ${n}\n`.repeat(4) }],
    },
  ];
}
