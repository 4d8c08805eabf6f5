/** MCP tools under the grants as they are now: a sign-in, a new value or an archived credential counts from the next use. */
import { McpError, type McpTools } from "../../tools/mcp/port.ts";
import type { GrantsRegister } from "./register.ts";

export function grantedMcp(mcp: McpTools, grants: Pick<GrantsRegister, "ensure">): McpTools {
  const ensured = async (sessionId: string): Promise<void> => {
    try {
      await grants.ensure(sessionId);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new McpError(
        "locked",
        "no",
        `What the session may use could not be told to the credential broker: ${reason}`,
      );
    }
  };
  return {
    list: async (sessionId, server, signal, fresh) => {
      await ensured(sessionId);
      return mcp.list(sessionId, server, signal, fresh);
    },
    hasChanged: (sessionId, server) => mcp.hasChanged(sessionId, server),
    call: async (call, signal, onProgress) => {
      await ensured(call.session_id);
      return mcp.call(call, signal, onProgress);
    },
    drop: (sessionId) => mcp.drop(sessionId),
    dropConnections: () => mcp.dropConnections(),
    close: () => mcp.close(),
  };
}
