import { createHash } from "node:crypto";

/**
 * The name of an MCP server in the broker's route `mcp/<id>` and in the grants of sessions (`McpGrant.id`): 32 hex digits.
 * @param url exactly as the agent has it: a slash at the end can be another server
 */
export function mcpServerId(url: string): string {
  return createHash("sha256").update(url).digest("hex").slice(0, 32);
}
