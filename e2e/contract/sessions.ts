/** Sessions for the contract's flows: made, spoken to and waited for through the SDK alone. */
import type Anthropic from "@anthropic-ai/sdk";
import type {
  BetaManagedAgentsAgent,
  BetaManagedAgentsCustomToolParams,
} from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type {
  BetaManagedAgentsEventParams,
  BetaManagedAgentsSessionEvent,
  BetaManagedAgentsStreamSessionEvents,
} from "@anthropic-ai/sdk/resources/beta/sessions/events";
import type { BetaManagedAgentsSession, SessionCreateParams } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { until } from "../product/serve.ts";
import { all, unique } from "./stand.ts";

export const MODEL = "claude-sonnet-5-5";

export const LOOKUP: BetaManagedAgentsCustomToolParams = {
  type: "custom",
  name: "lookup",
  description: "Looks up the weather of a city.",
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};

/** An agent with a sandbox's tools under this policy, and a tool that the client answers. */
export function createAgent(
  client: Anthropic,
  policy: "always_allow" | "always_ask" = "always_allow",
): Promise<BetaManagedAgentsAgent> {
  return client.beta.agents.create({
    name: unique("agent"),
    model: MODEL,
    tools: [
      { type: "agent_toolset_20260401", default_config: { enabled: true, permission_policy: { type: policy } } },
      LOOKUP,
    ],
  });
}

export async function createSession(
  client: Anthropic,
  wish: Partial<SessionCreateParams> & { policy?: "always_allow" | "always_ask" } = {},
): Promise<BetaManagedAgentsSession> {
  const { policy, ...params } = wish;
  const agent = params.agent ?? (await createAgent(client, policy)).id;
  const environment_id = params.environment_id ?? (await client.beta.environments.create({ name: unique("env") })).id;
  return client.beta.sessions.create({ ...params, agent, environment_id });
}

export function message(text: string): Extract<BetaManagedAgentsEventParams, { type: "user.message" }> {
  return { type: "user.message", content: [{ type: "text", text }] };
}

export function send(client: Anthropic, sessionId: string, ...events: BetaManagedAgentsEventParams[]) {
  return client.beta.sessions.events.send(sessionId, { events });
}

export function eventsOf(client: Anthropic, sessionId: string): Promise<BetaManagedAgentsSessionEvent[]> {
  return all(client.beta.sessions.events.list(sessionId, { limit: 100 }));
}

/** Waits for the `nth` event of this type in the session's history. */
export function untilEvent<T extends BetaManagedAgentsSessionEvent["type"]>(
  client: Anthropic,
  sessionId: string,
  type: T,
  nth = 1,
): Promise<Extract<BetaManagedAgentsSessionEvent, { type: T }>> {
  return until(`${type} number ${nth} in ${sessionId}`, async () => {
    const found = (await eventsOf(client, sessionId)).filter((event) => event.type === type);
    return found[nth - 1] as Extract<BetaManagedAgentsSessionEvent, { type: T }> | undefined;
  });
}

/** Waits until the session is idle after its `nth` turn. */
export async function untilIdle(client: Anthropic, sessionId: string, nth = 1): Promise<void> {
  await untilEvent(client, sessionId, "session.status_idle", nth);
  await until(`${sessionId} to be idle`, async () => {
    return (await client.beta.sessions.retrieve(sessionId)).status === "idle";
  });
}

/** Reads a stream until an event of this type has come; the stream is closed then. */
export async function readUntil(
  stream: AsyncIterable<BetaManagedAgentsStreamSessionEvents>,
  last: BetaManagedAgentsStreamSessionEvents["type"],
): Promise<BetaManagedAgentsStreamSessionEvents[]> {
  const events: BetaManagedAgentsStreamSessionEvents[] = [];
  for await (const event of stream) {
    events.push(event);
    if (event.type === last) break;
  }
  return events;
}
