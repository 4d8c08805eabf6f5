/** A credential as the screen of connections shows it: what is known of its state, in words, and of its last use. */
import type { BetaManagedAgentsCredentialValidation } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { Connection, LastUse } from "../../../contract/vaults/connections.ts";
import type { CredentialRecord, Vault } from "../../v1/vaults/records.ts";

/**
 * @param vault the one that the credential is in
 * @param now milliseconds since the epoch
 */
export function shownConnection(
  record: CredentialRecord,
  vault: Pick<Vault, "id" | "display_name">,
  last_use: LastUse | null,
  now: number,
): Connection {
  const { id, display_name, auth, created_at, updated_at, facts } = record;
  const { secret_id: _, ...checked } = checkedOf(record) ?? { secret_id: "" };
  return {
    id,
    type: "connection",
    vault: { id: vault.id, display_name: vault.display_name },
    display_name: display_name ?? null,
    auth,
    ...stateOf(record, last_use, now),
    scopes: facts?.signed_in?.scopes ?? scopesOf(auth),
    authorization_server: facts?.signed_in?.authorization_server ?? null,
    client: facts?.signed_in?.client ?? null,
    created_at,
    updated_at,
    checked: "at" in checked ? checked : null,
    last_use,
  };
}

function checkedOf({ facts, secret_id }: CredentialRecord) {
  const checked = facts?.checked;
  return checked !== undefined && checked.secret_id === secret_id ? checked : null;
}

function scopesOf(auth: Connection["auth"]): string[] | null {
  const scope = auth.type === "mcp_oauth" ? auth.refresh?.scope : null;
  return scope == null || scope === "" ? null : scope.split(" ").filter((word) => word !== "");
}

/** The newest of what is known decides: the last use, the last check, and what the server said of the token's life. */
function stateOf(record: CredentialRecord, use: LastUse | null, now: number): Pick<Connection, "state" | "problem"> {
  const { auth } = record;
  const trouble = auth.type === "mcp_oauth" ? "sign_in_needed" : "refused";
  const checked = checkedOf(record);
  // A refusal by the egress route says where a value may not go, not that it is bad; one from before the value was sealed
  // says nothing of it.
  const used = use !== null && use.route === "mcp" && use.at > record.updated_at ? use : null;
  if (used !== null && (checked === null || used.at > checked.at)) {
    return used.decision === "refused" ? { state: trouble, problem: used.reason } : CONNECTED;
  }
  if (checked?.status === "invalid") return { state: trouble, problem: checked.summary };
  if (auth.type === "mcp_oauth" && auth.refresh == null && auth.expires_at != null) {
    if (Date.parse(auth.expires_at) <= now) {
      const problem = "Its access token has expired and the server gave no refresh token. Sign in again.";
      return { state: "sign_in_needed", problem };
    }
  }
  return CONNECTED;
}

const CONNECTED = { state: "connected", problem: null } as const;

/** What a validation found, in one or two sentences. */
export function validationWords(validation: BetaManagedAgentsCredentialValidation): string {
  const { status, mcp_probe, refresh } = validation;
  const renewed = refresh?.status === "succeeded" ? " Its access token was renewed." : "";
  if (status === "valid") return `The server accepts it.${renewed}`;
  const code = mcp_probe?.http_response?.status_code;
  if (status === "unknown") {
    const why =
      refresh?.status === "connect_error"
        ? "The authorization server could not be reached"
        : code === undefined
          ? "The server did not answer"
          : `The server answered with status ${code}`;
    return `${why}, so nothing is known of the credential. Try again later.`;
  }
  if (mcp_probe === null) return "Its value is gone from the broker. Sign in again.";
  if (code === 403) return `The server knows it and does not allow this (status 403).${renewed} Ask for more scopes.`;
  if (refresh?.status === "no_refresh_token")
    return "The server refuses it, and there is no refresh token. Sign in again.";
  if (refresh?.status === "failed") return "The server refuses it, and refuses to renew it too. Sign in again.";
  return `The server refuses it${code === undefined ? "" : ` (status ${code})`}.${renewed} Sign in again.`;
}
