/** `web_search` and `web_fetch` of `agent_toolset_20260401`, as the session's model is told of them. */
import type { Tool } from "@anthropic-ai/sdk/resources/messages/messages";

export type WebToolName = "web_search" | "web_fetch";

interface WebToolDefinition {
  readonly name: WebToolName;
  readonly description: string;
  /** Key order is fixed: these bytes are part of every cached prompt. */
  readonly input_schema: Tool["input_schema"];
}

const search: WebToolDefinition = {
  name: "web_search",
  description:
    "Searches the web once and answers with the results: title, URL, age of the page, and what they say about the " +
    "query. Use it for what is newer than your knowledge or not in the files. Search again with other words when the " +
    "results do not answer; read a whole page with web_fetch.",
  input_schema: {
    type: "object",
    properties: { query: { type: "string", description: "What to search for." } },
    required: ["query"],
  },
};

const fetch: WebToolDefinition = {
  name: "web_fetch",
  description:
    "Fetches a web page or PDF and answers with its content. Only a URL that the conversation has already shown can be " +
    "fetched: one from a user's message, a custom tool's result, or an earlier web_search or web_fetch result. Give " +
    "the URL exactly as it was shown. Pages that need a login cannot be fetched.",
  input_schema: {
    type: "object",
    properties: { url: { type: "string", description: "The complete URL, beginning with https:// or http://." } },
    required: ["url"],
  },
};

export const webToolDefinitions: readonly WebToolDefinition[] = [search, fetch];

/** True for the names of the tools that the model endpoint's own server tools answer. */
export function isWebTool(name: string): name is WebToolName {
  return name === "web_search" || name === "web_fetch";
}
