import { afterEach, describe, expect, test, vi } from "vitest";
import type { McpError } from "./port.ts";
import { stopMcp, testMcp } from "./testing/broker.ts";
import { scriptedServer, stopServers, TOOL } from "./testing/scripted_server.ts";

const live = new AbortController().signal;
const silent = (): void => undefined;
const failure = (promise: Promise<unknown>): Promise<McpError> =>
  promise.then(
    () => expect.fail("it should have failed"),
    (error: McpError) => error,
  );

afterEach(async () => {
  await stopMcp();
  await stopServers();
});

const generations = ["old", "new"] as const;
const calls = (asked: readonly string[]): number => asked.filter((method) => method === "tools/call").length;

describe.each(generations)("a server of the %s generation", (generation) => {
  test("lists once and calls, over one connection", async () => {
    const server = await scriptedServer(generation);
    const { mcp, sessionId, call, server: ref, registrations } = await testMcp();
    const to = ref(server.url);
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
    const [first, second] = await Promise.all([mcp.list(sessionId, to, live), mcp.list(sessionId, to, live)]);
    expect(first).toEqual({
      instructions: null,
      tools: [
        { name: "work", description: "Works.", input_schema: { type: "object" }, read_only: false, idempotent: false },
      ],
      left_out: [],
    });
    expect(second).toBe(first);
    expect(await mcp.list(sessionId, to, live)).toBe(first);
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
    const result = await mcp.call(call(to, "work", { with: "care" }), live, silent);
    expect(result).toEqual({ content: [{ type: "text", text: "done" }], is_error: false });
    expect(server.asked.filter((method) => method.startsWith("tools/"))).toEqual(["tools/list", "tools/call"]);
    const sent = server.messages.at(-1)?.params;
    expect(sent).toMatchObject({
      name: "work",
      arguments: { with: "care" },
      _meta: { "longhaul/tool_use_id": "toolu_1" },
    });
    expect(registrations()).toBe(1);
    await mcp.list(sessionId, to, live, true);
    expect(server.asked.at(-1)).toBe("tools/list");
  });

  test("a broker that was restarted is told again what the session may use, and the call runs once", async () => {
    const server = await scriptedServer(generation);
    const { mcp, call, server: ref, restartBroker, registrations } = await testMcp();
    const to = ref(server.url);
    await mcp.call(call(to, "work"), live, silent);
    await restartBroker();
    expect((await mcp.call(call(to, "work"), live, silent)).is_error).toBe(false);
    expect(calls(server.asked)).toBe(2);
    expect(registrations()).toBe(2);
  });

  test("a capability that was revoked is asked for anew", async () => {
    const server = await scriptedServer(generation);
    const { mcp, call, server: ref, broker, sessionId } = await testMcp();
    const to = ref(server.url);
    await mcp.call(call(to, "work"), live, silent);
    await broker.control("DELETE", `capabilities/${sessionId}`);
    expect((await mcp.call(call(to, "work"), live, silent)).is_error).toBe(false);
    expect(calls(server.asked)).toBe(2);
  });

  test("refused arguments are a result that the model can learn from", async () => {
    const server = await scriptedServer(generation, {
      "tools/call": ({ error }) => error(-32_602, "`path` is missing"),
    });
    const { mcp, call, server: ref } = await testMcp();
    const result = await mcp.call(call(ref(server.url), "work"), live, silent);
    expect(result).toEqual({
      content: [{ type: "text", text: "The MCP server refused this call: `path` is missing (error -32602)" }],
      is_error: true,
    });
  });

  test.each<[number, McpError["kind"], McpError["sent"]]>([
    [401, "authentication", "no"],
    [403, "authentication", "no"],
    [404, "protocol", "no"],
    [429, "connection", "no"],
    [500, "connection", "maybe"],
    [503, "connection", "maybe"],
  ])("a call answered with status %d", async (status, kind, sent) => {
    const server = await scriptedServer(generation, {
      // Without a session: a 404 is no lost one.
      initialize: ({ result }) =>
        result({ protocolVersion: "2025-06-18", serverInfo: { name: "x", version: "1" }, capabilities: { tools: {} } }),
      "tools/call": ({ response }) => void response.writeHead(status).end("secret words"),
    });
    const { mcp, call, server: ref } = await testMcp();
    const error = await failure(mcp.call(call(ref(server.url), "work"), live, silent));
    expect(error).toMatchObject({ name: "McpError", kind, sent });
    expect(error.message).not.toContain("secret words");
    expect(calls(server.asked)).toBe(1);
  });

  test("a call for which the sign-in does not suffice names what it lacks", async () => {
    const challenge = 'Bearer error="insufficient_scope", scope="files:write"';
    const server = await scriptedServer(generation, {
      "tools/call": ({ response }) => void response.writeHead(403, { "www-authenticate": challenge }).end(),
    });
    const { mcp, call, server: ref } = await testMcp();
    const error = await failure(mcp.call(call(ref(server.url), "work"), live, silent));
    expect(error).toMatchObject({ kind: "authentication", sent: "no" });
    expect(error.message).toContain("wants the permission files:write");
  });

  test("a server that is away fails as one that did not get the call", async () => {
    const server = await scriptedServer(generation);
    const { mcp, call, server: ref, sessionId } = await testMcp();
    const to = ref(server.url);
    await server.close();
    expect(await failure(mcp.list(sessionId, to, live))).toMatchObject({ kind: "connection", sent: "no" });
    expect(await failure(mcp.call(call(to, "work"), live, silent))).toMatchObject({ kind: "connection", sent: "no" });
  });

  test("a broker that is away waits, whatever was asked", async () => {
    const server = await scriptedServer(generation);
    const { mcp, call, server: ref, sessionId, broker } = await testMcp();
    const to = ref(server.url);
    await mcp.list(sessionId, to, live);
    await broker.close();
    expect(await failure(mcp.call(call(to, "work"), live, silent))).toMatchObject({ kind: "locked", sent: "no" });
    expect(await failure(mcp.list(sessionId, to, live, true))).toMatchObject({ kind: "locked", sent: "no" });
    expect(calls(server.asked)).toBe(0);
  });

  test("grants that cannot be registered wait too", async () => {
    const server = await scriptedServer(generation);
    const ensureGrants = () => Promise.reject(new Error("the keychain is locked"));
    const { mcp, call, server: ref } = await testMcp({ ensureGrants });
    const error = await failure(mcp.call(call(ref(server.url), "work"), live, silent));
    expect(error).toMatchObject({ kind: "locked", sent: "no", message: "the keychain is locked" });
    expect(server.asked).toEqual([]);
  });

  test("a stopped call rejects at once, and the server learns of it", async () => {
    const gone = vi.fn();
    const server = await scriptedServer(generation, {
      "tools/call": ({ response }) => void response.on("close", gone),
    });
    const { mcp, call, server: ref } = await testMcp();
    const to = ref(server.url);
    const stop = new AbortController();
    const stopped = failure(mcp.call(call(to, "work"), stop.signal, silent));
    await vi.waitFor(() => expect(calls(server.asked)).toBe(1));
    stop.abort();
    expect((await stopped).name).toBe("AbortError");
    await vi.waitFor(() => expect(gone).toHaveBeenCalled());
    if (generation === "old") {
      const told = server.messages.find(({ method }) => method === "notifications/cancelled");
      const call = server.messages.find(({ method }) => method === "tools/call");
      expect(told?.params?.requestId).toBe(call?.id);
    } else expect(server.asked).not.toContain("notifications/cancelled");
    server.script = {};
    expect((await mcp.call(call(to, "work"), live, silent)).is_error).toBe(false);
  });

  test("one thread that stops does not take along another that waits for the same connection", async () => {
    let go = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const server = await scriptedServer(generation, {
      "tools/list": async ({ result }) => {
        await held;
        result({ resultType: "complete", ttlMs: 0, cacheScope: "private", tools: [TOOL] });
      },
    });
    const { mcp, server: ref, sessionId } = await testMcp();
    const to = ref(server.url);
    const stop = new AbortController();
    const stopped = failure(mcp.list(sessionId, to, stop.signal));
    const other = mcp.list(sessionId, to, live);
    await vi.waitFor(() => expect(server.asked).toContain("tools/list"));
    stop.abort();
    expect((await stopped).name).toBe("AbortError");
    go();
    expect((await other).tools).toHaveLength(1);
    expect(server.asked.filter((method) => method === "tools/list")).toHaveLength(1);
  });

  test("what was stopped before it began asks nobody", async () => {
    const server = await scriptedServer(generation);
    const { mcp, call, server: ref, sessionId } = await testMcp();
    const to = ref(server.url);
    expect((await failure(mcp.list(sessionId, to, AbortSignal.abort()))).name).toBe("AbortError");
    expect((await failure(mcp.call(call(to, "work"), AbortSignal.abort(), silent))).name).toBe("AbortError");
    expect(server.asked).toEqual([]);
  });

  test("progress reaches the call that it is of, and keeps a slow call alive", async () => {
    const server = await scriptedServer(generation, {
      "tools/call": async ({ message, stream }) => {
        const out = stream();
        const meta = message.params?._meta as { progressToken: number };
        for (let progress = 1; progress <= 3; progress += 1) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          const params = { progressToken: meta.progressToken, progress, total: 3, message: "Copying" };
          out.say({ jsonrpc: "2.0", method: "notifications/progress", params });
        }
        const result = { resultType: "complete", content: [{ type: "text", text: "copied" }] };
        out.say({ jsonrpc: "2.0", id: message.id, result });
        out.end();
      },
    });
    const { mcp, call, server: ref } = await testMcp({ limits: { silenceMs: 700 } });
    const lines: string[] = [];
    const result = await mcp.call(call(ref(server.url), "work"), live, (line) => lines.push(line));
    expect(result.content).toEqual([{ type: "text", text: "copied" }]);
    expect(lines).toEqual(["1/3 Copying", "2/3 Copying", "3/3 Copying"]);
  });

  test("a call without a word is given up", async () => {
    const server = await scriptedServer(generation, { "tools/call": silent });
    const { mcp, call, server: ref } = await testMcp({ limits: { silenceMs: 100 } });
    const error = await failure(mcp.call(call(ref(server.url), "work"), live, silent));
    expect(error).toMatchObject({ kind: "connection", sent: "maybe" });
  });

  test.each(["drop", "dropConnections", "close"] as const)("%s fails what is in flight", async (end) => {
    const server = await scriptedServer(generation, { "tools/call": silent });
    const { mcp, call, server: ref, sessionId } = await testMcp();
    const to = ref(server.url);
    const lost = failure(mcp.call(call(to, "work"), live, silent));
    await vi.waitFor(() => expect(calls(server.asked)).toBe(1));
    if (end === "drop") mcp.drop(sessionId);
    else if (end === "dropConnections") mcp.dropConnections();
    else void mcp.close();
    expect(await lost).toMatchObject({ kind: "connection", sent: "maybe" });
    server.script = {};
    const again = mcp.call(call(to, "work"), live, silent);
    if (end === "close") expect(await failure(again)).toMatchObject({ kind: "connection", sent: "no" });
    else expect((await again).is_error).toBe(false);
  });

  test("a connection that nobody uses is closed and opened again", async () => {
    const server = await scriptedServer(generation);
    const { mcp, call, server: ref, sessionId } = await testMcp({ limits: { idleMs: 50 } });
    const to = ref(server.url);
    await mcp.list(sessionId, to, live);
    // The first that a connection asks.
    const [opening] = server.asked;
    const opened = (): number => server.asked.filter((method) => method === opening).length;
    expect(opened()).toBe(1);
    if (generation === "old") await vi.waitFor(() => expect(server.asked).toContain("http delete"));
    await vi.waitFor(
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect((await mcp.call(call(to, "work"), live, silent)).is_error).toBe(false);
        expect(opened()).toBeGreaterThan(1);
      },
      { timeout: 10_000 },
    );
  });
});
