/** What MCP servers have shown to one thread: a pure function of its log, so that a rebuilt request has the same tools. */
import type { LonghaulEventOf, McpToolFacts, SessionAgent, StoredEvent } from "../../contract/events.ts";

type Toolset = Extract<SessionAgent["tools"][number], { type: "mcp_toolset" }>;
export type Listing = Pick<LonghaulEventOf<"longhaul.mcp_tools">, "url" | "instructions" | "tools">;

/** A tool of a server together with what the agent's toolset says of it. */
export interface McpTool {
  server: string;
  tool: McpToolFacts;
  config: Toolset["default_config"];
}

/** Immutable: a preview of coming events shares it. */
export class McpToolbox {
  static readonly EMPTY = new McpToolbox(new Map());
  readonly #listings: ReadonlyMap<string, Listing>;

  private constructor(listings: ReadonlyMap<string, Listing>) {
    this.#listings = listings;
  }

  /** The toolbox after one more event of its thread; the same one when the event says nothing of tools. */
  after({ event }: StoredEvent): McpToolbox {
    return event.type === "longhaul.mcp_tools" ? this.shown(event) : this;
  }

  /** {@link after} for a draft of the event. */
  shown(listing: Listing & { mcp_server_name: string }): McpToolbox {
    const { mcp_server_name, url, instructions, tools } = listing;
    return new McpToolbox(new Map(this.#listings).set(mcp_server_name, { url, instructions, tools }));
  }

  /** What the server has shown; null before that, and when the agent now has another address under its name. */
  listing({ name, url }: { name: string; url: string }): Listing | null {
    const listing = this.#listings.get(name);
    return listing?.url === url ? listing : null;
  }

  /** Tools that the agent has enabled: in the order of its servers, and there in the server's own. */
  enabled(agent: Pick<SessionAgent, "mcp_servers" | "tools">): McpTool[] {
    return agent.mcp_servers.flatMap((server) => {
      const set = toolsetOf(agent, server.name);
      if (set === null) return [];
      const tools = this.listing(server)?.tools ?? [];
      return tools
        .map((tool) => ({ server: server.name, tool, config: configOf(set, tool.name) }))
        .filter(({ config }) => config.enabled);
    });
  }

  /** The enabled tool that the model calls by this name. */
  find(agent: Pick<SessionAgent, "mcp_servers" | "tools">, modelName: string): McpTool | null {
    return this.enabled(agent).find(({ tool }) => tool.model_name === modelName) ?? null;
  }

  /** What is known of a tool, also when it is not enabled any more. */
  facts(server: string, name: string): McpToolFacts | null {
    return this.#listings.get(server)?.tools.find((tool) => tool.name === name) ?? null;
  }
}

export function toolsetOf({ tools }: Pick<SessionAgent, "tools">, server: string): Toolset | null {
  return tools.find((tool): tool is Toolset => tool.type === "mcp_toolset" && tool.mcp_server_name === server) ?? null;
}

function configOf(set: Toolset, name: string): Toolset["default_config"] {
  return set.configs.find((config) => config.name === name) ?? set.default_config;
}
