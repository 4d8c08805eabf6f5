/** The API over a real orchestrator and harness, with a scripted model and a recording sandbox: what an SDK program meets. */
import type Anthropic from "@anthropic-ai/sdk";
import type { AgentCreateParams } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type { BetaManagedAgentsStreamSessionEvents } from "@anthropic-ai/sdk/resources/beta/sessions/events";
import type { SessionCreateParams } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import type { Script } from "../../../e2e/model_server/script.ts";
import type { ContractEvent, ContractEventType, EventOf } from "../../contract/events.ts";
import { type Rig as Orchestration, startRig as startOrchestration } from "../../orchestration/testing/rig.ts";
import { startRig } from "./rig.ts";

export interface Engine extends AsyncDisposable {
  client: Anthropic;
  /** What runs behind the API: model server, sandbox, ledger. */
  inside: Orchestration;
  url: string;
  token: string;
  /** A session of a new agent (default: the agent toolset, all allowed) in a new environment. */
  session(agent?: Partial<AgentCreateParams>, more?: Partial<SessionCreateParams>): Promise<string>;
  send(id: string, ...events: Parameters<Anthropic["beta"]["sessions"]["events"]["send"]>[1]["events"]): Promise<void>;
  /** Resolves when nothing is left to do in the session. */
  settled(id: string): Promise<void>;
  /** All events of the session, as the SDK lists them. */
  events(id: string): Promise<ContractEvent[]>;
  /** The same, of one type. */
  of<T extends ContractEventType>(id: string, type: T): Promise<EventOf<T>[]>;
  /** Opens the session's stream and collects what comes. */
  follow(id: string): Promise<Followed>;
}

export interface Followed {
  seen: BetaManagedAgentsStreamSessionEvents[];
  /** Resolves when the stream has ended. */
  ended: Promise<void>;
  stop(): void;
}

export async function startEngine(
  script: Script,
  limits: Parameters<typeof startOrchestration>[1] = {},
  options: Parameters<typeof startOrchestration>[2] = {},
): Promise<Engine> {
  const inside = await startOrchestration(script, limits, options);
  const { ledger, orchestrator } = inside;
  const { catalog, blobs, live } = inside.ports;
  const api = await startRig({ ledger, catalog, blobs, live, orchestrator });
  const { client } = api;
  const events = async (id: string): Promise<ContractEvent[]> => {
    const all: ContractEvent[] = [];
    for await (const event of client.beta.sessions.events.list(id, { limit: 1000 })) all.push(event);
    return all;
  };
  return {
    client,
    inside,
    url: api.url,
    token: api.token,
    async session(agent = {}, more = {}) {
      const tools = [{ type: "agent_toolset_20260401" as const }];
      const made = await client.beta.agents.create({ name: "Coder", model: "claude-sonnet-5-5", tools, ...agent });
      const environment = await client.beta.environments.create({ name: `env ${Math.random()}` });
      return (await client.beta.sessions.create({ agent: made.id, environment_id: environment.id, ...more })).id;
    },
    async send(id, ...sent) {
      await client.beta.sessions.events.send(id, { events: sent });
    },
    settled: (id) => orchestrator.settled(id),
    events,
    of: async <T extends ContractEventType>(id: string, type: T) =>
      (await events(id)).filter((event): event is EventOf<T> => event.type === type),
    async follow(id) {
      const stream = await client.beta.sessions.events.stream(id);
      const seen: BetaManagedAgentsStreamSessionEvents[] = [];
      const ended = (async () => {
        for await (const event of stream) seen.push(event);
      })().catch(() => undefined);
      return { seen, ended, stop: () => stream.controller.abort() };
    },
    async [Symbol.asyncDispose]() {
      await inside.close();
      await api[Symbol.asyncDispose]();
    },
  };
}

/** A `user.message` with one text. */
export const text = (said: string) => ({
  type: "user.message" as const,
  content: [{ type: "text" as const, text: said }],
});
