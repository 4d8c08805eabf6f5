/** Small facts about sessions that several places show. */
import type { SessionFold } from "../../main/contract/fold.ts";

/** The last part of a path: what a person calls the folder. */
export function folderName(path: string): string {
  return path.split(/[\\/]/).filter(Boolean).at(-1) ?? path;
}

/** Says that no real model answers here. */
export function DemoBadge() {
  return (
    <span
      data-testid="demo-badge"
      title="A script that comes with Longhaul answers in place of a model. It costs nothing and needs no network."
      className="shrink-0 rounded-sm border border-model/50 px-1.5 text-meta text-model"
    >
      offline demo
    </span>
  );
}

/** Where calls run, in one sentence. */
export function sandboxText(fold: SessionFold): string {
  const provider = fold.sandbox?.provider;
  if (provider === "docker") return "in this session's container";
  if (provider === "embedded") return "in this session's embedded sandbox, on a copy of the files";
  return "in this session's sandbox, which is made for it";
}

/** What the sandbox can reach, in one sentence. */
export function networkText(fold: SessionFold): string {
  if ((fold.sandbox?.provider ?? "embedded") === "embedded")
    return "nothing outside: the embedded sandbox has no network";
  const { config } = fold.environment;
  if (config.type !== "cloud") return "whatever its worker's machine can reach";
  const { networking } = config;
  if (networking.type === "unrestricted") return "any host on the internet";
  const parts = [...networking.allowed_hosts];
  if (networking.allow_package_managers) parts.push("package registries");
  if (networking.allow_mcp_servers) parts.push("the agent's MCP servers");
  return parts.length === 0 ? "nothing outside the sandbox" : parts.join(", ");
}
