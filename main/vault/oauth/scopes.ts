/** Which scopes a sign-in asks for. */
import type { Grant } from "../credentials/grant.ts";
import { type Challenge, scopesOf } from "./challenges.ts";
import type { AuthorizationServer } from "./discovery/discover.ts";

export interface ScopeWish {
  /** Chosen by a person; null for what the server names. */
  named: readonly string[] | null;
  challenge: Challenge | null;
  server: AuthorizationServer;
  /** The credential's newest value; null when there is none. */
  before: Grant | null;
}

/**
 * What the refused request needed, else what the MCP server lists, else none. When the last token was good and allowed
 * too little, what was asked for before is asked for again, since the new token takes the place of the old one.
 */
export function scopesToAsk({ named, challenge, server, before }: ScopeWish): string[] {
  const wanted = named ?? challenge?.scopes ?? server.scopes ?? [];
  const kept = named === null && challenge?.error === "insufficient_scope" ? scopesBefore(before, server) : [];
  const scopes = [...new Set([...kept, ...wanted])];
  // Without any scope the server gives its own choice, which one scope alone would narrow down to nothing.
  if (scopes.length === 0) return scopes;
  const offline = server.metadata.scopes_supported?.includes("offline_access") === true;
  return offline && !scopes.includes("offline_access") ? [...scopes, "offline_access"] : scopes;
}

/** What was asked for at this authorization server; nothing of another one, which may mean other things by its scopes. */
export function scopesBefore(before: Grant | null, server: AuthorizationServer): string[] {
  if (before === null || before.auth.type !== "mcp_oauth") return [];
  const { origin, auth } = before;
  if (origin !== undefined) return origin.issuer === server.issuer ? (origin.scopes ?? []) : [];
  const { refresh } = auth;
  return refresh?.token_endpoint === server.metadata.token_endpoint ? scopesOf(refresh.scope ?? "") : [];
}
