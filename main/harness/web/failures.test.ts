import { afterEach, describe, expect, test } from "vitest";
import { overloaded, type Reply, rateLimited, type ScriptTurn } from "../../../e2e/model_server/script.ts";
import { DEMO_MODEL } from "../../contract/demo.ts";
import { snapshot } from "../../orchestration/testing/rig.ts";
import { EndpointWebTools } from "./executor.ts";
import type { WebCall } from "./port.ts";
import { FOUND, PAGE, startWebRig, textOf, type WebRig } from "./testing/web_rig.ts";

let web: WebRig;
afterEach(() => web.rig.close());

async function start(...args: Parameters<typeof startWebRig>): Promise<WebRig> {
  web = await startWebRig(...args);
  return web;
}

describe("an endpoint without the tools", () => {
  test("that refuses them is asked once, and the session is told what to do", async () => {
    const { run } = await start([], { serverTools: false });
    const first = await run("web_search", { query: "q" });
    expect(first.is_error).toBe(true);
    expect(textOf(first)).toContain("endpoint offers no web search");
    expect(textOf(first)).toContain("Input tag 'web_search_20250305'");
    expect(await run("web_search", { query: "again" })).toEqual({ ...first, spent: null });
    expect(web.rig.server.requests).toHaveLength(1);
    // The other tool is another question.
    expect(textOf(await run("web_fetch", { url: PAGE }))).toContain("endpoint offers no web fetch");
    expect(web.rig.server.requests).toHaveLength(2);
  });

  test.each<[string, Reply]>([
    ["answers without them", { content: [{ type: "text", text: "I think it is 42." }] }],
    ["takes them for the client's", { content: [{ type: "tool_use", name: "web_search", input: { query: "q" } }] }],
  ])("that %s is known from then on", async (_name, reply) => {
    const { run } = await start(() => reply);
    const first = await run("web_search", { query: "q" });
    expect(textOf(first)).toContain("endpoint offers no web search");
    expect(textOf(first)).not.toContain("42");
    await run("web_search", { query: "q" });
    expect(web.rig.server.requests).toHaveLength(1);
  });

  test("that drops them and then misses the tool it shall use is known from then on", async () => {
    const message = "tool_choice: Tool 'web_search' not found in provided tools";
    const { run } = await start(() => ({ status: 400, error: { type: "invalid_request_error", message } }));
    expect(textOf(await run("web_search", { query: "q" }))).toContain("endpoint offers no web search");
    await run("web_search", { query: "q" });
    expect(web.rig.server.requests).toHaveLength(1);
  });

  test("the offline demo says that no endpoint is set up, and nothing is remembered", async () => {
    const { run } = await start([{ content: [{ type: "text", text: "demo" }] }, FOUND]);
    web.rig.model.answersAs = DEMO_MODEL;
    expect(textOf(await run("web_search", { query: "q" }))).toContain("No model endpoint is set up");
    web.rig.model.answersAs = null;
    expect((await run("web_search", { query: "q" })).is_error).toBe(false);
  });

  test("settings that the endpoint does not like are not taken for a missing tool", async () => {
    const error = {
      type: "invalid_request_error",
      message: "tools.0.web_search_20250305.user_location.timezone: bad",
    } as const;
    const { run } = await start([{ status: 400, error }, FOUND]);
    expect(textOf(await run("web_search", { query: "q" }))).toContain("refused the request");
    expect((await run("web_search", { query: "q" })).is_error).toBe(false);
  });

  test("a model that cannot be forced is asked without force", async () => {
    const error = { type: "invalid_request_error", message: "tool_choice: not supported by this model" } as const;
    const { run } = await start([{ status: 400, error }, FOUND, { content: [{ type: "text", text: "no" }] }, FOUND]);
    expect((await run("web_search", { query: "q" })).is_error).toBe(false);
    expect(web.sent().map((body) => body?.tool_choice?.constructor)).toEqual([Object, undefined]);
    // It was free to answer without the tool: that says nothing of the endpoint.
    expect((await run("web_search", { query: "q" })).is_error).toBe(true);
    expect((await run("web_search", { query: "q" })).is_error).toBe(false);
  });
});

