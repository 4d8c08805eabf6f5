/** Shapes of `/longhaul/v1/connections`: credentials as a person looks at them. No value of a credential is in any. */
import type { CredentialAuth } from "./auth.ts";
import type { CredentialUse } from "./grants.ts";
import type { OAuthRevocation } from "./oauth.ts";

/** `refused`: as far as is known it is not accepted any more, and signing in does not help or is not possible. */
export type ConnectionState = "connected" | "sign_in_needed" | "refused";

/** The last time that a session used a credential, or wanted to. */
export interface LastUse {
  /** ISO 8601. */
  at: string;
  session_id: string;
  /** What the session is called; null when it was deleted. */
  session_title: string | null;
  route: CredentialUse["route"];
  host: string;
  decision: CredentialUse["decision"];
  reason: string;
}

/** An active credential of a vault that is not archived. */
export interface Connection {
  /** Id of the credential. */
  id: string;
  type: "connection";
  vault: { id: string; display_name: string };
  display_name: string | null;
  /** What it is for: the address of an MCP server or the name of a variable, and how it authenticates. */
  auth: CredentialAuth;
  state: ConnectionState;
  /** Why it is not connected and what to do; null when it is. */
  problem: string | null;
  /** Scopes that were granted; null when nobody said. */
  scopes: string[] | null;
  /** Host that the person signed in at; null when the tokens came another way. */
  authorization_server: string | null;
  /** The client that was registered beforehand; null when Longhaul registers one. Its secret is needed to sign in again. */
  client: { client_id: string; has_secret: boolean } | null;
  created_at: string;
  updated_at: string;
  /** When it was last tried at its server, and what came of it; null when never since its value was sealed. */
  checked: { at: string; status: "valid" | "invalid" | "unknown"; summary: string } | null;
  last_use: LastUse | null;
}

/** Signing in to an MCP server in the person's browser. */
export interface SignIn {
  id: string;
  type: "connection_sign_in";
  state: "waiting" | "done" | "failed" | "cancelled";
  mcp_server_url: string;
  vault_id: string;
  /** The connection that it makes or renews; null until there is one. */
  connection_id: string | null;
  /** For the person's browser; null when it is over, or for as long as the broker does not answer. */
  authorization_url: string | null;
  /** Host of the authorization server; null when it was never reached. */
  authorization_server: string | null;
  /** Why it failed and what to do. */
  message: string | null;
  started_at: string;
}

/** Answer of `GET /longhaul/v1/connections`. */
export interface ConnectionList {
  data: Connection[];
  /** Those that wait for the person, and those that failed lately and were not put away. */
  sign_ins: SignIn[];
}

/** Answer of `GET /longhaul/v1/connections/{id}`. */
export interface ConnectionDetails extends Connection {
  /** Sessions that are not over and use its vault, newest first; a long list is cut. */
  sessions: { id: string; title: string }[];
}

/** Answer of `DELETE /longhaul/v1/connections/{id}`. */
export interface ConnectionRemoved {
  id: string;
  type: "connection_removed";
  /** What became of the tokens at the server that gave them; Longhaul's own copy is gone in any case. */
  revocation: OAuthRevocation;
}
