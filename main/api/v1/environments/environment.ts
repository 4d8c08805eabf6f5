/** Environments as requests give them → as responses show them, and the merge rules of an update. */
import { isDeepStrictEqual } from "node:util";
import { invalid } from "../../../contract/errors.ts";
import type {
  EnvironmentConfigParams,
  EnvironmentCreate,
  EnvironmentUpdate,
} from "../../../contract/schemas/environments.ts";
import type { Environment } from "../../../session/catalog.ts";
import { patchedMetadata } from "../agents/agent.ts";

type Config = Environment["config"];
type CloudConfig = Extract<Config, { type: "cloud" }>;
type CloudParams = Extract<EnvironmentConfigParams, { type: "cloud" }>;

const DEFAULT_CONFIG: CloudConfig = {
  type: "cloud",
  networking: { type: "unrestricted" },
  packages: { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
};

export function newEnvironment(id: string, at: string, params: EnvironmentCreate): Environment {
  return {
    id,
    type: "environment",
    name: params.name,
    description: params.description ?? null,
    config: materialiseConfig(params.config ?? DEFAULT_CONFIG, DEFAULT_CONFIG),
    metadata: params.metadata ?? {},
    scope: "organization",
    created_at: at,
    updated_at: at,
    archived_at: null,
  };
}

/** The environment after an update, or the same object when it changes nothing. Omitted fields are kept. */
export function updatedEnvironment(environment: Environment, at: string, params: EnvironmentUpdate): Environment {
  const next: Environment = { ...environment };
  if (params.name != null) next.name = params.name;
  if (params.description !== undefined) next.description = params.description;
  if (params.config != null) next.config = updatedConfig(environment.config, params.config);
  if (params.metadata !== undefined) {
    const patch = Object.entries(params.metadata).map(([key, value]) => [key, value === "" ? null : value] as const);
    next.metadata = patchedMetadata(environment.metadata, Object.fromEntries(patch));
  }
  return isDeepStrictEqual(next, environment) ? environment : { ...next, updated_at: at };
}

function updatedConfig(before: Config, params: EnvironmentConfigParams): Config {
  if (before.type !== params.type) {
    invalid(
      `\`config.type\` cannot change from ${JSON.stringify(before.type)} to ${JSON.stringify(params.type)}. Create a new environment.`,
      "invalid_config_type_change",
    );
  }
  return before.type === "cloud" ? materialiseConfig(params, before) : before;
}

function materialiseConfig(params: EnvironmentConfigParams, before: CloudConfig): Config {
  if (params.type === "self_hosted") return { type: "self_hosted" };
  const networking = materialiseNetworking(params.networking, before.networking);
  const packages = materialisePackages(params.packages, before.packages);
  const wanted = Object.values(packages).some((list) => Array.isArray(list) && list.length > 0);
  if (wanted && networking.type === "limited" && !networking.allow_package_managers) {
    invalid(
      "`config.packages` needs `config.networking.allow_package_managers: true` while networking is limited. Allow it or remove the packages.",
    );
  }
  return { type: "cloud", networking, packages };
}

function materialiseNetworking(
  params: CloudParams["networking"],
  before: CloudConfig["networking"],
): CloudConfig["networking"] {
  if (params == null) return before;
  if (params.type === "unrestricted") return { type: "unrestricted" };
  const kept = before.type === "limited" ? before : undefined;
  return {
    type: "limited",
    allow_mcp_servers: params.allow_mcp_servers ?? kept?.allow_mcp_servers ?? false,
    allow_package_managers: params.allow_package_managers ?? kept?.allow_package_managers ?? false,
    allowed_hosts: params.allowed_hosts ?? kept?.allowed_hosts ?? [],
  };
}

function materialisePackages(
  params: CloudParams["packages"],
  before: CloudConfig["packages"],
): CloudConfig["packages"] {
  return {
    type: "packages",
    apt: params?.apt ?? before.apt,
    cargo: params?.cargo ?? before.cargo,
    gem: params?.gem ?? before.gem,
    go: params?.go ?? before.go,
    npm: params?.npm ?? before.npm,
    pip: params?.pip ?? before.pip,
  };
}
