/**
 * What starting a container costs the person: on one tape, the time from a message to the first token when the sandbox
 * is started by the first tool call (lazy) and when it is started before the first request (eager), and how long a
 * complete tool call waits for its command to start.
 */
import { Readable } from "node:stream";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import { call, type Reply, type ScriptRequest, say } from "../e2e/model_server/script.ts";
import { type ModelServer, startModelServer } from "../e2e/model_server/server.ts";
import { removeDir, tempDir } from "../e2e/product/serve.ts";
import { newId } from "../main/contract/ids.ts";
import { HandPool } from "../main/harness/hands.ts";
import type { ModelPort } from "../main/harness/model.ts";
import { readEvents } from "../main/harness/model_stream.ts";
import { EndpointWebTools } from "../main/harness/web/executor.ts";
import { LeaseOrchestrator } from "../main/orchestration/orchestrator.ts";
import { message, snapshot } from "../main/orchestration/testing/rig.ts";
import { onlyProvider } from "../main/sandbox/choice.ts";
import { type Install, newInstall } from "../main/sandbox/docker/testing/install.ts";
import type { SandboxProvider } from "../main/sandbox/port.ts";
import { memoryBlobStore } from "../main/session/blobs.ts";
import { LiveDeltas } from "../main/session/live.ts";
import { openSqliteLedger } from "../main/session/sqlite/open.ts";
import { ScriptedMcp } from "../main/tools/testing/scripted_mcp.ts";
import { ms, spread, table } from "./measure/stats.ts";
import type { BenchResult } from "./run.ts";

const SESSIONS = 20;
/** The arguments of the call stream for this long, as a model writes a command of a few lines. */
const ARGUMENTS_MS = 500;
const COMMAND = `${"# what the command is for, in words\n".repeat(12)}echo start=$EPOCHREALTIME`;

/** Milliseconds of the system's clock, with fractions: the container reads the same one. */
const now = (): number => performance.timeOrigin + performance.now();

function tape(request: ScriptRequest): Reply {
  if (request.turn > 0) return say("Done.");
  const chars = 24;
  const deltas = JSON.stringify({ command: COMMAND }).length / chars;
  const { content } = call({ name: "bash", input: { command: COMMAND } });
  return { content, delta_chars: chars, between_events_ms: ARGUMENTS_MS / deltas, ping_every: 0 };
}

/** Talks to the model server, notes when things arrive, and waits first for whatever `before` waits for. */
class TimedModel implements ModelPort {
  readonly #server: ModelServer;
  readonly #before: (sessionId: string) => Promise<void>;
  readonly firstToken = new Map<string, number>();
  readonly callComplete = new Map<string, number>();

  constructor(server: ModelServer, before: (sessionId: string) => Promise<void>) {
    this.#server = server;
    this.#before = before;
  }

  async *stream(session: string, body: string, signal: AbortSignal): AsyncGenerator<RawMessageStreamEvent> {
    if (!this.firstToken.has(session)) await this.#before(session);
    const { url, apiKey } = this.#server;
    const headers = { "x-api-key": apiKey, "anthropic-version": "2023-06-01", "content-type": "application/json" };
    const response = await fetch(`${url}/v1/messages`, { method: "POST", headers, body, signal });
    for await (const event of readEvents(response.body ?? Readable.from([]))) {
      if (event.type === "content_block_start" && !this.firstToken.has(session)) this.firstToken.set(session, now());
      if (event.type === "message_stop" && !this.callComplete.has(session)) this.callComplete.set(session, now());
      yield event;
    }
  }

  dropConnections(): void {
    return;
  }
}

interface Times {
  firstToken: number[];
  wait: number[];
}

async function measure(server: ModelServer, install: Install, eager: boolean): Promise<Times> {
  const dataDir = tempDir();
  const provider: SandboxProvider = install.open();
  const environment = snapshot().environment;
  const model = new TimedModel(server, async (session_id) => {
    if (!eager) return;
    const idle = { onStep: () => undefined, onProgress: () => undefined };
    const none = () => Promise.reject(new Error("no file is attached"));
    await provider.provision({ session_id, environment, resources: [], had_sandbox: false, readFile: none, ...idle });
  });
  const holder = { id: newId("lease_holder"), boot_id: "bench", pid: process.pid, pid_started_at: 0 };
  const blobs = memoryBlobStore();
  const store = openSqliteLedger({ dataDir, blobs, isHolderAlive: (row) => row.id === holder.id });
  const { ledger, catalog } = store;
  const live = new LiveDeltas();
  const orchestrator = new LeaseOrchestrator({
    ports: {
      ledger,
      catalog,
      blobs,
      live,
      model,
      hands: new HandPool(onlyProvider(provider), catalog, blobs, live),
      mcp: new ScriptedMcp(),
      web: new EndpointWebTools({ model, ledger }),
      limits: { compact_at_tokens: 150_000, max_rounds: 100, max_failures: 3 },
      priceOf: () => null,
      now: Date.now,
      random: Math.random,
    },
    holder,
    max_running: 1,
    lease_ms: 30_000,
    onError: (_session, error) => console.error(error),
  });
  const times: Times = { firstToken: [], wait: [] };
  for (let n = 0; n < SESSIONS; n++) {
    const id = newId("session");
    await ledger.createSession(id, [{ type: "longhaul.session_created", session: snapshot() }]);
    const sent = now();
    await ledger.emitEvent(id, message("Say when you start."));
    await orchestrator.wake(id, "client_event");
    await orchestrator.settled(id);
    let output = "";
    for await (const { event } of ledger.getEvents(id)) {
      if (event.type === "agent.tool_result") output = JSON.stringify(event.content);
    }
    const started = /start=(\d+[.,]\d+)/.exec(output)?.[1]?.replace(",", ".");
    if (started === undefined) throw new Error(`the command did not start: ${output}`);
    times.firstToken.push((model.firstToken.get(id) ?? Number.NaN) - sent);
    times.wait.push(Number(started) * 1000 - (model.callComplete.get(id) ?? Number.NaN));
    await provider.destroy(id);
  }
  await orchestrator.drain();
  await provider.close();
  await store.close();
  removeDir(dataDir);
  return times;
}

export async function run(): Promise<BenchResult> {
  const server = await startModelServer({ script: tape });
  const install = await newInstall();
  try {
    // The first container of an engine's life pays for caches that all later ones have.
    await measure(server, install, false);
    const lazy = await measure(server, install, false);
    const eager = await measure(server, install, true);
    const first = { lazy: spread(lazy.firstToken), eager: spread(eager.firstToken) };
    const wait = { lazy: spread(lazy.wait), eager: spread(eager.wait) };
    return {
      table: table([
        [`${SESSIONS} sessions, arguments stream for ${ARGUMENTS_MS} ms`, "p50", "p95", "target"],
        ["message to first token, lazy", ms(first.lazy.p50), ms(first.lazy.p95), ""],
        ["message to first token, eager", ms(first.eager.p50), ms(first.eager.p95), ""],
        ["complete call to command's start, lazy", ms(wait.lazy.p50), ms(wait.lazy.p95), "20 ms (p50)"],
        ["complete call to command's start, eager", ms(wait.eager.p50), ms(wait.eager.p95), ""],
      ]),
      json: { first_token: first, wait },
    };
  } finally {
    await install.remove();
    await server.close();
  }
}
