/** The MCP client package, loaded at the first sign-in: the broker starts without it. */
type McpAuth = typeof import("@modelcontextprotocol/client");

export const mcpAuth = (): Promise<McpAuth> => import("@modelcontextprotocol/client");
