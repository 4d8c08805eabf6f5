/** A server on the official SDK with sessions and an event stream, in this process. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

interface Session {
  server: McpServer;
  transport: StreamableHTTPServerTransport;
}

export interface SdkServer {
  url: string;
  sessions: Map<string, Session>;
  /** How often the tool `count` ran, in all sessions. */
  counted: () => number;
  /** Signals of calls of the tool `wait`. */
  waiting: AbortSignal[];
  close(): Promise<void>;
}

export async function sdkServer(): Promise<SdkServer> {
  const sessions = new Map<string, Session>();
  const waiting: AbortSignal[] = [];
  let counted = 0;
  const newServer = (): McpServer => {
    const server = new McpServer({ name: "sdk", version: "1" }, { instructions: "Count well." });
    server.registerTool("count", { inputSchema: { by: z.number() } }, ({ by }) => {
      counted += by;
      return { content: [{ type: "text", text: `${counted}` }] };
    });
    server.registerTool("wait", {}, ({ signal }) => {
      waiting.push(signal);
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("stopped"))));
    });
    server.registerTool("grow", {}, () => {
      server.registerTool("grown", {}, () => ({ content: [] }));
      return { content: [{ type: "text", text: "grew" }] };
    });
    return server;
  };
  const http = createServer(async (request, response) => {
    const id = request.headers["mcp-session-id"];
    const known = typeof id === "string" ? sessions.get(id) : undefined;
    if (known !== undefined) return known.transport.handleRequest(request, response);
    if (id !== undefined) return void response.writeHead(404).end();
    const server = newServer();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (made) => void sessions.set(made, { server, transport }),
      onsessionclosed: (gone) => void sessions.delete(gone),
    });
    await server.connect(transport as Parameters<McpServer["connect"]>[0]);
    await transport.handleRequest(request, response);
  });
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`,
    sessions,
    counted: () => counted,
    waiting,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
}
