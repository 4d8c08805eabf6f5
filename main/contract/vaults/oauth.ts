/** Signing in to an MCP server: what the engine asks of the broker, which alone sees codes, tokens and client secrets. */
import type { CredentialAuth } from "./auth.ts";
import type { SecretRef } from "./broker_api.ts";

export interface OAuthBegin extends SecretRef {
  /** Chosen by the engine: 32 hex digits. The tokens are sealed under `secret_id` when the sign-in is done. */
  flow_id: string;
  mcp_server_url: string;
  /** Scopes to ask for; null for what the server names. */
  scopes: string[] | null;
  /** A client that was registered beforehand; null registers one (metadata document, else dynamic registration). */
  client: { client_id: string; client_secret: string | null } | null;
}

export type OAuthFlow = {
  flow_id: string;
  /** For the person's own browser; ends at a loopback address of the broker. */
  authorization_url: string;
  /** Host of the authorization server, for people. */
  authorization_server: string;
} & (
  | { state: "waiting" }
  /** `auth` is the shown half of the credential that was sealed; `scopes` what was granted, null when nobody said. */
  | { state: "done"; auth: CredentialAuth; scopes: string[] | null }
  /** In words that a person can act on. */
  | { state: "failed"; message: string }
);

/** What the authorization server did with the tokens of a credential (RFC 7009). The sealed values stay until they are purged. */
export interface OAuthRevocation {
  /** `unsupported`: it offers no way to take tokens back. `failed`: it did not answer, or refused. */
  state: "revoked" | "unsupported" | "failed";
  /** In words that a person can act on. */
  message: string;
}