describe("failures", () => {
  test.each<[string, ScriptTurn]>([
    ["overload", overloaded()],
    ["a rate limit", rateLimited(0)],
    ["a server error", { status: 500 }],
    ["a cut connection", { kind: "reset" }],
    ["a cut stream", { ...FOUND, fault: { after: 4, kind: "reset" } }],
    [
      "an error in the stream",
      { ...FOUND, fault: { after: 2, kind: "error", error: { type: "overloaded_error", message: "x" } } },
    ],
    ["garbage", { ...FOUND, fault: { after: 2, kind: "garbage", text: "data: {nonsense\n\n" } }],
    ["a stream that ends early", { ...FOUND, fault: { after: 3, kind: "end" } }],
    ["a stream that ends in the summary", { ...FOUND, fault: { after: 12, kind: "end" }, delta_chars: 3 }],
    ["a tool that is busy", { content: [{ type: "web_search", error_code: "too_many_requests" }] }],
  ])("%s is tried again", async (_name, turn) => {
    const { run } = await start([turn, turn, FOUND]);
    const result = await run("web_search", { query: "q" });
    expect(textOf(result)).toContain("The guide says 42.");
    expect(result.spent?.attempts).toBe(3);
  });

  test("that last become an error result, with what was spent on them", async () => {
    const { run } = await start(() => overloaded());
    const result = await run("web_search", { query: "q" });
    expect(result).toMatchObject({ is_error: true, spent: { attempts: 3, web_search_requests: 0 } });
    expect(textOf(result)).toContain("the model endpoint is busy (Overloaded)");
  });

  test("a refused credential is not tried again", async () => {
    const { run } = await start([{ status: 401, error: { type: "authentication_error", message: "bad key" } }]);
    expect(textOf(await run("web_search", { query: "q" }))).toContain("refused the request. bad key");
    expect(web.rig.server.requests).toHaveLength(1);
  });

  test("a request that hangs is given up", async () => {
    const { session_id } = await start([{ kind: "hang" }]);
    const tools = new EndpointWebTools({ ...web.rig.ports, timeout_ms: 30 });
    const agent = snapshot().agent;
    const call: WebCall = { session_id, agent, tool: "web_search", input: { query: "q" } };
    const result = await tools.execute(call, new AbortController().signal);
    expect(result.is_error).toBe(true);
    expect(textOf(result)).toContain("given up");
  });

  test("a stop rejects at once", async () => {
    const { run } = await start([{ kind: "hang" }]);
    const stop = new AbortController();
    const running = run("web_search", { query: "q" }, [], stop.signal);
    await expect.poll(() => web.rig.server.requests.length).toBe(1);
    stop.abort();
    await expect(running).rejects.toThrow();
  });

  const result = (content: unknown) => ({ type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content });
  test.each<[string, Record<string, unknown>[]]>([
    ["no content", [result(undefined)]],
    ["a text for a list", [result("https://a.example")]],
    ["entries that are nothing", [result([null, 7, { url: 8 }, []])]],
    ["an object for a list", [result({ results: [] })]],
    ["an unknown error", [result({ type: "web_search_tool_result_error", error_code: "brand\nnew" })]],
    ["an error without a code", [result({ type: "web_search_tool_result_error" })]],
  ])("a malformed result is an error: %s", async (_name, blocks) => {
    const { run } = await start(() => ({ content: blocks.map((block) => ({ type: "raw", block })) }));
    const found = await run("web_search", { query: "q" });
    expect(found.is_error).toBe(true);
    expect(found.content).toMatchObject([{ type: "text" }]);
    // It is not taken for an endpoint without the tool either.
    expect(textOf(found)).not.toContain("offers no");
  });

  test("a malformed block beside a good result does no harm", async () => {
    const odd = [{}, { type: 7 }, { type: "text", text: 5, citations: "x" }, { type: "server_tool_use" }];
    const content: Reply["content"] = odd.map((block) => ({ type: "raw", block: block as Record<string, unknown> }));
    const { run } = await start([{ content: [...content, ...FOUND.content] }]);
    expect(textOf(await run("web_search", { query: "q" }))).toContain("The guide says 42.");
  });
});
