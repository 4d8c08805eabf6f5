import { afterEach, describe, expect, test, vi } from "vitest";
import { stopMcp, testMcp } from "./testing/broker.ts";
import { scriptedServer, stopServers, TOOL } from "./testing/scripted_server.ts";
import { type SdkServer, sdkServer } from "./testing/sdk_server.ts";

const live = new AbortController().signal;
const silent = (): void => undefined;
const running: SdkServer[] = [];

afterEach(async () => {
  await stopMcp();
  await stopServers();
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function started() {
  const server = await sdkServer();
  running.push(server);
  const fixture = await testMcp();
  return { ...fixture, sdk: server, to: fixture.server(server.url) };
}

describe("a server on the SDK, with sessions", () => {
  test("keeps one session for list and calls, and is told when it is over", async () => {
    const { mcp, sessionId, sdk, to, call } = await started();
    const { tools, instructions } = await mcp.list(sessionId, to, live);
    expect(tools.map(({ name }) => name)).toEqual(["count", "wait", "grow"]);
    expect(instructions).toBe("Count well.");
    await Promise.all(Array.from({ length: 20 }, () => mcp.call(call(to, "count", { by: 1 }), live, silent)));
    expect(sdk.counted()).toBe(20);
    expect(sdk.sessions.size).toBe(1);
    mcp.drop(sessionId);
    await vi.waitFor(() => expect(sdk.sessions.size).toBe(0));
  });

  test("a stopped call is stopped in the server", async () => {
    const { mcp, sdk, to, call } = await started();
    const stop = new AbortController();
    const stopped = mcp.call(call(to, "wait"), stop.signal, silent).catch((error: Error) => error.name);
    await vi.waitFor(() => expect(sdk.waiting).toHaveLength(1));
    stop.abort();
    expect(await stopped).toBe("AbortError");
    await vi.waitFor(() => expect(sdk.waiting[0]?.aborted).toBe(true));
  });

  test("a tool that the server adds is seen", async () => {
    const { mcp, sessionId, sdk, to, call } = await started();
    await mcp.list(sessionId, to, live);
    await vi.waitFor(() => expect([...sdk.sessions.values()]).toHaveLength(1));
    await mcp.call(call(to, "grow"), live, silent);
    await vi.waitFor(() => expect(mcp.hasChanged(sessionId, to)).toBe(true));
    const { tools } = await mcp.list(sessionId, to, live);
    expect(tools.map(({ name }) => name)).toContain("grown");
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
  });

  test("a session that the server ended is begun anew, and a call is not run twice", async () => {
    const { mcp, sdk, to, call } = await started();
    await mcp.call(call(to, "count", { by: 1 }), live, silent);
    sdk.sessions.clear();
    const result = await mcp.call(call(to, "count", { by: 1 }), live, silent);
    expect(result.content).toEqual([{ type: "text", text: "2" }]);
    expect(sdk.sessions.size).toBe(1);
  });

  test("wrong arguments are a result", async () => {
    const { mcp, to, call } = await started();
    expect(await mcp.call(call(to, "count", { by: "one" }), live, silent)).toMatchObject({ is_error: true });
  });
});

describe("a server without sessions", () => {
  const discover = {
    resultType: "complete",
    ttlMs: 0,
    cacheScope: "private",
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: { listChanged: true } },
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "scripted", version: "1" } },
  };

  test("tells of changes over a subscription, which is made anew when it ends", async () => {
    let tell = silent;
    let end = silent;
    let subscriptions = 0;
    const server = await scriptedServer("new", {
      "server/discover": ({ result }) => result(discover),
      "subscriptions/listen": ({ message, stream }) => {
        subscriptions += 1;
        const out = stream();
        const _meta = { "io.modelcontextprotocol/subscriptionId": message.id };
        const notifications = { toolsListChanged: true };
        const say = (method: string, params: object): void =>
          out.say({ jsonrpc: "2.0", method, params: { _meta, ...params } });
        say("notifications/subscriptions/acknowledged", { notifications });
        tell = () => say("notifications/tools/list_changed", {});
        end = () => out.end();
      },
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    const to = ref(server.url);
    await mcp.list(sessionId, to, live);
    expect(subscriptions).toBe(1);
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
    tell();
    await vi.waitFor(() => expect(mcp.hasChanged(sessionId, to)).toBe(true));
    await mcp.list(sessionId, to, live);
    expect(subscriptions).toBe(1);
    end();
    await vi.waitFor(() => expect(mcp.hasChanged(sessionId, to)).toBe(true));
    await mcp.list(sessionId, to, live);
    expect(subscriptions).toBe(2);
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
  });

  test("one that never says that it listens holds nobody up", async () => {
    const server = await scriptedServer("new", {
      "server/discover": ({ result }) => result(discover),
      "subscriptions/listen": ({ stream }) => stream().raw(":\n\n"),
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    expect((await mcp.list(sessionId, ref(server.url), live)).tools).toHaveLength(1);
  });

  test("arguments that it wants as headers come as such, also after its schema changed", async () => {
    const schema = (name: string) => ({
      type: "object",
      properties: { region: { type: "string", "x-mcp-header": name } },
    });
    let header = "Region";
    const seen: unknown[] = [];
    const server = await scriptedServer("new", {
      "tools/list": ({ result }) =>
        result({
          resultType: "complete",
          ttlMs: 0,
          cacheScope: "private",
          tools: [{ ...TOOL, inputSchema: schema(header) }],
        }),
      "tools/call": ({ request, result, error }) => {
        const value = request.headers[`mcp-param-${header.toLowerCase()}`];
        seen.push(value);
        if (value === undefined) error(-32_020, "Header mismatch", 400);
        else result({ resultType: "complete", content: [] });
      },
    });
    const { mcp, sessionId, call, server: ref } = await testMcp();
    const to = ref(server.url);
    await mcp.list(sessionId, to, live);
    await mcp.call(call(to, "work", { region: "eu" }), live, silent);
    header = "Zone";
    expect((await mcp.call(call(to, "work", { region: "us" }), live, silent)).is_error).toBe(false);
    expect(seen).toEqual(["eu", undefined, "us"]);
  });
});
