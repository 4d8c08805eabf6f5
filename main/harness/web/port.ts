/** Port: the tools that the harness answers itself through the model endpoint's server tools. */
import type { EventOf, SessionAgent, Usage } from "../../contract/events.ts";
import type { WebToolName } from "./definitions.ts";

type ToolConfig = Extract<SessionAgent["tools"][number], { type: "agent_toolset_20260401" }>["configs"][number];
export type WebSearchConfig = Extract<ToolConfig, { name: "web_search" }>;
export type WebFetchConfig = Extract<ToolConfig, { name: "web_fetch" }>;

/** Content of an `agent.tool_result`. */
export type ResultContent = NonNullable<EventOf<"agent.tool_result">["content"]>[number];

export interface WebCall {
  session_id: string;
  agent: Pick<SessionAgent, "model" | "tools">;
  tool: WebToolName;
  /** As the session's model gave it: nothing about it is sure. */
  input: unknown;
}

export interface WebResult {
  /** Never empty; text alone when `is_error` is true. */
  content: ResultContent[];
  is_error: boolean;
  /** The requests that the call made; null when it was answered without any. */
  spent: WebSpending | null;
}

/** What a call cost at the endpoint, over all its attempts. */
export interface WebSpending {
  /** Model that answered; the one that was asked when none did. */
  model: string;
  usage: Usage;
  web_search_requests: number;
  web_fetch_requests: number;
  attempts: number;
  duration_ms: number;
}

export interface WebTools {
  /**
   * Runs one call. Every failure is an error result in words that help the model go on; only a stop rejects, with an
   * `AbortError`, and the call may then be made again: it changes nothing anywhere.
   */
  execute(call: WebCall, signal: AbortSignal): Promise<WebResult>;
}

/** A toolset's own entry for a tool, or null when its defaults apply. */
export function webConfig(agent: WebCall["agent"], tool: "web_search"): WebSearchConfig | null;
export function webConfig(agent: WebCall["agent"], tool: "web_fetch"): WebFetchConfig | null;
export function webConfig(agent: WebCall["agent"], tool: WebToolName): WebSearchConfig | WebFetchConfig | null {
  for (const entry of agent.tools) {
    if (entry.type !== "agent_toolset_20260401") continue;
    const config = entry.configs.find((candidate) => candidate.name === tool);
    if (config !== undefined) return config as WebSearchConfig | WebFetchConfig;
  }
  return null;
}
