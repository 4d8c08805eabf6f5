import { afterEach, describe, expect, test, vi } from "vitest";
import type { McpError } from "./port.ts";
import { stopMcp, testMcp } from "./testing/broker.ts";
import { type Asked, scriptedServer, stopServers, TOOL } from "./testing/scripted_server.ts";

const live = new AbortController().signal;
const silent = (): void => undefined;
const failure = (promise: Promise<unknown>): Promise<McpError> =>
  promise.then(
    (value) => expect.fail(`it should have failed, and gave ${JSON.stringify(value).slice(0, 200)}`),
    (error: McpError) => error,
  );
const listed = (tools: unknown[], nextCursor?: string) => ({
  resultType: "complete",
  ttlMs: 0,
  cacheScope: "private",
  tools,
  ...(nextCursor === undefined ? {} : { nextCursor }),
});
const done = { resultType: "complete", content: [{ type: "text", text: "done" }] };

afterEach(async () => {
  await stopMcp();
  await stopServers();
});

describe.each(["old", "new"] as const)("lists of a server of the %s generation", (generation) => {
  test("pages are followed in order", async () => {
    const server = await scriptedServer(generation, {
      "tools/list": ({ message, result }) => {
        const at = Number(message.params?.cursor ?? 0);
        result(listed([{ ...TOOL, name: `tool_${at}` }], at < 4 ? String(at + 1) : undefined));
      },
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    const { tools, left_out } = await mcp.list(sessionId, ref(server.url), live);
    expect(tools.map(({ name }) => name)).toEqual(["tool_0", "tool_1", "tool_2", "tool_3", "tool_4"]);
    expect(left_out).toEqual([]);
  });

  test("pages without an end are read up to a bound", async () => {
    let page = 0;
    const server = await scriptedServer(generation, {
      "tools/list": ({ result }) => {
        page += 1;
        result(listed([{ ...TOOL, name: `tool_${page}` }], `next_${page}`));
      },
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    const { tools, left_out } = await mcp.list(sessionId, ref(server.url), live);
    expect(tools).toHaveLength(64);
    expect(page).toBe(64);
    expect(left_out).toHaveLength(1);
  });

  test("pages in a circle end", async () => {
    const server = await scriptedServer(generation, {
      "tools/list": ({ result }) => result(listed([TOOL], "again")),
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    const { tools, left_out } = await mcp.list(sessionId, ref(server.url), live);
    expect(tools).toHaveLength(1);
    expect(left_out.map(({ name }) => name)).toEqual(["work", "(further tools)"]);
  });

  test("a thousand tools are 256", async () => {
    const tools = Array.from({ length: 1_000 }, (_, index) => ({ ...TOOL, name: `tool_${index}` }));
    const server = await scriptedServer(generation, { "tools/list": ({ result }) => result(listed(tools)) });
    const { mcp, sessionId, server: ref } = await testMcp();
    const listing = await mcp.list(sessionId, ref(server.url), live);
    expect(listing.tools).toHaveLength(256);
    expect(listing.left_out).toHaveLength(50);
  });

  test.each<[string, (asked: Asked) => void]>([
    ["no JSON", ({ response }) => void response.writeHead(200, { "content-type": "application/json" }).end("{")],
    ["a page of HTML", ({ response }) => void response.writeHead(200, { "content-type": "text/html" }).end("<p>")],
    ["no list", ({ result }) => result({ resultType: "complete", tools: "none" })],
    ["null", ({ result }) => result(null)],
    ["nothing at all", ({ response }) => void response.writeHead(202).end()],
    [
      "an answer to something else",
      ({ response }) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ jsonrpc: "2.0", id: 4711, result: listed([TOOL]) }));
      },
    ],
    ["a stream without the answer", ({ stream }) => stream().end()],
    ["an error", ({ error }) => error(-32_603, "it hurts")],
    ["a redirect", ({ response }) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()],
    ["a broken connection", ({ response }) => void response.destroy()],
  ])("%s for a list is an error", async (_name, answer) => {
    const server = await scriptedServer(generation, { "tools/list": answer });
    const { mcp, sessionId, server: ref } = await testMcp();
    const to = ref(server.url);
    const error = await failure(mcp.list(sessionId, to, live));
    expect(error.name).toBe("McpError");
    expect(["protocol", "connection"]).toContain(error.kind);
    server.script = {};
    expect((await mcp.list(sessionId, to, live)).tools).toHaveLength(1);
  });
});

describe.each(["old", "new"] as const)("calls of a server of the %s generation", (generation) => {
  const answering = async (answer: (asked: Asked) => void, limits = {}) => {
    const server = await scriptedServer(generation, { "tools/call": answer });
    const { mcp, call, server: ref } = await testMcp({ limits: { reconnectMs: 5, ...limits } });
    return {
      server,
      run: (onProgress: (line: string) => void = silent) => mcp.call(call(ref(server.url), "work"), live, onProgress),
    };
  };

  test.each<[string, (asked: Asked) => void]>([
    ["no JSON", ({ response }) => void response.writeHead(200, { "content-type": "application/json" }).end("{")],
    ["a page of HTML", ({ response }) => void response.writeHead(200, { "content-type": "text/html" }).end("<p>")],
    ["content of an unknown kind", ({ result }) => result({ ...done, content: [{ type: "smell" }] })],
    ["nothing at all", ({ response }) => void response.writeHead(202).end()],
    [
      "another id",
      ({ response, message }) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ jsonrpc: "2.0", id: Number(message.id) + 1, result: done }));
      },
    ],
    [
      "its id as text",
      ({ response, message }) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ jsonrpc: "2.0", id: `${message.id}`, result: done }));
      },
    ],
    [
      "a list of answers to others",
      ({ response }) => {
        response.writeHead(200, { "content-type": "application/json" });
        response.end(
          JSON.stringify([
            { jsonrpc: "2.0", id: 98, result: done },
            { jsonrpc: "2.0", id: 99, result: done },
          ]),
        );
      },
    ],
    ["a stream that ends before the answer", ({ stream }) => stream().end()],
    [
      "a stream of rubbish",
      ({ stream }) => {
        const out = stream();
        out.raw("data: {{{\n\ndata: []\n\nevent: other\ndata: 1\n\n:\n\n\0\n\n");
        out.end();
      },
    ],
    ["a broken connection", ({ response }) => void response.destroy()],
    [
      "a body that breaks off",
      ({ response }) => {
        response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
        response.write('{"jsonrpc":"2.0","id":', () => response.destroy());
      },
    ],
  ])("%s for an answer: the call may have run", async (_name, answer) => {
    const { run, server } = await answering(answer);
    expect(await failure(run())).toMatchObject({ name: "McpError", sent: "maybe" });
    expect(server.asked.filter((method) => method === "tools/call")).toHaveLength(1);
  });

  test("a result that is too large is refused before it fills the memory", async () => {
    let sent = 0;
    const { run } = await answering(({ response }) => {
      response.writeHead(200, { "content-type": "application/json" });
      response.write('{"jsonrpc":"2.0","id":1,"result":"');
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536))) sent += 65_536;
      };
      response.on("drain", more);
      more();
    });
    expect(await failure(run())).toMatchObject({ name: "McpError", sent: "maybe" });
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test("an event that is too large is refused too", async () => {
    const { run } = await answering(({ stream, response }) => {
      stream().raw("data: ");
      const more = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
      };
      response.on("drain", more);
      more();
    });
    expect(await failure(run())).toMatchObject({ name: "McpError", sent: "maybe" });
  });

  test("a flood of progress is thinned out, and the answer still comes", async () => {
    const { run } = await answering(({ message, stream, response }) => {
      const { progressToken } = (message.params?._meta ?? {}) as { progressToken?: number };
      const out = stream();
      let progress = 0;
      const more = (): void => {
        while (progress < 3_000) {
          progress += 1;
          const params = { progressToken, progress, message: "x\u001b[31m\n".repeat(200) };
          const event = `data: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params })}\n\n`;
          if (!response.write(event)) return void response.once("drain", more);
        }
        out.say({ jsonrpc: "2.0", id: message.id, result: done });
        out.end();
      };
      more();
    });
    const lines: string[] = [];
    expect((await run((line) => lines.push(line))).is_error).toBe(false);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.length).toBeLessThan(500);
    for (const line of lines) expect(line).toMatch(/^\d+ [x ]{1,490}( … \(cut\))?$/);
  }, 30_000);

  test("a stream broken at any byte gives the whole answer or an error, never half of one", async () => {
    const answer = (id: unknown) => `data: ${JSON.stringify({ jsonrpc: "2.0", id, result: done })}\n\n`;
    let cut = 0;
    const { run, server } = await answering(({ message, response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(answer(message.id).slice(0, cut), () => response.destroy());
    });
    const outcomes = new Set<string>();
    // Ids grow to three digits on the way.
    const whole = answer(100).length;
    for (; cut <= whole; cut += 1) {
      const outcome = await run().then(
        ({ content }) => JSON.stringify(content),
        (error: McpError) => `${error.name} ${error.sent}`,
      );
      outcomes.add(outcome);
    }
    expect([...outcomes]).toEqual(["McpError maybe", JSON.stringify(done.content)]);
    expect(server.asked.filter((method) => method === "tools/call")).toHaveLength(cut);
  }, 60_000);

  test("a server that floods the person with questions is told no each time", async () => {
    if (generation === "new") return;
    const { run, server } = await answering(({ message, stream }) => {
      const out = stream();
      for (let index = 0; index < 50; index += 1) {
        const params = {
          message: "Your password?",
          requestedSchema: { type: "object", properties: { p: { type: "string" } } },
        };
        out.say({ jsonrpc: "2.0", id: `q${index}`, method: "elicitation/create", params });
      }
      out.say({ jsonrpc: "2.0", id: "s", method: "sampling/createMessage", params: { messages: [], maxTokens: 1 } });
      out.say({ jsonrpc: "2.0", id: "r", method: "roots/list" });
      setTimeout(() => {
        out.say({ jsonrpc: "2.0", id: message.id, result: done });
        out.end();
      }, 500);
    });
    await run();
    await vi.waitFor(() => {
      const answers = server.messages.filter(({ method }) => method === undefined) as unknown as {
        id: string;
        result?: { action: string };
        error?: { code: number };
      }[];
      expect(answers.filter(({ result }) => result?.action === "decline")).toHaveLength(50);
      for (const id of ["s", "r"]) expect(answers.find((one) => one.id === id)?.error?.code).toBe(-32_601);
    });
  });
});

