/** The sandbox settings of an environment: where they are kept, and how they read. */
import type { SessionSnapshot } from "../../../main/contract/events.ts";
import type { SessionFold } from "../../../main/contract/fold.ts";

type Environment = SessionSnapshot["environment"];

/** Metadata keys of an environment that set up the sandbox. */
export const SETTING_KEYS = {
  provider: "longhaul.sandbox",
  image: "longhaul.image",
  memory: "longhaul.memory",
  cpus: "longhaul.cpus",
  pids: "longhaul.pids",
  runtime: "longhaul.runtime",
} as const;

export type SandboxSetting = keyof typeof SETTING_KEYS;

/** A setting of an environment; an empty text when it leaves the choice to Longhaul. */
export function settingOf(
  environment: { metadata?: Record<string, string> | undefined },
  name: SandboxSetting,
): string {
  return environment.metadata?.[SETTING_KEYS[name]] ?? "";
}

/** The kind of the session's sandbox: of the one it has had, else of the one its environment asks for; null: not decided yet. */
export function kindOf(fold: SessionFold): string | null {
  return fold.sandbox?.provider ?? (settingOf(fold.environment, "provider") || null);
}

/** True when the calls run on the machine of a worker: then there is no sandbox here. */
export function isHosted(fold: SessionFold): boolean {
  return fold.environment.config.type === "self_hosted";
}

/** What an environment's network lets out, in words. */
export function networkOf(environment: Pick<Environment, "config">): string {
  const { config } = environment;
  if (config.type !== "cloud") return "whatever its worker's machine can reach";
  const { networking } = config;
  if (networking.type === "unrestricted") return "any public host; not this machine, private or metadata addresses";
  const parts = [...networking.allowed_hosts];
  if (networking.allow_package_managers) parts.push("package registries");
  if (networking.allow_mcp_servers) parts.push("the agent's MCP servers");
  return parts.length === 0 ? "nothing outside the sandbox" : parts.join(", ");
}

/** Packages that an environment installs, as `apt: jq, sqlite3`; empty when there are none. */
export function packagesOf(environment: Pick<Environment, "config">): string[] {
  const { config } = environment;
  if (config.type !== "cloud" || config.packages === undefined || config.packages === null) return [];
  return Object.entries(config.packages).flatMap(([manager, names]) =>
    Array.isArray(names) && names.length > 0 ? [`${manager}: ${names.join(", ")}`] : [],
  );
}
