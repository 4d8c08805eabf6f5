/** A served API over memory adapters, and the official SDK pointed at it. */
import Anthropic from "@anthropic-ai/sdk";
import { LIST_PRICES } from "../../contract/cost/prices.ts";
import type { EventDraft, StoredEvent } from "../../contract/events.ts";
import { Scheduler } from "../../orchestration/schedules/scheduler.ts";
import { memoryBlobStore } from "../../session/blobs.ts";
import { LiveDeltas } from "../../session/live.ts";
import { MemoryCatalog } from "../../session/memory_catalog.ts";
import { MemoryLedger } from "../../session/memory_ledger.ts";
import { MemoryRecords } from "../../session/records/memory_records.ts";
import { RecordCredentials } from "../../workers/credentials.ts";
import { WorkSupply } from "../../workers/supply.ts";
import { createApi } from "../app.ts";
import { type ListenOptions, listen } from "../listen.ts";
import type { ApiPorts, FailureReport } from "../ports.ts";
import { launchDeployment } from "../v1/deployments/launch.ts";
import { contractClient } from "./contract/client.ts";
import { FakeOrchestrator } from "./fake_orchestrator.ts";
import { memorySettings } from "./memory_settings.ts";
import { memoryVault } from "./memory_vault.ts";

const TOKEN = "0123456789abcdef".repeat(4);

export interface Rig extends AsyncDisposable {
  url: string;
  host: string;
  token: string;
  client: Anthropic;
  ledger: MemoryLedger;
  catalog: MemoryCatalog;
  live: LiveDeltas;
  orchestrator: FakeOrchestrator;
  /** Not started: tests look at the clock with `check`. */
  schedules: Scheduler;
  ports: ApiPorts;
  /** Failures that were this program's fault; a test that expects none asserts that it is empty. */
  failures: FailureReport[];
  /** Names of the port calls that clean up after sessions. */
  cleanUps: string[];
  /** fetch with the key and the path; bodies that are not strings are sent as JSON. */
  request(
    path: string,
    init?: { method?: string; body?: unknown; headers?: Record<string, string> },
  ): Promise<Response>;
  emit(sessionId: string, ...events: EventDraft[]): Promise<StoredEvent[]>;
  /** An agent, an environment, and a session of both. */
  session(body?: Record<string, unknown>): Promise<string>;
}

export async function startRig(overrides: Partial<ApiPorts> = {}, serve: Partial<ListenOptions> = {}): Promise<Rig> {
  const blobs = memoryBlobStore();
  const ledger = new MemoryLedger({ blobs });
  const catalog = new MemoryCatalog();
  const live = new LiveDeltas();
  const orchestrator = new FakeOrchestrator();
  const failures: FailureReport[] = [];
  const cleanUps: string[] = [];
  const codes = new Set(["one-time"]);
  let host = "";
  const now = overrides.now ?? Date.now;
  const records = overrides.records ?? new MemoryRecords();
  const schedules = new Scheduler({
    records,
    ledger,
    now,
    launch: (deployment, sessionId) => launchDeployment({ ...ports, now }, deployment, sessionId),
    isAgentArchived: async (id) => ((await catalog.getAgent(id))?.archived_at ?? null) !== null,
    onError: (path, error) => failures.push({ request_id: "", method: "SCHEDULE", path, error }),
  });
  const supply = new WorkSupply({
    records,
    ledger,
    now,
    onError: (_, error) => void failures.push({ request_id: "", method: "", path: "work queue", error }),
  });
  await supply.start();
  const ports: ApiPorts = {
    ledger,
    catalog,
    records,
    work: supply.queue,
    credentials: new RecordCredentials(records, now),
    blobs,
    live,
    orchestrator,
    schedules,
    vault: memoryVault(),
    settings: memorySettings(),
    token: TOKEN,
    allowedHosts: () => [host, host.replace("127.0.0.1", "localhost")],
    allowedOrigins: () => ["app://longhaul"],
    changes: async () => [],
    bringBack: async () => [],
    outputs: async () => [],
    readOutput: async () => null,
    storeOutputs: async () => undefined,
    requestContext: async (_, span) =>
      span === "sevt_known"
        ? { model_request_start_id: span, request: { model: "m" }, bytes: 13, sha256: "00", matches: true }
        : null,
    prices: () => LIST_PRICES,
    health: async () => ({
      version: "0.0.0",
      pid: 1,
      started_at: "2026-01-01T00:00:00.000Z",
      data_dir: "/data",
      model: { state: "ok", summary: "", advice: null, source: "demo", endpoint: "" },
      sandbox: { state: "ok", summary: "", advice: null, provider: "embedded" },
      keychain: { state: "ok", summary: "", advice: null },
      ledger: { state: "ok", summary: "", advice: null, sqlite: "", sessions: 0 },
      auto_resume: true,
    }),
    destroySandbox: async () => void cleanUps.push("destroySandbox"),
    revokeCapability: async () => void cleanUps.push("revokeCapability"),
    redeemSignInCode: (code) => codes.delete(code),
    rendererDir: null,
    reportFailure: (report) => failures.push(report),
    ...overrides,
  };
  const server = await listen(createApi(ports), { host: "127.0.0.1", port: 0, ...serve });
  host = new URL(server.url).host;
  const client = contractClient(server.url, TOKEN);
  const rig: Rig = {
    url: server.url,
    host,
    token: TOKEN,
    client,
    ledger,
    catalog,
    live,
    orchestrator,
    schedules,
    ports,
    failures,
    cleanUps,
    request: (path, { method = "GET", body, headers = {} } = {}) =>
      fetch(server.url + path, {
        method,
        headers: { authorization: `Bearer ${TOKEN}`, ...headers },
        ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      }),
    emit: (sessionId, ...events) => ledger.emitEvents(sessionId, events),
    async session(body = {}) {
      const agent = await client.beta.agents.create({ name: "worker", model: "claude-opus-5-5" });
      const environment = await client.beta.environments.create({ name: `env ${Math.random()}` });
      const params = { agent: agent.id, environment_id: environment.id, ...body };
      return (await client.beta.sessions.create(params)).id;
    },
    [Symbol.asyncDispose]: async () => {
      await schedules.stop();
      await server.close();
    },
  };
  return rig;
}

/** The error of a call that must fail, as the SDK shows it. */
export async function refusalOf(call: PromiseLike<unknown>): Promise<InstanceType<typeof Anthropic.APIError>> {
  try {
    await call;
  } catch (error) {
    if (error instanceof Anthropic.APIError) return error;
    throw error;
  }
  throw new Error("the call was not refused");
}
