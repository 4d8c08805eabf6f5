/** A new environment as it is being written in the form: kept across reloads, checked before it is sent. */
import type { EnvironmentCreateParams } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import type { SessionSnapshot } from "../../../main/contract/events.ts";
import { settingProblem } from "../../../main/contract/schemas/sandbox_settings.ts";
import { type SandboxSetting, SETTING_KEYS, settingOf } from "../../desk/sandbox/settings.ts";
import { load, save } from "../../store/kept/saved.ts";

export const MANAGERS = ["apt", "npm", "pip", "cargo", "gem", "go"] as const;
export type Manager = (typeof MANAGERS)[number];

export interface EnvironmentDraft {
  /** Empty: a name is made from the choices. */
  name: string;
  sandbox: "" | "docker" | "embedded";
  network: "limited" | "unrestricted";
  registries: boolean;
  /** Host names as they were typed, separated by spaces, commas or lines. */
  hosts: string;
  /** Package names as they were typed, per manager. */
  packages: Record<Manager, string>;
  image: string;
  memory: string;
  cpus: string;
  pids: string;
  runtime: string;
}

export type DraftField = SandboxSetting | "name" | "hosts" | "packages";

/** What is proposed: a sandbox that reaches package registries and nothing else. */
export const NEW_DRAFT: EnvironmentDraft = {
  name: "",
  sandbox: "",
  network: "limited",
  registries: true,
  hosts: "",
  packages: { apt: "", npm: "", pip: "", cargo: "", gem: "", go: "" },
  image: "",
  memory: "",
  cpus: "",
  pids: "",
  runtime: "",
};

const KEY = "new.environment_draft";

/** Value of the form's environment choice that stands for the draft. */
export const NEW_ENVIRONMENT = "new";

function isDraft(value: unknown): value is EnvironmentDraft {
  if (typeof value !== "object" || value === null) return false;
  const draft = value as Record<string, unknown>;
  const { packages } = draft;
  return (
    Object.entries(NEW_DRAFT).every(([key, known]) => typeof draft[key] === typeof known) &&
    typeof packages === "object" &&
    packages !== null &&
    MANAGERS.every((manager) => typeof (packages as Record<string, unknown>)[manager] === "string")
  );
}

export function loadDraft(): EnvironmentDraft {
  return load(KEY, NEW_DRAFT, isDraft);
}

export function saveDraft(draft: EnvironmentDraft | null): void {
  save(KEY, draft);
}

function words(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((word) => word !== ""))];
}