describe("what only servers with sessions do", () => {
  test("a stream that broke is taken up where it was, and the tool runs once", async () => {
    const server = await scriptedServer("old", {
      "tools/call": ({ stream }) => {
        const out = stream();
        out.raw("id: 7\nretry: 5\ndata:\n\n");
        setTimeout(() => out.cut(), 20);
      },
      "http get": ({ request, stream, response }) => {
        if (request.headers["last-event-id"] === undefined) return void response.writeHead(405).end();
        const call = server.messages.find(({ method }) => method === "tools/call");
        stream().say({ jsonrpc: "2.0", id: call?.id, result: done }, "8");
      },
    });
    const { mcp, call, server: ref } = await testMcp();
    const result = await mcp.call(call(ref(server.url), "work"), live, silent);
    expect(result.is_error).toBe(false);
    expect(server.asked.filter((method) => method === "tools/call")).toHaveLength(1);
  });

  test("streams that end at once are not opened again in a circle", async () => {
    const server = await scriptedServer("old", {
      "http get": ({ stream }) => {
        const out = stream();
        out.raw("retry: 0\nid: 1\ndata:\n\n");
        out.end();
      },
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    await mcp.list(sessionId, ref(server.url), live);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    expect(server.asked.filter((method) => method === "http get").length).toBeLessThan(30);
  });

  test("a changed list is said, and fetched anew", async () => {
    let tell = silent;
    const server = await scriptedServer("old", {
      "http get": ({ stream }) => {
        const out = stream();
        tell = () => out.say({ jsonrpc: "2.0", method: "notifications/tools/list_changed" });
      },
    });
    const { mcp, sessionId, server: ref } = await testMcp();
    const to = ref(server.url);
    await mcp.list(sessionId, to, live);
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
    await vi.waitFor(() => expect(tell).not.toBe(silent));
    server.script["tools/list"] = ({ result }) => result(listed([TOOL, { ...TOOL, name: "more" }]));
    tell();
    await vi.waitFor(() => expect(mcp.hasChanged(sessionId, to)).toBe(true));
    expect((await mcp.list(sessionId, to, live)).tools).toHaveLength(2);
    expect(mcp.hasChanged(sessionId, to)).toBe(false);
  });

  test.each([
    ["404", 404],
    ["400", 400],
  ])("a session that the server forgot (%s) is begun again, and the call runs once", async (_name, status) => {
    let session = 1;
    let lost = false;
    const server = await scriptedServer("old", {
      initialize: ({ response, message }) => {
        lost = false;
        session += 1;
        response.writeHead(200, { "content-type": "application/json", "mcp-session-id": `session-${session}` });
        const serverInfo = { name: "x", version: "1" };
        const result = { protocolVersion: "2025-06-18", serverInfo, capabilities: { tools: {} } };
        response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result }));
      },
      "tools/call": ({ result, error, request }) => {
        if (lost || request.headers["mcp-session-id"] !== `session-${session}`)
          error(-32_000, "No valid session", status);
        else result(done);
      },
    });
    const { mcp, call, server: ref } = await testMcp();
    const to = ref(server.url);
    await mcp.call(call(to, "work"), live, silent);
    lost = true;
    expect((await mcp.call(call(to, "work"), live, silent)).is_error).toBe(false);
    expect(server.asked.filter((method) => method === "initialize")).toHaveLength(2);
  });

  test("a session that is forgotten each time is given up", async () => {
    const server = await scriptedServer("old", {
      "tools/call": ({ error }) => error(-32_001, "Session not found", 404),
    });
    const { mcp, call, server: ref } = await testMcp();
    const error = await failure(mcp.call(call(ref(server.url), "work"), live, silent));
    expect(error).toMatchObject({ kind: "protocol", sent: "no" });
    expect(server.asked.filter((method) => method === "tools/call")).toHaveLength(2);
  });

  test.each([500, 503])(
    "one that answers %d to the question for the newer protocol is asked for the older",
    async (status) => {
      const server = await scriptedServer("old", {
        "server/discover": ({ response }) => void response.writeHead(status).end("oops"),
      });
      const { mcp, sessionId, server: ref } = await testMcp();
      expect((await mcp.list(sessionId, ref(server.url), live)).tools).toHaveLength(1);
    },
  );
});
