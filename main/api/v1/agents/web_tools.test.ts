import type { AgentCreateParams } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const lookup = { type: "custom", name: "lookup", description: "Looks up", input_schema: { type: "object" } } as const;

function create(config: object) {
  const toolset = { type: "agent_toolset_20260401", configs: [config] };
  return rig.client.beta.agents.create({ name: "a", model: "m", tools: [toolset, lookup] } as AgentCreateParams);
}

const named = (type: string, ...names: string[]) => ({
  type,
  tools: names.map((name) => ({ type: "tool_reference", name })),
});

const SETTING = { enabled: true, permission_policy: { type: "always_allow" } };

test("every setting of the web tools comes back as the contract shows it", async () => {
  const user_location = { type: "approximate", city: "Köln", country: "DE", region: null, timezone: "Europe/Berlin" };
  const search = { name: "web_search", blocked_domains: ["ads.example.com", "example.com/ads"], user_location };
  expect((await create(search)).tools[0]).toMatchObject({ configs: [{ ...search, type: "web_search", ...SETTING }] });
  const fetch = {
    name: "web_fetch",
    allowed_domains: Array.from({ length: 64 }, (_, n) => `d${n}.example.com`),
    max_content_tokens: 5_000,
    url_sources: { client_tool_results: named("only", "lookup"), server_tool_results: "all", user_input: "none" },
  };
  expect((await create(fetch)).tools[0]).toMatchObject({
    configs: [
      {
        ...fetch,
        ...SETTING,
        type: "web_fetch",
        url_sources: {
          client_tool_results: named("only", "lookup"),
          server_tool_results: { type: "all" },
          user_input: { type: "none" },
        },
      },
    ],
  });
});

test("what is left out is null or absent, as the types say", async () => {
  const toolset = (await create({ name: "web_fetch", url_sources: {}, max_content_tokens: null })).tools[0];
  expect(toolset).toHaveProperty("configs", [
    {
      name: "web_fetch",
      type: "web_fetch",
      ...SETTING,
      max_content_tokens: null,
      url_sources: { client_tool_results: null, server_tool_results: null, user_input: null },
    },
  ]);
  expect((await create({ name: "web_fetch" })).tools[0]).toHaveProperty("configs", [
    { name: "web_fetch", type: "web_fetch", ...SETTING, url_sources: null },
  ]);
  expect((await create({ name: "web_search", user_location: null })).tools[0]).toHaveProperty("configs", [
    { name: "web_search", type: "web_search", ...SETTING },
  ]);
});

describe("a 400 names what is wrong with", () => {
  test.each<[string, object, RegExp]>([
    ["an empty list of domains", { name: "web_search", allowed_domains: [] }, /allowed_domains/],
    ["too many domains", { name: "web_fetch", blocked_domains: Array(65).fill("a.b") }, /blocked_domains/],
    [
      "a domain with a scheme",
      { name: "web_search", allowed_domains: ["https://a.b"] },
      /allowed_domains\[0\]`.*without scheme/,
    ],
    ["a domain with a port", { name: "web_search", allowed_domains: ["a.b:80"] }, /allowed_domains\[0\]`.*host name/],
    ["a wildcard", { name: "web_fetch", allowed_domains: ["*.a.b"] }, /allowed_domains\[0\]`.*host name/],
    ["a path for fetching", { name: "web_fetch", allowed_domains: ["a.b/c"] }, /allowed_domains\[0\]`.*host name/],
    ["both lists", { name: "web_fetch", allowed_domains: ["a.b"], blocked_domains: ["c.d"] }, /must not have both/],
    ["a setting of the other tool", { name: "web_search", max_content_tokens: 5 }, /max_content_tokens/],
    ["no tokens", { name: "web_fetch", max_content_tokens: 0 }, /max_content_tokens/],
    [
      "a country in lower case",
      { name: "web_search", user_location: { type: "approximate", country: "de" } },
      /country`.*upper case/,
    ],
    [
      "a time zone that is none",
      { name: "web_search", user_location: { type: "approximate", timezone: "Mars/One" } },
      /timezone`.*IANA/,
    ],
    ["a place without a kind", { name: "web_search", user_location: { city: "Köln" } }, /user_location/],
    [
      "sources that are all off",
      {
        name: "web_fetch",
        url_sources: { client_tool_results: "none", server_tool_results: "none", user_input: "none" },
      },
      /fetch nothing/,
    ],
    [
      "an unknown custom tool",
      { name: "web_fetch", url_sources: { client_tool_results: named("only", "lookdown") } },
      /lookdown\\" is no custom tool/,
    ],
    [
      "a tool that is not the web's",
      { name: "web_fetch", url_sources: { server_tool_results: named("except", "bash") } },
      /server_tool_results/,
    ],
    [
      "an empty list of tools",
      { name: "web_fetch", url_sources: { client_tool_results: named("only") } },
      /client_tool_results/,
    ],
    [
      "a tool named twice",
      { name: "web_fetch", url_sources: { client_tool_results: named("only", "lookup", "lookup") } },
      /client_tool_results/,
    ],
    ["user input by tool", { name: "web_fetch", url_sources: { user_input: named("only", "lookup") } }, /user_input/],
  ])("%s", async (_name, config, message) => {
    const refused = await refusalOf(create(config));
    expect(refused.status).toBe(400);
    expect(refused.message).toMatch(message);
  });
});
