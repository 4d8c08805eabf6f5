/** From an environment's `networking` to what its sandboxes may reach. */
import { matchingPattern } from "../../../contract/egress.ts";
import type { SessionSnapshot } from "../../../contract/events.ts";
import type { VariableGrant } from "../../../contract/vaults/grants.ts";
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

/** A credential and those of its hosts that the environment's network does not allow. */
export interface UnreachableCredential {
  vault_id: string;
  credential_id: string;
  /** Host patterns of the credential. */
  hosts: string[];
}

/**
 * Credentials of variables whose hosts cannot be reached from a sandbox with this configuration. A pattern with a wildcard
 * counts as reachable when a part of it is; a credential for every host is for those that can be reached.
 */
export function unreachableCredentials(
  config: Config,
  variables: readonly Pick<VariableGrant, "credential" | "hosts">[],
): UnreachableCredential[] {
  const policy = egressPolicy(config);
  if (policy.mode === "unrestricted") return [];
  return variables.flatMap(({ credential: { vault_id, credential_id }, hosts }) => {
    const closed = (hosts ?? []).filter((host) => !policy.allowed_hosts.some((allowed) => overlap(host, allowed)));
    return closed.length === 0 ? [] : [{ vault_id, credential_id, hosts: closed }];
  });
}

/** True when there is a host that both patterns match. */
function overlap(one: string, other: string): boolean {
  const [a, b] = [one.toLowerCase(), other.toLowerCase()];
  if (!a.startsWith("*.")) return matchingPattern([b], a) !== null;
  if (!b.startsWith("*.")) return matchingPattern([a], b) !== null;
  return a.endsWith(b.slice(1)) || b.endsWith(a.slice(1));
}

/** The setting by which a host is allowed, in words; null when none allows it. @param host canonical */
export function allowingRule(config: Config, host: string): string | null {
  if (config.type !== "cloud") return null;
  if (config.networking.type === "unrestricted") return "unrestricted";
  const pattern = matchingPattern(config.networking.allowed_hosts, host);
  if (pattern !== null) return `allowed_hosts: ${pattern}`;
  const registry = config.networking.allow_package_managers && matchingPattern(PACKAGE_REGISTRIES, host) !== null;
  return registry ? "allow_package_managers" : null;
}