/** Hosts as the contract takes them: of a pasted address only the host is kept. */
export function hostsOf(text: string): string[] {
  const bare = words(text).map((word) =>
    word
      .replace(/^[a-z]+:\/\//i, "")
      .replace(/[/?#].*$/, "")
      .replace(/:\d+$/, ""),
  );
  return [...new Set(bare)].filter((host) => host !== "");
}

const HOST = /^(\*\.)?[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;

const ADVANCED = ["image", "memory", "cpus", "pids", "runtime"] as const;

/** True when the embedded sandbox was chosen: it has no network, no packages and no limits to set. */
function isEmbedded(draft: EnvironmentDraft): boolean {
  return draft.sandbox === "embedded";
}

function wantsPackages(draft: EnvironmentDraft): boolean {
  return MANAGERS.some((manager) => words(draft.packages[manager]).length > 0);
}

/** What is wrong with the draft, by field; empty when it can be sent. */
export function problemsOf(draft: EnvironmentDraft): Partial<Record<DraftField, string>> {
  const problems: Partial<Record<DraftField, string>> = {};
  if (isEmbedded(draft)) return problems;
  const wrong = draft.network === "limited" ? hostsOf(draft.hosts).find((host) => !HOST.test(host)) : undefined;
  if (wrong !== undefined) {
    problems.hosts = `“${wrong.slice(0, 80)}” is no host name. Write hosts such as api.example.com or *.example.com.`;
  }
  if (draft.network === "limited" && !draft.registries && wantsPackages(draft)) {
    problems.packages = "Packages come from their registries: allow those above, or leave the packages out.";
  }
  for (const name of ADVANCED) {
    const value = draft[name].trim();
    const problem = value === "" ? null : settingProblem(SETTING_KEYS[name], value);
    if (problem !== null) problems[name] = `It ${problem}.`;
  }
  return problems;
}

/** A name that says what was chosen: `Docker, registries and 2 hosts`. */
export function nameOf(draft: EnvironmentDraft): string {
  if (draft.name.trim() !== "") return draft.name.trim();
  if (isEmbedded(draft)) return "Embedded sandbox";
  const kind = draft.sandbox === "docker" ? "Docker" : "Automatic";
  const hosts = hostsOf(draft.hosts);
  const listed = hosts.length === 1 ? (hosts[0] ?? "") : `${hosts.length} hosts`;
  const reach =
    draft.network === "unrestricted"
      ? "open network"
      : [...(draft.registries ? ["registries"] : []), ...(hosts.length > 0 ? [listed] : [])].join(" and ") ||
        "no network";
  return [kind, reach, draft.image.trim()].filter((part) => part !== "").join(", ");
}

/** The request that makes the environment. `taken`: names that others have. */
export function paramsOf(draft: EnvironmentDraft, taken: ReadonlySet<string>): EnvironmentCreateParams {
  const embedded = isEmbedded(draft);
  const metadata: Record<string, string> = {};
  if (draft.sandbox !== "") metadata[SETTING_KEYS.provider] = draft.sandbox;
  if (!embedded)
    for (const name of ADVANCED) if (draft[name].trim() !== "") metadata[SETTING_KEYS[name]] = draft[name].trim();
  const packages = Object.fromEntries(
    MANAGERS.flatMap((manager) => {
      const names = words(draft.packages[manager]);
      return names.length > 0 ? [[manager, names]] : [];
    }),
  );
  const limited = {
    type: "limited" as const,
    allowed_hosts: hostsOf(draft.hosts),
    allow_package_managers: draft.registries,
    allow_mcp_servers: false,
  };
  return {
    name: freeName(nameOf(draft), taken),
    config: {
      type: "cloud",
      networking: draft.network === "unrestricted" && !embedded ? { type: "unrestricted" } : limited,
      ...(embedded || !wantsPackages(draft) ? {} : { packages }),
    },
    metadata,
  };
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let n = 1; ; n++) {
    const candidate = n === 1 ? name : `${name} (${n})`;
    if (!taken.has(candidate)) return candidate;
  }
}

/** The draft that copies an environment. */
export function draftOf(environment: SessionSnapshot["environment"]): EnvironmentDraft {
  const { config } = environment;
  const provider = settingOf(environment, "provider");
  const draft: EnvironmentDraft = {
    ...NEW_DRAFT,
    sandbox: provider === "docker" || provider === "embedded" ? provider : "",
  };
  for (const name of ADVANCED) draft[name] = settingOf(environment, name);
  if (config.type !== "cloud") return draft;
  const { networking, packages } = config;
  draft.packages = { ...NEW_DRAFT.packages };
  for (const manager of MANAGERS) draft.packages[manager] = (packages?.[manager] ?? []).join(" ");
  if (networking.type === "unrestricted") return { ...draft, network: "unrestricted" };
  return { ...draft, registries: networking.allow_package_managers, hosts: networking.allowed_hosts.join("\n") };
}

/** Prepares the form for a new session: the environment that a session had, and one host more. */
export function allowHost(environment: SessionSnapshot["environment"] | null, host: string): void {
  const draft = environment === null ? NEW_DRAFT : draftOf(environment);
  const hosts = [...new Set([...hostsOf(draft.hosts), host])].join("\n");
  saveDraft({ ...draft, hosts, network: "limited" });
  save("new.environment", NEW_ENVIRONMENT);
}
