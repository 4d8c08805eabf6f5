/** A whole engine's inside for tests: memory ledger, scripted strict model server, recording sandbox, real harness. */

import { Readable } from "node:stream";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import type { Script } from "../../../e2e/model_server/script.ts";
import { type ModelServer, type ModelServerOptions, startModelServer } from "../../../e2e/model_server/server.ts";
import { LIST_PRICES, priceOf } from "../../contract/cost/prices.ts";
import type { EventDraft, SessionSnapshot, StoredEvent } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import { describeFailure } from "../../harness/broker_model.ts";
import { HandPool } from "../../harness/hands.ts";
import { ModelError, type ModelPort } from "../../harness/model.ts";
import { readEvents } from "../../harness/model_stream.ts";
import type { HarnessPorts } from "../../harness/ports.ts";
import { EndpointWebTools } from "../../harness/web/executor.ts";
import { onlyProvider } from "../../sandbox/choice.ts";
import type { SandboxMemory } from "../../sandbox/memory/port.ts";
import { memoryBlobStore } from "../../session/blobs.ts";
import type { Ledger } from "../../session/ledger.ts";
import { LiveDeltas } from "../../session/live.ts";
import { MemoryCatalog } from "../../session/memory_catalog.ts";
import { MemoryLedger } from "../../session/memory_ledger.ts";
import type { McpTools } from "../../tools/mcp/port.ts";
import { ScriptedMcp } from "../../tools/testing/scripted_mcp.ts";
import { LeaseOrchestrator } from "../orchestrator.ts";
import { FakeSandbox } from "./fake_sandbox.ts";

/** Talks to the model server without a broker between. */
class DirectModel implements ModelPort {
  dropped = 0;
  /** Model id that answers carry; null leaves the server's. */
  answersAs: string | null = null;
  readonly #server: () => ModelServer;

  constructor(server: () => ModelServer) {
    this.#server = server;
  }

  async *stream(
    _session: string,
    body: string,
    signal: AbortSignal,
    betas: readonly string[] = [],
  ): AsyncGenerator<RawMessageStreamEvent> {
    const { url, apiKey } = this.#server();
    const headers = {
      "x-api-key": apiKey,
      "anthropic-version": "2023-06-01",
      "content-type": "application/json",
      ...(betas.length === 0 ? {} : { "anthropic-beta": betas.join(",") }),
    };
    try {
      const response = await fetch(`${url}/v1/messages`, { method: "POST", headers, body, signal });
      if (response.status !== 200) throw describeFailure(response.status, await response.text(), null);
      for await (const event of readEvents(response.body ?? Readable.from([]))) {
        if (event.type === "message_start" && this.answersAs !== null) event.message.model = this.answersAs;
        yield event;
      }
    } catch (error) {
      if (signal.aborted || error instanceof ModelError) throw error;
      throw new ModelError("failed", String(error));
    }
    signal.throwIfAborted();
  }

  dropConnections(): void {
    this.dropped += 1;
  }
}

export interface Rig {
  ledger: Ledger;
  orchestrator: LeaseOrchestrator;
  ports: HarnessPorts;
  sandbox: FakeSandbox;
  /** What sessions get when the image of the other one cannot be had. */
  instead: FakeSandbox;
  server: ModelServer;
  model: DirectModel;
  errors: unknown[];
  /** Creates a session and, when `text` is given, sends it and wakes the session. */
  create(
    text?: string,
    agent?: Partial<SessionSnapshot["agent"]>,
    resources?: SessionSnapshot["resources"],
  ): Promise<string>;
  send(sessionId: string, ...events: EventDraft[]): Promise<StoredEvent[]>;
  events(sessionId: string): Promise<StoredEvent[]>;
  /** Types of all events, in ledger order. */
  types(sessionId: string): Promise<string[]>;
  /** Another orchestrator on the same ledger, as after a restart. */
  restart(): LeaseOrchestrator;
  close(): Promise<void>;
}

export interface RigOptions extends Partial<ModelServerOptions> {
  /** See HandPool. */
  memory?: (ledger: Ledger) => SandboxMemory;
  mcp?: McpTools;
  /** Stands between the harness and the model server, as the broker does. */
  through?: (server: ModelServer) => Promise<ModelPort>;
}

