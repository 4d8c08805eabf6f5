/** Which MCP servers an environment's network lets its sessions use, though the calls are made outside of the sandbox. */
import { canonicalHost, matchingPattern } from "../egress.ts";
import type { SessionSnapshot } from "../events.ts";

type Config = SessionSnapshot["environment"]["config"];

/**
 * Why the server is closed to sessions of the environment, in words that say what to change; null when it is open. A limited
 * network needs `allow_mcp_servers` or the server's host among `allowed_hosts`.
 */
export function closedMcpServer(config: Config, { name, url }: { name: string; url: string }): string | null {
  if (config.type !== "cloud" || config.networking.type !== "limited" || config.networking.allow_mcp_servers)
    return null;
  if (!URL.canParse(url)) return `The address of the MCP server ${name} is not a URL.`;
  const { hostname } = new URL(url);
  const host = canonicalHost(hostname);
  if (host !== null && matchingPattern(config.networking.allowed_hosts, host) !== null) return null;
  return (
    `The session's environment has a limited network that does not include ${hostname}, the host of the MCP server ${name}. ` +
    "Set `allow_mcp_servers` in the environment, or add the host to its `allowed_hosts`, and start a new session."
  );
}
