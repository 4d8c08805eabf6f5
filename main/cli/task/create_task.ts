/** Task → agent, environment and session, through the official SDK. */
import type Anthropic from "@anthropic-ai/sdk";
import type { AgentCreateParams } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type { SessionCreateParams } from "@anthropic-ai/sdk/resources/beta/sessions/sessions";
import { DEMO_MODEL } from "../../contract/demo.ts";
import { clip } from "../account/words.ts";
import { apiText } from "../client.ts";
import { CommandFailed } from "../command.ts";
import type { Task } from "./pending_run.ts";

/** Model of a session when nothing is said. */
const DEFAULT_MODEL = "claude-sonnet-5-5";

const SYSTEM =
  "You are a careful software engineer. Work in the sandbox with the tools you have: look before you change, make the " +
  "smallest change that does the task, run what you changed, and read the output. Attached repositories are under /workspace. " +
  "When you are done, say in a few sentences what you did, how you know that it works, and what is left open.";

const ENVIRONMENT_NAME = "Longhaul command line";

/**
 * Creates the session. Rejects with a CommandFailed that carries the API's own words.
 * @param demoOnly true when no model endpoint is set up, so that the demo answers whatever is asked for
 */
export async function createSession(sdk: Anthropic, task: Task, demoOnly: boolean): Promise<string> {
  try {
    const environment_id = await environmentId(sdk);
    const model = task.demo || (demoOnly && task.model === null) ? DEMO_MODEL : (task.model ?? DEFAULT_MODEL);
    const session = await sdk.beta.sessions.create({
      agent: await agentOf(sdk, task, model),
      environment_id,
      title: clip(task.text, 80),
      metadata: { longhaul_run: task.nonce },
      initial_events: [{ type: "user.message", content: [{ type: "text", text: task.text }] }],
      ...(task.repo === null ? {} : { resources: localRepository(task.repo) }),
    });
    return session.id;
  } catch (error) {
    throw new CommandFailed(`The session could not be created: ${apiText(error)} Nothing was started.`);
  }
}

/** `local_repository` is this product's own addition to the contract, so the SDK's types do not know it. */
function localRepository(path: string): NonNullable<SessionCreateParams["resources"]> {
  return [{ type: "local_repository", path, include_uncommitted: true }] as unknown as NonNullable<
    SessionCreateParams["resources"]
  >;
}

async function agentOf(sdk: Anthropic, task: Task, model: string): Promise<SessionCreateParams["agent"]> {
  if (task.agent === null) return await ownAgent(sdk, model, task.ask);
  if (task.model === null && !task.demo) return task.agent;
  return { type: "agent_with_overrides", id: task.agent, model };
}

/** The command line's agent for this model: found again by its metadata, so that a thousand runs make one agent. */
async function ownAgent(sdk: Anthropic, model: string, ask: boolean): Promise<string> {
  const metadata = { longhaul_cli: ask ? "asks-1" : "works-1" };
  for await (const agent of sdk.beta.agents.list({ limit: 100 })) {
    if (
      agent.model.id === model &&
      agent.metadata.longhaul_cli === metadata.longhaul_cli &&
      agent.archived_at === null
    ) {
      return agent.id;
    }
  }
  const toolset: NonNullable<AgentCreateParams["tools"]>[number] = ask
    ? { type: "agent_toolset_20260401", default_config: { enabled: true, permission_policy: { type: "always_ask" } } }
    : { type: "agent_toolset_20260401" };
  const name = ask ? "Command line (asks first)" : "Command line";
  const agent = await sdk.beta.agents.create({ name, model, system: SYSTEM, tools: [toolset], metadata });
  return agent.id;
}

async function environmentId(sdk: Anthropic): Promise<string> {
  const known = await findEnvironment(sdk);
  if (known !== null) return known;
  try {
    const created = await sdk.beta.environments.create({
      name: ENVIRONMENT_NAME,
      config: { type: "cloud", networking: { type: "limited", allowed_hosts: [] } },
    });
    return created.id;
  } catch (error) {
    // Names are unique: another command was first.
    const taken = error instanceof Error && "status" in error && error.status === 409;
    const other = taken ? await findEnvironment(sdk) : null;
    if (other === null) throw error;
    return other;
  }
}

async function findEnvironment(sdk: Anthropic): Promise<string | null> {
  for await (const environment of sdk.beta.environments.list({ limit: 100 })) {
    if (environment.name === ENVIRONMENT_NAME && environment.archived_at === null) return environment.id;
  }
  return null;
}
