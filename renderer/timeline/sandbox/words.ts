/** What the ways of a sandbox are called. */
import type { SandboxOrigin } from "../../../main/contract/events.ts";

/** `Docker container`, `embedded sandbox`: in the middle of a sentence. */
export function sandboxName(provider: string): string {
  if (provider === "docker") return "Docker container";
  if (provider === "embedded") return "embedded sandbox";
  return `${provider} sandbox`;
}

/** The same at the beginning of a sentence. */
export function sandboxTitle(provider: string): string {
  const name = sandboxName(provider);
  return `${name[0]?.toUpperCase() ?? ""}${name.slice(1)}`;
}

/** One line for a sandbox that is ready. `again`: it takes the place of one that was lost. */
export function readyText(provider: string, how: SandboxOrigin, again: boolean): string {
  const name = sandboxName(provider);
  switch (how) {
    case "adopted":
      return `Took the ${name} on again: it had stayed alive`;
    case "restarted":
      return `Started the ${name} again, with its files`;
    case "restored":
      return `Rebuilt the ${name} from its last checkpoint`;
    default:
      return again ? `New ${name} ready` : `${sandboxTitle(provider)} ready`;
  }
}

/** How a session came to its sandbox, in one word for a narrow column. */
export const ORIGINS: Record<SandboxOrigin, string> = {
  created: "created",
  adopted: "adopted",
  restarted: "restarted",
  restored: "restored",
};
