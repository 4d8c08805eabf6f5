/** Calls of the Managed Agents API, made with the official SDK. It is loaded when the first call needs it. */
import type Anthropic from "@anthropic-ai/sdk";
import type { AgentCreateParams, BetaManagedAgentsAgent } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type {
  BetaEnvironment,
  EnvironmentCreateParams,
} from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { EventSendParams } from "@anthropic-ai/sdk/resources/beta/sessions/events";
import type { BetaManagedAgentsSession, SessionCreateParams } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import type { BetaManagedAgentsVault } from "@anthropic-ai/sdk/resources/beta/vaults/vaults";
import { accessToken, setAccessToken } from "./access.ts";
import { problemOf } from "./problem.ts";

/** A repository of this disk as a resource: Longhaul's addition to the contract. */
interface LocalRepositoryParams {
  type: "local_repository";
  path: string;
  include_uncommitted: boolean;
}

type NewValue = { type: "static_bearer"; token: string } | { type: "environment_variable"; secret_value: string };

export type NewSession = Omit<SessionCreateParams, "resources"> & { resources?: LocalRepositoryParams[] };

let current: { token: string; client: Anthropic } | null = null;

async function client(): Promise<Anthropic> {
  const token = accessToken() ?? "";
  if (current?.token === token) return current.client;
  const { default: Sdk } = await import("@anthropic-ai/sdk");
  // No retries: events carry no idempotency key, so a repeated POST would send a message twice.
  const made = new Sdk({
    baseURL: location.origin,
    apiKey: token,
    authToken: null,
    dangerouslyAllowBrowser: true,
    maxRetries: 0,
  });
  current = { token, client: made };
  return made;
}

/** Runs a call and turns what it throws into a `Problem`. `writes`: an unanswered call may have taken effect. */
async function attempt<T>(writes: boolean, action: (sdk: Anthropic) => Promise<T>): Promise<T> {
  try {
    return await action(await client());
  } catch (error) {
    const problem = problemOf(error, writes);
    if (problem.kind === "signed_out") setAccessToken(null);
    throw problem;
  }
}

export function sendMessage(session: string, text: string): Promise<void> {
  return sendEvents(session, [{ type: "user.message", content: [{ type: "text", text }] }]);
}

export function interruptSession(session: string): Promise<void> {
  return sendEvents(session, [{ type: "user.interrupt" }]);
}

/** Allows or denies a call that waits; `reason` goes to the model with a denial. */
export function confirmCall(session: string, call: string, result: "allow" | "deny", reason: string): Promise<void> {
  const deny = result === "deny" && reason !== "" ? { deny_message: reason } : {};
  return sendEvents(session, [{ type: "user.tool_confirmation", tool_use_id: call, result, ...deny }]);
}

async function sendEvents(session: string, events: EventSendParams["events"]): Promise<void> {
  await attempt(true, (sdk) => sdk.beta.sessions.events.send(session, { events }));
}

export function createSession(params: NewSession): Promise<BetaManagedAgentsSession> {
  // The SDK's types know the hosted kinds of resources only; the engine takes ours as well.
  return attempt(true, (sdk) => sdk.beta.sessions.create(params as unknown as SessionCreateParams));
}

export async function archiveSession(session: string): Promise<void> {
  await attempt(true, (sdk) => sdk.beta.sessions.archive(session));
}

export async function deleteSession(session: string): Promise<void> {
  await attempt(true, (sdk) => sdk.beta.sessions.delete(session));
}

export async function renameSession(session: string, title: string): Promise<void> {
  await attempt(true, (sdk) => sdk.beta.sessions.update(session, { title }));
}

/** @param amount the new limit in whole cents; null removes it for good */
export async function setBudget(session: string, amount: string | null): Promise<void> {
  const budget = amount === null ? null : ({ type: "limit", max_list_cost: { amount, currency: "USD" } } as const);
  await attempt(true, (sdk) => sdk.beta.sessions.update(session, { budget }));
}

/** The newest agents that are not archived, at most 200. */
export function listAgents(): Promise<BetaManagedAgentsAgent[]> {
  return attempt(false, async (sdk) => {
    const agents: BetaManagedAgentsAgent[] = [];
    for await (const agent of sdk.beta.agents.list({ limit: 100 })) {
      if (agent.archived_at === null) agents.push(agent);
      if (agents.length >= 200) break;
    }
    return agents;
  });
}

/** The newest environments that are not archived, at most 200. */
export function listEnvironments(): Promise<BetaEnvironment[]> {
  return attempt(false, async (sdk) => {
    const environments: BetaEnvironment[] = [];
    for await (const environment of sdk.beta.environments.list({ limit: 100 })) {
      if (environment.archived_at === null) environments.push(environment);
      if (environments.length >= 200) break;
    }
    return environments;
  });
}

/** The newest vaults that are not archived, at most 200. */
export function listVaults(): Promise<BetaManagedAgentsVault[]> {
  return attempt(false, async (sdk) => {
    const vaults: BetaManagedAgentsVault[] = [];
    for await (const vault of sdk.beta.vaults.list({ limit: 100 })) {
      vaults.push(vault);
      if (vaults.length >= 200) break;
    }
    return vaults;
  });
}

/** True for the vault that connections go to when nobody names one. */
export function isDefaultVault({ metadata }: Pick<BetaManagedAgentsVault, "metadata">): boolean {
  return metadata["longhaul_default"] === "connections";
}

/** Puts a new value in the place of a credential's old one; running sessions use it from their next request on. */
export async function replaceValue(vault: string, credential: string, auth: NewValue): Promise<void> {
  await attempt(true, (sdk) => sdk.beta.vaults.credentials.update(credential, { vault_id: vault, auth }));
}

export function createAgent(params: AgentCreateParams): Promise<BetaManagedAgentsAgent> {
  return attempt(true, (sdk) => sdk.beta.agents.create(params));
}

export function createEnvironment(params: EnvironmentCreateParams): Promise<BetaEnvironment> {
  return attempt(true, (sdk) => sdk.beta.environments.create(params));
}
