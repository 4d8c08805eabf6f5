/** What a caller of the route may ask for, and how it is told in the log of uses. */
import type { IncomingMessage } from "node:http";
import { Refusal } from "../refusal.ts";

export type McpMethod = "POST" | "GET" | "DELETE";

export interface Asked {
  method: McpMethod;
  /** Id of the server in the session's grants. */
  serverId: string;
}

/** Only this form: whatever a server's address may have behind it comes from the grant. */
const TARGET = /^\/mcp\/([0-9a-f]{32})$/;

/** Reads the head of a request. Throws {@link Refusal}. */
export function askedOf(request: IncomingMessage): Asked {
  const serverId = TARGET.exec(request.url ?? "")?.[1];
  if (serverId === undefined) {
    throw new Refusal(404, "not_found_error", "The route of an MCP server is /mcp/ and the 32 hex digits of its id.");
  }
  const { method, headers } = request;
  if (method !== "POST" && method !== "GET" && method !== "DELETE") {
    const text = `${method ?? ""} is no method of the MCP transport. It uses POST, GET and DELETE.`;
    throw new Refusal(405, "invalid_request_error", text);
  }
  const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  if (method !== "POST" && hasBody) throw new Refusal(400, "invalid_request_error", `A ${method} has no body here.`);
  if (method === "POST" && !/^application\/json\s*(?:;|$)/i.test(headers["content-type"] ?? "")) {
    throw new Refusal(415, "invalid_request_error", "Messages to an MCP server are application/json.");
  }
  const coding = headers["content-encoding"];
  if (coding !== undefined && coding !== "identity") {
    throw new Refusal(415, "invalid_request_error", "Messages to an MCP server must not be compressed.");
  }
  return { method, serverId };
}

/** How much of a body is looked at. */
const HEAD_BYTES = 512;
const NAME = "[A-Za-z][\\w./$-]{0,63}";
/** Behind nothing but the version and the id, so that the word `method` within arguments is not taken for it. */
const METHOD = new RegExp(
  `^\\s*\\{(?:\\s*"(?:jsonrpc|id)"\\s*:\\s*(?:"[^"\\\\]*"|-?\\d+|null)\\s*,)*\\s*"method"\\s*:\\s*"(${NAME})"`,
);

/**
 * The JSON-RPC method of a message, for example `tools/call`, if it can be told from the message's beginning or from
 * `Mcp-Method`; else what the HTTP method means. Never any argument.
 */
export function purposeOf(method: McpMethod, body: Buffer | null, mcpMethod: string | string[] | undefined): string {
  if (method === "GET") return "event stream";
  if (method === "DELETE") return "end of the MCP session";
  const inBody = METHOD.exec(body?.toString("latin1", 0, HEAD_BYTES) ?? "")?.[1];
  if (inBody !== undefined) return inBody;
  if (typeof mcpMethod === "string" && new RegExp(`^${NAME}$`).test(mcpMethod)) return mcpMethod;
  return "message";
}

/** Methods of the protocol that only read or may come twice. */
const HARMLESS =
  /^(?:event stream|end of the MCP session|initialize|ping|server\/discover|notifications\/.+|.+\/list|resources\/read|prompts\/get|completion\/complete|logging\/setLevel)$/;

/** True when it may be sent again although it is not known whether the server has already read it. */
export const mayComeTwice = (purpose: string): boolean => HARMLESS.test(purpose);
