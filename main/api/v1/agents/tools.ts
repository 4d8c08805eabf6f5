/** Tools as requests give them → as the contract's responses show them, every default written out. */
import { invalid } from "../../../contract/errors.ts";
import type { ToolConfigParams, ToolsParams, UrlSourcesParams } from "../../../contract/schemas/tools.ts";
import type { Agent } from "../../../session/catalog.ts";

type Tool = Agent["tools"][number];
type AgentToolset = Extract<Tool, { type: "agent_toolset_20260401" }>;
type ToolConfig = AgentToolset["configs"][number];
type DefaultConfig = AgentToolset["default_config"];
type UrlSources = NonNullable<Extract<ToolConfig, { name: "web_fetch" }>["url_sources"]>;
type ToolFilter = UrlSources["client_tool_results"];

const BUILT_IN = ["bash", "read", "write", "edit", "glob", "grep", "web_fetch", "web_search"];
/** The harness offers these by itself: to read back the own session, and to give work to other agents. */
const RESERVED = ["session_events", "send_to_agent", "list_agents", "consult_advisor"];
const MAX_TOOLS = 256;

/**
 * The resolved tools.
 * @throws ApiError 400 when two tools would have one name, `url_sources` names a tool that is not there, a toolset is given twice, or there are more than 256 tools
 */
export function materialiseTools(params: ToolsParams): Tool[] {
  checkNames(params);
  checkUrlSources(params);
  return params.map(materialiseTool);
}

function materialiseTool(tool: ToolsParams[number]): Tool {
  switch (tool.type) {
    case "agent_toolset_20260401": {
      const defaults = materialiseDefault(tool.default_config, "always_allow");
      const configs = (tool.configs ?? []).map((config) => materialiseConfig(config, defaults));
      return { type: tool.type, default_config: defaults, configs };
    }
    case "mcp_toolset": {
      const defaults = materialiseDefault(tool.default_config, "always_ask");
      const configs = (tool.configs ?? []).map((config) => ({
        name: config.name,
        ...materialiseSetting(config, defaults),
      }));
      return { type: tool.type, mcp_server_name: tool.mcp_server_name, default_config: defaults, configs };
    }
    case "custom":
      return {
        type: tool.type,
        name: tool.name,
        description: tool.description,
        input_schema: withoutUndefined(tool.input_schema),
      };
  }
}

/** Every server must be named by a toolset, and every toolset must name a server (contract.md §3.1). */
export function checkMcpReferences(tools: readonly Tool[], servers: Agent["mcp_servers"]): void {
  const names = new Set(servers.map((server) => server.name));
  const referenced = new Set<string>();
  for (const tool of tools) {
    if (tool.type !== "mcp_toolset") continue;
    if (!names.has(tool.mcp_server_name)) {
      invalid(
        `\`tools\`: the mcp_toolset ${JSON.stringify(tool.mcp_server_name)} names no server in \`mcp_servers\`. Add the server or remove the toolset.`,
      );
    }
    referenced.add(tool.mcp_server_name);
  }
  for (const name of names) {
    if (!referenced.has(name)) {
      invalid(
        `\`mcp_servers\`: no mcp_toolset in \`tools\` names ${JSON.stringify(name)}. Add a toolset for it or remove the server.`,
      );
    }
  }
}

/** `url_sources.client_tool_results` names custom tools of the same array (contract.md §3.1). */
function checkUrlSources(params: ToolsParams): void {
  const custom = new Set(params.flatMap((tool) => (tool.type === "custom" ? [tool.name] : [])));
  for (const tool of params) {
    for (const config of tool.type === "agent_toolset_20260401" ? (tool.configs ?? []) : []) {
      const filter = config.name === "web_fetch" ? config.url_sources?.client_tool_results : null;
      if (filter == null || typeof filter === "string" || !("tools" in filter)) continue;
      const unknown = filter.tools.find((named) => !custom.has(named.name));
      if (unknown === undefined) continue;
      invalid(
        `\`url_sources.client_tool_results\`: ${JSON.stringify(unknown.name)} is no custom tool in \`tools\`. Add the tool or leave its name out.`,
      );
    }
  }
}

