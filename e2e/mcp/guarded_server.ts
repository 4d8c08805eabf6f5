/** An MCP server that lets in only who brings its token, counts who did not, and keeps what its tools were made to do. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface GuardedServer {
  url: string;
  /** Requests without the right token. */
  unauthenticated: number;
  /** How often each note was written, by its text. */
  written: Map<string, number>;
  requests: number;
  close(): Promise<void>;
}

interface Message {
  id?: number | string;
  method: string;
  params?: { name?: string; arguments?: { text?: string }; protocolVersion?: string };
}

const TOOLS = [
  {
    name: "write",
    description: "Writes a note.",
    inputSchema: { type: "object", properties: { text: { type: "string" } } },
  },
  {
    name: "read",
    description: "Reads a note.",
    inputSchema: { type: "object", properties: { text: { type: "string" } } },
    annotations: { readOnlyHint: true },
  },
];

/**
 * @param token null lets everybody in
 * @param slowMs how long a call takes, at most
 */
export async function startGuardedServer(token: string | null, slowMs: number): Promise<GuardedServer> {
  const server = createServer((request, response) => void answer(request, response));
  const state: GuardedServer = {
    url: "",
    unauthenticated: 0,
    written: new Map(),
    requests: 0,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    state.requests += 1;
    if (token !== null && request.headers.authorization !== `Bearer ${token}`) {
      state.unauthenticated += 1;
      response.writeHead(401, { "www-authenticate": "Bearer" }).end();
      return;
    }
    if (request.method !== "POST") return void response.writeHead(405).end();
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const message = JSON.parse(Buffer.concat(chunks).toString()) as Message;
    if (message.id === undefined) return void response.writeHead(202).end();
    const result = await resultOf(message);
    const body = result === null ? { error: { code: -32601, message: "Method not found" } } : { result };
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...body }));
  }

  async function resultOf({ method, params }: Message): Promise<object | null> {
    if (method === "initialize") {
      const serverInfo = { name: "guarded", version: "1" };
      return { protocolVersion: "2025-06-18", capabilities: { tools: {} }, serverInfo };
    }
    if (method === "tools/list") return { tools: TOOLS };
    if (method !== "tools/call") return null;
    const text = params?.arguments?.text ?? "";
    if (params?.name === "write") state.written.set(text, (state.written.get(text) ?? 0) + 1);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * slowMs));
    return { content: [{ type: "text", text: `${params?.name}: ${text}` }] };
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
  return state;
}
