/** The agents and environments that Longhaul makes by itself when a person has none. */
import type { AgentCreateParams, BetaManagedAgentsAgent } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { DEMO_MODEL } from "../../main/contract/demo.ts";
import { createAgent, createEnvironment, createSession, listAgents, listEnvironments } from "../api/sdk.ts";

const DEMO_TASK =
  "Write a small program that has a bug and a test that shows it. Run the test, read the failure, fix the program, run the test again, and report.";

const SYSTEM = `You are a careful software engineer who works alone for a long time in a sandbox.
Work in /workspace. Look before you change: read the code, run the tests, reproduce the problem.
Make the smallest change that does the whole task, in the style of the code around it.
Prove it: run the tests or the program, and read what they say. When something fails, find the cause before you try again.
Your session may be cut off and go on later. If a result says that an outcome is unknown, inspect the state before you repeat anything.
Finish with a short report: what you changed, how you know that it works, and what is left open.`;

export type Permission = "run" | "ask";

const ASKED = ["bash", "edit", "write"] as const;

/** The tools of the default agent: everything, with a question before what changes something if that is wanted. */
function toolset(permission: Permission): NonNullable<AgentCreateParams["tools"]> {
  const configs =
    permission === "run" ? [] : ASKED.map((name) => ({ name, permission_policy: { type: "always_ask" as const } }));
  return [
    {
      type: "agent_toolset_20260401",
      default_config: { enabled: true, permission_policy: { type: "always_allow" } },
      configs,
    },
  ];
}

/** True for an agent that Longhaul made as its default for this choice. */
function isDefault(agent: BetaManagedAgentsAgent, model: string, permission: Permission): boolean {
  const { metadata } = agent;
  return metadata.longhaul_default === permission && agent.model.id === model;
}

/** The default agent for a model and a permission; made when it does not exist yet. */
export async function defaultAgent(model: string, permission: Permission): Promise<string> {
  const known = (await listAgents()).find((agent) => isDefault(agent, model, permission));
  if (known !== undefined) return known.id;
  const made = await createAgent({
    name: permission === "ask" ? "Default coding agent, asks first" : "Default coding agent",
    description: "Made by Longhaul. Reads, edits and runs code in the sandbox.",
    model,
    system: SYSTEM,
    tools: toolset(permission),
    metadata: { longhaul_default: permission },
  });
  return made.id;
}

const ENVIRONMENT_NAME = "Default";

/** True for the environment that Longhaul made as its default. */
export function isDefaultEnvironment(environment: BetaEnvironment): boolean {
  return environment.metadata.longhaul_default === "environment";
}

/** The default environment: a sandbox that reaches package registries and nothing else. */
export async function defaultEnvironment(): Promise<string> {
  const all = await listEnvironments();
  const known = all.find(isDefaultEnvironment);
  if (known !== undefined) return known.id;
  const taken = all.some((environment) => environment.name === ENVIRONMENT_NAME);
  const made = await createEnvironment({
    name: taken ? `${ENVIRONMENT_NAME} (Longhaul)` : ENVIRONMENT_NAME,
    description: "Made by Longhaul. Package registries can be reached, nothing else.",
    config: {
      type: "cloud",
      networking: { type: "limited", allowed_hosts: [], allow_package_managers: true, allow_mcp_servers: false },
    },
    metadata: { longhaul_default: "environment" },
  });
  return made.id;
}

/** Starts a session with the offline demo model; returns its id. */
export async function startDemo(): Promise<string> {
  const [agent, environment_id] = [await defaultAgent(DEMO_MODEL, "run"), await defaultEnvironment()];
  const session = await createSession({
    agent,
    environment_id,
    title: "Offline demo: find and fix a bug",
    metadata: { longhaul_demo: "true" },
    initial_events: [{ type: "user.message", content: [{ type: "text", text: DEMO_TASK }] }],
  });
  return session.id;
}
