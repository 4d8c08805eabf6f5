/** The tools with which a thread gives work to other agents. Offered only where the agent has a roster. */
import type { Tool } from "@anthropic-ai/sdk/resources/messages/messages";
import type { ThreadFold } from "../../contract/threads/view.ts";
import { canSpawn, type Roster, rosterOf } from "./roster.ts";

export const SEND = "send_to_agent";
export const LIST = "list_agents";
export const CONSULT = "consult_advisor";

/** Tools of the next request, in a fixed order. Their texts depend on the roster alone, so that the bytes never change. */
export function agentTools(fold: Pick<ThreadFold, "child" | "agent">): Tool[] {
  const roster = rosterOf(fold);
  const tools: Tool[] = [];
  if (canSpawn(roster)) tools.push(sendTool(roster), LIST_TOOL);
  if (roster.advisor !== null) tools.push(CONSULT_TOOL);
  return tools;
}

export function isAgentTool(fold: Pick<ThreadFold, "child" | "agent">, name: string): boolean {
  return agentTools(fold).some((tool) => tool.name === name);
}

function sendTool(roster: Roster): Tool {
  const known = roster.agents.map(
    ({ name, id, description }) => `- ${name} (${id})${description ? `: ${description}` : ""}`,
  );
  const whom =
    known.length > 0
      ? `Agents you can name in \`agent\`:\n${known.join("\n")}`
      : "No agents are predefined: define one inline.";
  return {
    name: SEND,
    description:
      "Gives a task to another agent. It works in a thread of its own, beside you, with its own context and the same sandbox; " +
      "it knows nothing but what you write, so say everything it needs. Returns at once with the thread's id. The agent's " +
      "final message comes back to you as a message when it is done: end your turn if there is nothing else to do until then. " +
      `Name \`thread_id\` instead of an agent to go on with a thread that is there. ${whom}`,
    input_schema: {
      type: "object",
      properties: {
        agent: { type: "string", description: "Name or id of the agent that gets a new thread." },
        thread_id: { type: "string", description: "A thread that is there: it gets the message as its next one." },
        ...(roster.inline ? { inline_agent: INLINE } : {}),
        message: { type: "string", description: "The task, or the next message." },
      },
      required: ["message"],
    },
  };
}

const INLINE = {
  type: "object",
  description: "An agent that you define yourself. It has your tools.",
  properties: {
    name: { type: "string", description: "A short name." },
    system: { type: "string", description: "Its system prompt: who it is and how it works." },
    description: { type: "string" },
  },
  required: ["name"],
};

const LIST_TOOL: Tool = {
  name: LIST,
  description: "Lists the agents that you can give work to, and the threads that are there with what each is doing.",
  input_schema: { type: "object", properties: {} },
};

const CONSULT_TOOL: Tool = {
  name: CONSULT,
  description:
    "Asks an advisor, another model, for its opinion, and waits for the answer. It sees only what you write and has no " +
    "tools: describe the situation, what you tried and what you want to know.",
  input_schema: {
    type: "object",
    properties: { question: { type: "string", description: "The question with everything needed to answer it." } },
    required: ["question"],
  },
};
