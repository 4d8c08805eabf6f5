/** `mcp_oauth_validate`: the broker tries the credential at its server; what is learned of its expiry is recorded. */
import type { BetaManagedAgentsCredentialValidation } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import { ApiError, invalid } from "../../../contract/errors.ts";
import type { ValidationOutcome } from "../../../contract/vaults/broker_api.ts";
import { issuerOf } from "../../../contract/vaults/server_url.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { type CredentialRecord, credentialTable, refuseArchivedCredential } from "./records.ts";
import { vaultQueue } from "./vault_routes.ts";

/** Takes as long as the servers take, at most about 40 s. @throws ApiError 400 for what cannot be validated */
export async function validateCredential(
  deps: Deps,
  credential: CredentialRecord,
): Promise<BetaManagedAgentsCredentialValidation> {
  refuseArchivedCredential(credential);
  const { auth, id, vault_id, secret_id } = credential;
  if (auth.type !== "mcp_oauth") {
    return invalid(
      `Only credentials with \`auth.type\` "mcp_oauth" can be validated; ${id} is ${JSON.stringify(auth.type)}.`,
    );
  }
  const outcome = await tried(deps, credential);
  if (outcome.refreshed !== undefined && secret_id !== null) {
    await recordExpiry(deps, { id, vault_id, secret_id }, outcome.refreshed.expires_at);
  }
  return {
    type: "vault_credential_validation",
    credential_id: id,
    vault_id,
    status: outcome.status,
    has_refresh_token: auth.refresh != null,
    mcp_probe: outcome.mcp_probe,
    refresh: outcome.refresh,
    validated_at: timestamp(deps),
  };
}

async function tried(deps: Deps, { auth, id, vault_id, secret_id }: CredentialRecord): Promise<ValidationOutcome> {
  const nothing: ValidationOutcome = { status: "invalid", mcp_probe: null, refresh: null };
  if (secret_id === null) return nothing;
  try {
    return await deps.vault.validate({ vault_id, credential_id: id, secret_id, issuer: issuerOf(auth) });
  } catch (error) {
    // The contract's word for a credential without a stored token.
    if (error instanceof ApiError && error.code === "value_missing") return nothing;
    throw error;
  }
}

/** The new access token's expiry, unless the credential was changed, archived or deleted meanwhile. */
async function recordExpiry(
  deps: Deps,
  validated: { id: string; vault_id: string; secret_id: string },
  expires_at: string | null,
): Promise<void> {
  const table = credentialTable(deps.records);
  await deps.serial.run(vaultQueue(validated.vault_id), async () => {
    const read = await table.get(validated.id);
    if (read === null || read.value.secret_id !== validated.secret_id || read.value.auth.type !== "mcp_oauth") return;
    const auth = { ...read.value.auth, expires_at };
    await table.replace({ ...read.value, auth, updated_at: timestamp(deps) }, read.revision);
  });
}
