/** An MCP server that answers as a test says, also as no server should. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Message {
  id?: string | number;
  method: string;
  params?: Record<string, unknown>;
}

export interface Asked {
  message: Message;
  request: IncomingMessage;
  response: ServerResponse;
  /** Answers this message as JSON. */
  result(result: unknown): void;
  error(code: number, message: string, status?: number): void;
  /** Begins an event stream. */
  stream(headers?: Record<string, string>): Stream;
}

interface Stream {
  /** A JSON-RPC message as an event. */
  say(message: unknown, id?: string): void;
  raw(text: string): void;
  end(): void;
  /** Breaks the connection off. */
  cut(): void;
}

type Script = Record<string, (asked: Asked) => void | Promise<void>>;

export interface ScriptedServer {
  url: string;
  /** Methods in the order in which they were asked; `http get` and `http delete` for the others. */
  asked: string[];
  messages: Message[];
  /** Replaces answers; `http get` and `http delete` are keys too. */
  script: Script;
  close(): Promise<void>;
}

const running: ScriptedServer[] = [];

export async function stopServers(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.close()));
}

export const TOOL = { name: "work", description: "Works.", inputSchema: { type: "object" } };

/** What a server of 2025-11-25 with a session says unless the script says otherwise. */
const OLD: Script = {
  initialize: ({ response, message }) => {
    response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "session-1" });
    const result = {
      protocolVersion: "2025-11-25",
      serverInfo: { name: "scripted", version: "1" },
      capabilities: { tools: { listChanged: true } },
    };
    response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, result }));
  },
  "server/discover": ({ error }) => error(-32_601, "Method not found", 400),
};

/** What a server of 2026-07-28 says. */
const NEW: Script = {
  "server/discover": ({ result }) =>
    result({
      resultType: "complete",
      ttlMs: 0,
      cacheScope: "private",
      supportedVersions: ["2026-07-28"],
      serverInfo: { name: "scripted", version: "1" },
      capabilities: { tools: {} },
    }),
};

const ANY: Script = {
  "tools/list": ({ result }) => result({ resultType: "complete", ttlMs: 0, cacheScope: "private", tools: [TOOL] }),
  "tools/call": ({ result }) => result({ resultType: "complete", content: [{ type: "text", text: "done" }] }),
  "http get": ({ response }) => void response.writeHead(405).end(),
  "http delete": ({ response }) => void response.writeHead(200).end(),
};

export async function scriptedServer(generation: "old" | "new", script: Script = {}): Promise<ScriptedServer> {
  const http = createServer((request, response) => void answer(request, response));
  const server: ScriptedServer = {
    url: "",
    asked: [],
    messages: [],
    script,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const message = await messageOf(request);
    server.asked.push(message.method);
    server.messages.push(message);
    const own = server.script[message.method] ?? (generation === "old" ? OLD : NEW)[message.method];
    const said = own ?? ANY[message.method];
    if (said !== undefined) await said(asAsked(message, request, response));
    else if (message.id === undefined) response.writeHead(202).end();
    else asAsked(message, request, response).error(-32_601, "Method not found");
  };
  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  server.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/mcp`;
  running.push(server);
  return server;
}

async function messageOf(request: IncomingMessage): Promise<Message> {
  if (request.method !== "POST") return { method: `http ${request.method?.toLowerCase()}` };
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text) as Message;
}

function asAsked(message: Message, request: IncomingMessage, response: ServerResponse): Asked {
  const json = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...(body as object) }));
  };
  return {
    message,
    request,
    response,
    result: (result) => json(200, { result }),
    error: (code, text, status = 200) => json(status, { error: { code, message: text } }),
    stream: (headers = {}) => {
      response.writeHead(200, { "content-type": "text/event-stream", ...headers });
      return {
        say: (said, id) =>
          void response.write(`${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(said)}\n\n`),
        raw: (text) => void response.write(text),
        end: () => void response.end(),
        cut: () => response.destroy(),
      };
    },
  };
}
