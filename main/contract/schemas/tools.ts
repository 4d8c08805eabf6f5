/** Tools and MCP servers of an agent, and the rules that tie the two together. */
import { z } from "zod";
import { hostPattern, httpUrl } from "./primitives.ts";

const policy = z
  .discriminatedUnion("type", [
    z.strictObject({ type: z.literal("always_allow") }),
    z.strictObject({ type: z.literal("always_ask") }),
    z.strictObject({ type: z.literal("auto") }),
  ])
  .nullish();

const defaultConfig = z.strictObject({ enabled: z.boolean().nullish(), permission_policy: policy }).nullish();

const setting = { enabled: z.boolean().nullish(), permission_policy: policy };

function builtin<N extends string>(name: N) {
  return z.strictObject({ name: z.literal(name), type: z.literal(name).optional(), ...setting });
}

const domains = z.array(hostPattern).min(1).max(64).optional();
/** A search result's domain may carry a path. */
const domainsWithPath = z
  .array(
    z
      .string()
      .max(2048)
      .regex(/^[A-Za-z0-9.-]+(\/\S*)?$/, "must be a host name, optionally followed by a path"),
  )
  .min(1)
  .max(64)
  .optional();

const named = z.strictObject({ type: z.literal("tool_reference"), name: z.string().min(1) });
const shorthand = z.enum(["all", "none"]);
const toolFilter = z
  .union([
    shorthand,
    z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("all") }),
      z.strictObject({ type: z.literal("none") }),
      z.strictObject({ type: z.literal("only"), tools: z.array(named).min(1).max(128) }),
      z.strictObject({ type: z.literal("except"), tools: z.array(named).min(1).max(128) }),
    ]),
  ])
  .nullish();
const userInput = z.union([shorthand, z.strictObject({ type: shorthand })]).nullish();

const webFetch = z.strictObject({
  name: z.literal("web_fetch"),
  type: z.literal("web_fetch").optional(),
  ...setting,
  allowed_domains: domains,
  blocked_domains: domains,
  max_content_tokens: z.int().min(1).nullish(),
  url_sources: z
    .strictObject({ client_tool_results: toolFilter, server_tool_results: toolFilter, user_input: userInput })
    .nullish(),
});

const webSearch = z.strictObject({
  name: z.literal("web_search"),
  type: z.literal("web_search").optional(),
  ...setting,
  allowed_domains: domainsWithPath,
  blocked_domains: domainsWithPath,
  user_location: z
    .strictObject({
      type: z.literal("approximate"),
      city: z.string().nullish(),
      country: z.string().length(2).nullish(),
      region: z.string().nullish(),
      timezone: z.string().nullish(),
    })
    .nullish(),
});

export const toolConfig = z
  .discriminatedUnion("name", [
    builtin("bash"),
    builtin("edit"),
    builtin("read"),
    builtin("write"),
    builtin("glob"),
    builtin("grep"),
    webFetch,
    webSearch,
  ])
  .refine(
    (config) => !("allowed_domains" in config && config.allowed_domains && config.blocked_domains),
    "must not have both allowed_domains and blocked_domains",
  );

const uniqueNames = (configs: readonly { name: string }[]) =>
  new Set(configs.map((config) => config.name)).size === configs.length;
const NAMED_TWICE = "must name each tool once";

const agentToolset = z.strictObject({
  type: z.literal("agent_toolset_20260401"),
  configs: z.array(toolConfig).refine(uniqueNames, NAMED_TWICE).optional(),
  default_config: defaultConfig,
});

const mcpToolset = z.strictObject({
  type: z.literal("mcp_toolset"),
  mcp_server_name: z.string().min(1).max(255),
  configs: z
    .array(z.strictObject({ name: z.string().min(1).max(128), ...setting }))
    .refine(uniqueNames, NAMED_TWICE)
    .optional(),
  default_config: defaultConfig,
});

const customTool = z.strictObject({
  type: z.literal("custom"),
  name: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/, "must be 1 to 128 letters, digits, underscores or hyphens"),
  description: z.string().min(1),
  input_schema: z.looseObject({
    type: z.literal("object"),
    properties: z.record(z.string(), z.unknown()).nullish(),
    required: z.array(z.string()).nullish(),
  }),
});

export const tools = z.array(z.discriminatedUnion("type", [agentToolset, mcpToolset, customTool])).max(256);

export const mcpServers = z
  .array(z.strictObject({ type: z.literal("url"), name: z.string().min(1).max(255), url: httpUrl }))
  .max(20)
  .refine(uniqueNames, "must not use a name twice");

export type ToolsParams = z.output<typeof tools>;
export type ToolConfigParams = z.output<typeof toolConfig>;
export type UrlSourcesParams = NonNullable<z.output<typeof webFetch>["url_sources"]>;
