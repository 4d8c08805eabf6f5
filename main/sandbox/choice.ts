/** Which provider a session's sandbox is made with. */
import type { SandboxState } from "../contract/fold.ts";
import type { SandboxKind, SandboxProvider } from "./port.ts";

export interface SandboxProviders {
  /**
   * The provider for a session that has no sandbox yet. May contact a container engine: call it only when the sandbox is
   * needed now. Rejects with SandboxLost when the one that was asked for cannot be had.
   * @param asked what the session's environment asks for; null leaves the choice to the setting and to what answers
   */
  choose(asked: SandboxKind | null): Promise<SandboxProvider>;
  of(kind: SandboxKind): SandboxProvider;
  /**
   * What makes a session's first sandbox when the image of the chosen provider cannot be had: a machine with an engine
   * and without its registry must still do its work. Null when containers were demanded.
   */
  instead(asked: SandboxKind | null): SandboxProvider | null;
}

/** Environment metadata key that names a provider. */
export const PROVIDER_KEY = "longhaul.sandbox";

/** The kind of the sandbox that a session has had: its files are there and nowhere else. Null before the first one. */
export function knownKind(sandbox: SandboxState | null): SandboxKind | null {
  if (sandbox?.made !== true) return null;
  return sandbox.provider === "docker" ? "docker" : "embedded";
}

/** Keys that mean something in a container only. */
const CONTAINER_KEYS = ["longhaul.image", "longhaul.runtime"];

/** What an environment's metadata asks for. */
export function askedKind(metadata: Record<string, string> | undefined): SandboxKind | null {
  const asked = metadata?.[PROVIDER_KEY];
  if (asked === "docker" || asked === "embedded") return asked;
  return CONTAINER_KEYS.some((key) => metadata?.[key] !== undefined) ? "docker" : null;
}

/** Always the same provider. */
export function onlyProvider(provider: SandboxProvider): SandboxProviders {
  return { choose: () => Promise.resolve(provider), of: () => provider, instead: () => null };
}