export async function startRig(
  script: Script,
  limits: Partial<HarnessPorts["limits"]> = {},
  { memory, mcp = new ScriptedMcp(), through, ...endpoint }: RigOptions = {},
): Promise<Rig> {
  const server = await startModelServer({ script, cacheMinTokens: 0, ...endpoint });
  let alive = "";
  const ledger = new MemoryLedger({ isHolderAlive: (row) => row.id === alive });
  const catalog = new MemoryCatalog();
  const blobs = memoryBlobStore();
  const sandbox = new FakeSandbox();
  const live = new LiveDeltas();
  const instead = new FakeSandbox();
  const providers = { ...onlyProvider(sandbox), instead: () => instead };
  const model = new DirectModel(() => server);
  const errors: unknown[] = [];
  const ports: HarnessPorts = {
    ledger,
    catalog,
    blobs,
    live,
    model: (await through?.(server)) ?? model,
    hands: new HandPool(providers, catalog, blobs, live, memory?.(ledger)),
    mcp: mcp,
    web: new EndpointWebTools({ model, ledger, retry_ms: 1 }),
    limits: { compact_at_tokens: 150_000, max_rounds: 100, max_failures: 3, ...limits },
    priceOf: (model) => priceOf(LIST_PRICES, model),
    now: Date.now,
    random: () => 0,
  };
  const orchestrators: LeaseOrchestrator[] = [];
  const start = (): LeaseOrchestrator => {
    alive = newId("lease_holder");
    const holder = { id: alive, boot_id: "boot", pid: 1, pid_started_at: 1 };
    const orchestrator = new LeaseOrchestrator({
      ports: { ...ports, hands: new HandPool(providers, catalog, blobs, live, memory?.(ledger)) },
      holder,
      max_running: 2,
      lease_ms: 30_000,
      onError: (_session, error) => errors.push(error),
    });
    orchestrators.push(orchestrator);
    return orchestrator;
  };
  const orchestrator = start();
  const events = async (sessionId: string): Promise<StoredEvent[]> => {
    const all: StoredEvent[] = [];
    for await (const stored of ledger.getEvents(sessionId)) all.push(stored);
    return all;
  };
  return {
    ledger,
    orchestrator,
    ports,
    sandbox,
    instead,
    server,
    model,
    errors,
    create: async (text, agent, resources = []) => {
      const id = newId("session");
      const session = { ...snapshot(agent), resources };
      await ledger.createSession(id, [{ type: "longhaul.session_created", session }]);
      if (text !== undefined) {
        await ledger.emitEvent(id, message(text));
        await orchestrator.wake(id, "client_event");
      }
      return id;
    },
    send: (id, ...drafts) => ledger.emitEvents(id, drafts),
    events,
    types: async (id) => (await events(id)).map((stored) => stored.event.type),
    restart: start,
    close: async () => {
      await Promise.all(orchestrators.map((each) => each.drain()));
      await server.close();
    },
  };
}

/** The events of one type, in ledger order. */
export function of<T extends StoredEvent["event"]["type"]>(events: StoredEvent[], type: T) {
  return events.flatMap(({ event }) =>
    event.type === type ? [event as Extract<StoredEvent["event"], { type: T }>] : [],
  );
}

/** A `user.message` draft. */
export function message(text: string): EventDraft {
  return { type: "user.message", content: [{ type: "text", text }] } as EventDraft;
}

export function snapshot(agent: Partial<SessionSnapshot["agent"]> = {}): SessionSnapshot {
  return {
    agent: {
      id: newId("agent"),
      type: "agent",
      name: "Coder",
      description: null,
      execution_identity: { type: "service_account" },
      mcp_servers: [],
      model: { id: "claude-sonnet-5-5" },
      multiagent: null,
      skills: [],
      system: "You write code.",
      tools: [toolset("always_allow")],
      version: 1,
      ...agent,
    },
    environment: {
      id: newId("environment"),
      name: "test",
      config: {
        type: "cloud",
        networking: { type: "limited", allowed_hosts: [], allow_mcp_servers: true, allow_package_managers: false },
        packages: { apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
      },
    },
    primary_thread_id: newId("thread"),
    title: null,
    metadata: {},
    resources: [],
    vault_ids: [],
    budget: null,
    deployment_id: null,
  };
}

/** The agent toolset with one policy for all tools. */
export function toolset(policy: "always_allow" | "always_ask"): SessionSnapshot["agent"]["tools"][number] {
  return {
    type: "agent_toolset_20260401",
    default_config: { enabled: true, permission_policy: { type: policy } },
    configs: [],
  };
}
