/** What the session is told of an MCP server that could not be used. The server is tried again in the next turn. */
import type { EventDraft } from "../../contract/events.ts";
import type { McpError } from "../../tools/mcp/port.ts";

const TYPES = {
  connection: "mcp_connection_failed_error",
  locked: "mcp_connection_failed_error",
  protocol: "mcp_connection_failed_error",
  authentication: "mcp_authentication_failed_error",
} as const;

export function serverError(name: string, { kind, message }: McpError): EventDraft {
  return {
    type: "session.error",
    error: { type: TYPES[kind], mcp_server_name: name, message, retry_status: { type: "retrying" } },
  };
}