function checkNames(params: ToolsParams): void {
  const seen = new Set<string>(RESERVED);
  const add = (name: string, message: string) => {
    if (seen.has(name)) invalid(message);
    seen.add(name);
  };
  let count = 0;
  for (const tool of params) {
    if (tool.type === "agent_toolset_20260401") {
      for (const name of BUILT_IN)
        add(
          name,
          `\`tools\`: agent_toolset_20260401 is given twice, or a custom tool before it is named ${JSON.stringify(name)}.`,
        );
      count += BUILT_IN.length;
    } else if (tool.type === "mcp_toolset") {
      add(
        `mcp\0${tool.mcp_server_name}`,
        `\`tools\`: there are two mcp_toolsets for ${JSON.stringify(tool.mcp_server_name)}. Merge them.`,
      );
      count += tool.configs?.length ?? 0;
    } else {
      add(
        tool.name,
        `\`tools\`: the name ${JSON.stringify(tool.name)} is taken by another tool. Rename the custom tool.`,
      );
      count += 1;
    }
  }
  if (count > MAX_TOOLS)
    invalid(`\`tools\` must hold at most ${MAX_TOOLS} tools across all toolsets (it has ${count}).`);
}

interface SettingParams {
  enabled?: boolean | null | undefined;
  permission_policy?: DefaultConfig["permission_policy"] | null | undefined;
}

function materialiseDefault(
  params: SettingParams | null | undefined,
  policy: "always_allow" | "always_ask",
): DefaultConfig {
  return { enabled: params?.enabled ?? true, permission_policy: params?.permission_policy ?? { type: policy } };
}

function materialiseSetting(params: SettingParams, defaults: DefaultConfig): DefaultConfig {
  return {
    enabled: params.enabled ?? defaults.enabled,
    permission_policy: params.permission_policy ?? defaults.permission_policy,
  };
}

function materialiseConfig(config: ToolConfigParams, defaults: DefaultConfig): ToolConfig {
  const setting = materialiseSetting(config, defaults);
  switch (config.name) {
    case "web_fetch":
      return {
        name: config.name,
        type: config.name,
        ...setting,
        ...domainsOf(config),
        ...(config.max_content_tokens === undefined ? {} : { max_content_tokens: config.max_content_tokens }),
        url_sources: config.url_sources == null ? null : materialiseSources(config.url_sources),
      };
    case "web_search":
      return {
        name: config.name,
        type: config.name,
        ...setting,
        ...domainsOf(config),
        ...(config.user_location == null ? {} : { user_location: withoutUndefined(config.user_location) }),
      };
    default:
      return { name: config.name, type: config.name, ...setting } as ToolConfig;
  }
}

function domainsOf(config: { allowed_domains?: string[] | undefined; blocked_domains?: string[] | undefined }) {
  return {
    ...(config.allowed_domains === undefined ? {} : { allowed_domains: config.allowed_domains }),
    ...(config.blocked_domains === undefined ? {} : { blocked_domains: config.blocked_domains }),
  };
}

function materialiseSources(params: UrlSourcesParams): UrlSources {
  const { user_input } = params;
  const sources = {
    client_tool_results: materialiseFilter(params.client_tool_results),
    server_tool_results: materialiseFilter(params.server_tool_results),
    user_input: user_input == null ? null : { type: typeof user_input === "string" ? user_input : user_input.type },
  };
  if (Object.values(sources).every((source) => source?.type === "none")) {
    invalid(
      "`url_sources`: with all three sources set to none, web_fetch could fetch nothing. Disable the tool instead.",
    );
  }
  return sources;
}

function materialiseFilter(params: UrlSourcesParams["client_tool_results"]): ToolFilter {
  if (params == null) return null;
  return typeof params === "string" ? { type: params } : params;
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>;
}
