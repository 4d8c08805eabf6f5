/** Repositories that sessions attach by URL: how their addresses are compared, and what the broker is told of them. */
import type { SessionResource } from "../events.ts";
import type { CredentialRef, RepositoryGrant } from "./grants.ts";

export type RemoteRepository = Extract<SessionResource, { type: "github_repository" }>;
export type PushPolicy = RepositoryGrant["push"];

/** Key of a session's metadata that says what becomes of its pushes. */
export const PUSH_KEY = "longhaul.push";
export const PUSH_POLICIES: readonly PushPolicy[] = ["allow", "ask", "deny"];

/** What a session's metadata says of pushes; a person is asked when it says nothing. */
export function pushPolicy(metadata: Readonly<Record<string, string>>): PushPolicy {
  return PUSH_POLICIES.find((policy) => policy === metadata[PUSH_KEY]) ?? "ask";
}

/**
 * Name of a repository in the routes `git/<name>`: host and path. Two URLs of one repository have the same: upper case in
 * the host, the scheme's own port, slashes and `.git` at the end make no difference. Over plain http the port is always
 * named, so that nobody gets the one for the other.
 * @param url an http or https URL
 */
export function repositoryRoute(url: string): string {
  const { protocol, hostname, port, pathname } = new URL(url);
  const at = protocol === "http:" ? `:${port || "80"}` : port === "" ? "" : `:${port}`;
  return `${hostname}${at}${barePath(pathname)}`;
}

/** The same form for what a request names, which is compared and never used as an address. */
export function askedRoute(name: string): string {
  const slash = name.indexOf("/");
  return slash === -1 ? name.toLowerCase() : name.slice(0, slash).toLowerCase() + barePath(name.slice(slash));
}

function barePath(path: string): string {
  return path.replace(/\/+$/, "").replace(/\.git$/, "");
}

/** The one branch that a session may push to. */
export function sessionBranch(sessionId: string): string {
  return `longhaul/${sessionId}`;
}

/** What the broker is told of an attached repository. @param token null when it is read without one, and not pushed to */
export function repositoryGrant(
  sessionId: string,
  resource: Pick<RemoteRepository, "id" | "url">,
  token: CredentialRef | null,
  push: PushPolicy = "ask",
): RepositoryGrant {
  const branch = `refs/heads/${sessionBranch(sessionId)}`;
  return { resource_id: resource.id, url: resource.url, token, branch, push };
}

/**
 * Every way to write the address of a repository that git understands, as prefixes: its URL, and for one at the https
 * port what people paste in its place.
 */
export function spellings(url: string): string[] {
  const { protocol, host, pathname } = new URL(url);
  const path = barePath(pathname);
  const plain = `${protocol}//${host}${path}`;
  if (protocol !== "https:" || /:\d+$/.test(host)) return [plain];
  return [plain, `git@${host}:${path.slice(1)}`, `ssh://git@${host}${path}`, `git://${host}${path}`];
}
