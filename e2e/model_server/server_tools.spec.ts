import Anthropic from "@anthropic-ai/sdk";
import type { MessageCreateParamsNonStreaming, ToolUnion } from "@anthropic-ai/sdk/resources/messages/messages";
import { afterEach, describe, expect, test } from "vitest";
import type { Reply, Script } from "./script.ts";
import { type ModelServer, type ModelServerOptions, startModelServer } from "./server.ts";

const servers: ModelServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(script: Script, options: Omit<ModelServerOptions, "script"> = {}) {
  const server = await startModelServer({ script, ...options });
  servers.push(server);
  return new Anthropic({ baseURL: server.url, apiKey: server.apiKey, maxRetries: 0 });
}

const search = { type: "web_search_20250305", name: "web_search" } as const;
const fetch = { type: "web_fetch_20250910", name: "web_fetch" } as const;
const PAGE = "https://docs.example.com/a";

function ask(...tools: ToolUnion[]): MessageCreateParamsNonStreaming {
  return { model: "claude-sonnet-5-5", max_tokens: 500, tools, messages: [{ role: "user", content: `Read ${PAGE}` }] };
}

const searches: Reply = {
  content: [
    {
      type: "web_search",
      query: "a",
      results: [
        { url: PAGE, title: "A", page_age: "today" },
        { url: "https://other.example/", title: "B" },
      ],
    },
    { type: "text", text: "A says so.", citations: [{ url: PAGE, title: "A", cited_text: "so" }] },
  ],
};

describe("the API's own tools", () => {
  test("a search comes as call and result, streamed and whole, and is counted", async () => {
    const client = await start([searches, searches]);
    const streamed = await client.messages.stream(ask(search)).finalMessage();
    const whole = await client.messages.create(ask(search));
    for (const { content, usage, stop_reason } of [streamed, whole]) {
      expect(content).toMatchObject([
        { type: "server_tool_use", name: "web_search", input: { query: "a" } },
        { type: "web_search_tool_result", content: [{ url: PAGE, title: "A", page_age: "today" }, { title: "B" }] },
        { type: "text", text: "A says so.", citations: [{ type: "web_search_result_location", cited_text: "so" }] },
      ]);
      const [use, result] = content;
      expect(result).toHaveProperty("tool_use_id", use?.type === "server_tool_use" ? use.id : "");
      expect(usage.server_tool_use).toEqual({ web_search_requests: 1, web_fetch_requests: 0 });
      expect(stop_reason).toBe("end_turn");
    }
  });

  test("the request's settings are kept: domains, uses, and URLs that were not shown", async () => {
    const fetches = (...urls: string[]): Reply => ({
      content: urls.map((url) => ({ type: "web_fetch", url, text: "0123456789" })),
    });
    const client = await start([
      searches,
      searches,
      fetches(PAGE, PAGE),
      fetches("https://docs.example.com/b"),
      fetches(PAGE),
      fetches(PAGE),
    ]);
    const run = async (tool: ToolUnion) => JSON.stringify((await client.messages.create(ask(tool))).content);
    expect(await run({ ...search, allowed_domains: ["example.com"] })).not.toContain("other.example");
    expect(await run({ ...search, blocked_domains: ["docs.example.com"] })).not.toContain('"title":"A","page_age"');
    expect(await run({ ...fetch, max_uses: 1 })).toMatch(/0123456789.*max_uses_exceeded/);
    expect(await run(fetch)).toContain("url_not_in_prior_context");
    expect(await run({ ...fetch, blocked_domains: ["example.com"] })).toContain("url_not_allowed");
    expect(await run({ ...fetch, max_content_tokens: 1 })).toContain('"data":"0123"');
  });

  test("a script that uses a tool the request does not offer is a mistake", async () => {
    const client = await start([searches]);
    await expect(client.messages.create(ask(fetch))).rejects.toThrow(/the request does not offer it/);
  });

  test("an endpoint without them refuses the request", async () => {
    const client = await start([searches], { serverTools: false });
    await expect(client.messages.create(ask(search))).rejects.toThrow(
      /400 .*web_search_20250305.*expected tags: 'custom'/,
    );
    await expect(client.messages.create(ask({ name: "bash", input_schema: { type: "object" } }))).rejects.toThrow(
      /does not offer it/,
    );
  });
});

describe("a malformed web tool is refused", () => {
  test.each<[string, object, RegExp]>([
    ["an unknown version", { ...search, type: "web_search_19700101" }, /not a known tool type/],
    ["a wrong name", { ...search, name: "search" }, /name: Input should be 'web_search'/],
    ["both domain lists", { ...search, allowed_domains: ["a.b"], blocked_domains: ["c.d"] }, /same time/],
    ["an empty domain list", { ...fetch, allowed_domains: [] }, /at least 1 item/],
    ["a domain with a scheme", { ...search, allowed_domains: ["https://a.b"] }, /Invalid domain/],
    ["a fetch domain with a path", { ...fetch, blocked_domains: ["a.b/c"] }, /Invalid domain/],
    ["a wildcard", { ...fetch, blocked_domains: ["*.a.b"] }, /Invalid domain/],
    ["no uses", { ...search, max_uses: 0 }, /greater than or equal to 1/],
    ["a location of another kind", { ...search, user_location: { type: "exact" } }, /user_location/],
    ["a field of the other tool", { ...search, max_content_tokens: 5 }, /Extra inputs/],
    ["a field of a later version", { ...fetch, use_cache: false }, /Extra inputs/],
    ["sources that are none", { ...fetch, url_sources: { user_input: { type: "only", tools: [] } } }, /user_input/],
  ])("%s", async (_name, tool, message) => {
    const client = await start([searches]);
    await expect(client.messages.create(ask(tool as ToolUnion))).rejects.toThrow(message);
  });

  test("a path is a search's, and later versions take their own fields", async () => {
    const client = await start(() => ({ content: [{ type: "text", text: "ok" }] }));
    for (const tool of [
      { ...search, allowed_domains: ["a.b/c"] },
      { ...fetch, type: "web_fetch_20260318", use_cache: false, response_inclusion: "full" },
      { ...fetch, url_sources: { client_tool_results: { type: "none" } } },
    ]) {
      await client.messages.create(ask(tool as ToolUnion));
    }
  });

  test("a tool cannot be forced while thinking is on", async () => {
    const client = await start([searches, searches]);
    const forced = { ...ask(search), tool_choice: { type: "tool" as const, name: "web_search" } };
    await client.messages.create(forced);
    await expect(client.messages.create({ ...forced, thinking: { type: "adaptive" } })).rejects.toThrow(
      /forces tool use/,
    );
  });
});
