/** Tools and MCP servers of an agent, and the rules that tie the two together. */
import { z } from "zod";
import { hostName, hostWithPath, httpUrl } from "./primitives.ts";

const uniqueNames = (named: readonly { name: string }[]) =>
  new Set(named.map((item) => item.name)).size === named.length;
const NAMED_TWICE = "must name each tool once";

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

const domains = z.array(hostName).min(1).max(64).optional();
/** A search result's domain may carry a path. */
const domainsWithPath = z.array(hostWithPath).min(1).max(64).optional();

const shorthand = z.enum(["all", "none"]);

/** @param name what may be named in an `only` or `except` list */
function toolFilter<N extends string>(name: z.ZodType<N>) {
  const reference = z.strictObject({ type: z.literal("tool_reference"), name });
  const listed = z.array(reference).min(1).max(128).refine(uniqueNames, NAMED_TWICE);
  return z
    .union([
      shorthand,
      z.discriminatedUnion("type", [
        z.strictObject({ type: z.literal("all") }),
        z.strictObject({ type: z.literal("none") }),
        z.strictObject({ type: z.literal("only"), tools: listed }),
        z.strictObject({ type: z.literal("except"), tools: listed }),
      ]),
    ])
    .nullish();
}

const clientTools = toolFilter(z.string().min(1));
const serverTools = toolFilter(z.enum(["web_search", "web_fetch"]));
const userInput = z.union([shorthand, z.strictObject({ type: shorthand })]).nullish();

const webFetch = z.strictObject({
  name: z.literal("web_fetch"),
  type: z.literal("web_fetch").optional(),
  ...setting,
  allowed_domains: domains,
  blocked_domains: domains,
  max_content_tokens: z.int().min(1).nullish(),
  url_sources: z
    .strictObject({ client_tool_results: clientTools, server_tool_results: serverTools, user_input: userInput })
    .nullish(),
});

const placeName = z.string().min(1).max(255).nullish();

function isTimezone(name: string): boolean {
  try {
    return (
      new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "" && /^[A-Za-z]/.test(name)
    );
  } catch {
    return false;
  }
}

const webSearch = z.strictObject({
  name: z.literal("web_search"),
  type: z.literal("web_search").optional(),
  ...setting,
  allowed_domains: domainsWithPath,
  blocked_domains: domainsWithPath,
  user_location: z
    .strictObject({
      type: z.literal("approximate"),
      city: placeName,
      country: z
        .string()
        .regex(/^[A-Z]{2}$/, 'must be a two-letter country code in upper case, such as "DE"')
        .nullish(),
      region: placeName,
      timezone: z.string().refine(isTimezone, 'must be an IANA time zone such as "Europe/Berlin"').nullish(),
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
