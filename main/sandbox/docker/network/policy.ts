/** From an environment's `networking` to what its sandboxes may reach. */
import { matchingPattern } from "../../../contract/egress.ts";
import type { SessionSnapshot } from "../../../contract/events.ts";
import type { EgressPolicy } from "../ports.ts";
import { PACKAGE_REGISTRIES } from "./registries.ts";

type Config = SessionSnapshot["environment"]["config"];

/**
 * What the contract's configuration allows. `allow_mcp_servers` adds nothing: MCP servers are called from outside the
 * sandbox. A configuration without a network of ours (`self_hosted`) allows nothing.
 */
export function egressPolicy(config: Config): EgressPolicy {
  if (config.type !== "cloud") return { mode: "limited", allowed_hosts: [] };
  const { networking } = config;
  if (networking.type === "unrestricted") return { mode: "unrestricted" };
  const registries = networking.allow_package_managers ? PACKAGE_REGISTRIES : [];
  return { mode: "limited", allowed_hosts: [...new Set([...networking.allowed_hosts, ...registries])] };
}

/** The setting by which a host is allowed, in words; null when none allows it. @param host canonical */
export function allowingRule(config: Config, host: string): string | null {
  if (config.type !== "cloud" || config.networking.type !== "limited") return null;
  const pattern = matchingPattern(config.networking.allowed_hosts, host);
  if (pattern !== null) return `allowed_hosts: ${pattern}`;
  const registry = config.networking.allow_package_managers && matchingPattern(PACKAGE_REGISTRIES, host) !== null;
  return registry ? "allow_package_managers" : null;
}
