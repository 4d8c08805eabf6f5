/** An MCP server with its token endpoint, as far as the validation of a credential meets them. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  path: string;
  method: string;
  headers: IncomingMessage["headers"];
  body: string;
}

export interface McpServer {
  url: string;
  token_endpoint: string;
  asked: Asked[];
  /** Access tokens that are taken. */
  accepted: Set<string>;
  /** Answers to the MCP server's next requests in place of the usual ones; null for the usual one. */
  answer: ((asked: Asked, response: ServerResponse) => void) | null;
  /** Answers of the token endpoint. */
  token: (asked: Asked, response: ServerResponse) => void;
  close: () => void;
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** @param transport `stream`: answers are event streams that stay open; `sse`: the older transport, GET only */
export async function startMcpServer(transport: "json" | "stream" | "sse" = "json"): Promise<McpServer> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const asked: Asked = {
        path: request.url ?? "",
        method: request.method ?? "",
        headers: request.headers,
        body: Buffer.concat(parts).toString(),
      };
      mcp.asked.push(asked);
      if (asked.path === "/token") return mcp.token(asked, response);
      if (mcp.answer !== null) return mcp.answer(asked, response);
      const token = /^Bearer (.*)$/.exec(asked.headers.authorization ?? "")?.[1] ?? "";
      if (!mcp.accepted.has(token)) return sendJson(response, 401, { error: "unauthorized", you_sent: token });
      usual(asked, response);
    });
  });
  function usual({ method, body }: Asked, response: ServerResponse): void {
    if (transport === "sse") {
      if (method !== "GET") return sendJson(response, 405, {});
      return void response.writeHead(200, { "content-type": "text/event-stream" }).write("event: endpoint\n\n");
    }
    if (method === "DELETE") return void response.writeHead(204).end();
    const message = JSON.parse(body) as { id?: number; method: string };
    if (message.id === undefined) return void response.writeHead(202).end();
    const result = message.method === "initialize" ? { protocolVersion: "2025-03-26" } : { tools: [] };
    const answer = JSON.stringify({ jsonrpc: "2.0", id: message.id, result });
    const session = { "mcp-session-id": "session-1" };
    if (transport === "json") {
      return void response.writeHead(200, { "content-type": "application/json", ...session }).end(answer);
    }
    response.writeHead(200, { "content-type": "text/event-stream", ...session });
    response.end(`event: message\ndata: ${answer}\n\n`);
  }
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const mcp: McpServer = {
    url: `${origin}/mcp`,
    token_endpoint: `${origin}/token`,
    asked: [],
    accepted: new Set(),
    answer: null,
    token: (_, response) => sendJson(response, 400, { error: "invalid_grant" }),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return mcp;
}
