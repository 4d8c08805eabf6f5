/** Which tools a session offers to the model, and what its policies say about a call. */
import type { Tool } from "@anthropic-ai/sdk/resources/messages/messages";
import type { EventOf } from "../contract/events.ts";
import type { SessionFold } from "../contract/fold.ts";
import type { ThreadFold } from "../contract/threads/view.ts";
import { toolDefinitions } from "../sandbox/toolset/definitions.ts";
import { agentTools, isAgentTool } from "./agents/tools.ts";
import type { McpToolbox } from "./mcp/toolbox.ts";
import { sessionEventsTool } from "./session_events.ts";
import { isWebTool, webToolDefinitions } from "./web/definitions.ts";

type Evaluation = Pick<EventOf<"agent.tool_use">, "evaluated_permission" | "evaluation">;

type Toolset = Extract<SessionFold["agent"]["tools"][number], { type: "agent_toolset_20260401" }>;

function toolset(fold: SessionFold): Toolset | undefined {
  return fold.agent.tools.find((tool): tool is Toolset => tool.type === "agent_toolset_20260401");
}

function configOf(set: Toolset, name: string): Toolset["default_config"] {
  return set.configs.find((config) => config.name === name) ?? set.default_config;
}

/**
 * Tools of the next request in a fixed order: the sandbox's, the web's, custom ones, those of MCP servers, those for other
 * agents, then `session_events` once a compaction has happened (before that, everything is still in the context and the tool would
 * only cost tokens).
 */
export function offeredTools(fold: ThreadFold, mcp: McpToolbox): Tool[] {
  const tools: Tool[] = [];
  const set = toolset(fold);
  for (const definition of set === undefined ? [] : [...toolDefinitions, ...webToolDefinitions]) {
    if (set === undefined || !configOf(set, definition.name).enabled) continue;
    tools.push({
      name: definition.name,
      description: definition.description,
      input_schema: definition.input_schema as Tool["input_schema"],
    });
  }
  for (const tool of fold.agent.tools) {
    if (tool.type !== "custom") continue;
    tools.push({
      name: tool.name,
      description: tool.description,
      input_schema: tool.input_schema as Tool["input_schema"],
    });
  }
  for (const { tool } of mcp.enabled(fold.agent)) {
    tools.push({
      name: tool.model_name,
      description: tool.description,
      input_schema: tool.input_schema as Tool["input_schema"],
    });
  }
  tools.push(...agentTools(fold));
  if (fold.compacted_through > 0) tools.push(sessionEventsTool);
  return tools;
}

export type ToolKind = "agents" | "sandbox" | "web" | "custom" | "session_events" | "unknown";

/** What kind of tool the session itself offers under this name; those of MCP servers are in the thread's toolbox. */
export function toolKind(fold: ThreadFold, name: string): ToolKind {
  if (fold.compacted_through > 0 && name === sessionEventsTool.name) return "session_events";
  if (isAgentTool(fold, name)) return "agents";
  if (fold.agent.tools.some((tool) => tool.type === "custom" && tool.name === name)) return "custom";
  const set = toolset(fold);
  if (set === undefined || !configOf(set, name).enabled) return "unknown";
  if (isWebTool(name)) return "web";
  return toolDefinitions.some((definition) => definition.name === name) ? "sandbox" : "unknown";
}

/** The policy's word on a call of one of the session's own tools. */
export function evaluate(fold: ThreadFold, name: string): Evaluation {
  const kind = toolKind(fold, name);
  // The contract leaves `evaluation` out when the call was refused before any policy applied.
  if (kind === "unknown") return { evaluated_permission: "deny" };
  const set = toolset(fold);
  if ((kind !== "sandbox" && kind !== "web") || set === undefined) {
    return { evaluated_permission: "allow", evaluation: { type: "always_allow" } };
  }
  return evaluated(configOf(set, name).permission_policy);
}

/**
 * What a policy says. `auto` needs a judge that this version does not have, so a person judges: the contract's "no
 * judgement was reached" arm.
 */
export function evaluated(policy: Toolset["default_config"]["permission_policy"]): Evaluation {
  switch (policy.type) {
    case "always_allow":
      return { evaluated_permission: "allow", evaluation: { type: "always_allow" } };
    case "always_ask":
      return { evaluated_permission: "ask", evaluation: { type: "always_ask" } };
    case "auto":
      return {
        evaluated_permission: "ask",
        evaluation: { type: "auto", evaluated_permission: { type: "ask", reason_code: "indeterminate" } },
      };
  }
}
