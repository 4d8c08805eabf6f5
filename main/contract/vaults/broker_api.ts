/** What the engine asks of the broker about credentials, over the control routes. Values go in and never come back. */
import type {
  BetaManagedAgentsCredentialValidationStatus,
  BetaManagedAgentsMCPProbe,
  BetaManagedAgentsRefreshObject,
} from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { CredentialHalves } from "./auth.ts";
import type { OAuthBegin, OAuthFlow, OAuthRevocation } from "./oauth.ts";

/** Names one sealed value. A changed credential gets a new `secret_id`, so that its record decides which value counts. */
export interface SecretRef {
  vault_id: string;
  credential_id: string;
  secret_id: string;
}

export interface SealRequest extends SecretRef, CredentialHalves {
  /** The value that this one continues: secrets that are not given here are taken over from it. Null for a new credential. */
  from: string | null;
}

export interface ValidateRequest extends SecretRef {
  /** What the value is bound to; see `issuerOf`. */
  issuer: string;
}

export interface ValidationOutcome {
  status: BetaManagedAgentsCredentialValidationStatus;
  mcp_probe: BetaManagedAgentsMCPProbe | null;
  refresh: BetaManagedAgentsRefreshObject | null;
  /** Set when new tokens were sealed: when the new access token expires, null when the server did not say. */
  refreshed?: { expires_at: string | null };
}

/** The broker as the API sees it. Every method rejects with ApiError in words that a person can act on. */
export interface CredentialVault {
  /** Durable when it resolves. Takes the place of what had the same `secret_id`. */
  seal(request: SealRequest): Promise<void>;
  /** Everything that is sealed, without its values. */
  sealed(): Promise<SecretRef[]>;
  /** Removes values for good; unknown ids are no error. */
  purge(secretIds: readonly string[]): Promise<void>;
  /** Tries the credential at its MCP server, with a refresh when that answers 401; takes at most about 40 s. */
  validate(request: ValidateRequest): Promise<ValidationOutcome>;
  /** Begins a sign-in; the answer is `waiting` with the address for the person's browser. Seals nothing yet. */
  beginOAuth(request: OAuthBegin): Promise<OAuthFlow>;
  /**
   * How a sign-in stands; waits up to `waitMs` for it to be over. Null for one that the broker does not know: it was
   * cancelled, or the broker was restarted.
   */
  oauthFlow(flowId: string, waitMs: number): Promise<OAuthFlow | null>;
  /** Ends a sign-in that waits; unknown ids are no error. */
  cancelOAuth(flowId: string): Promise<void>;
  /** Asks the authorization server to take the tokens back; what is sealed stays. Takes at most about 30 s. */
  revoke(request: ValidateRequest): Promise<OAuthRevocation>;
}
