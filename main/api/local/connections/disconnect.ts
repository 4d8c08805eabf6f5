/** Removes a connection: for every session at once, then at the server that gave the tokens, then its value for good. */
import type { ConnectionRemoved } from "../../../contract/vaults/connections.ts";
import type { OAuthRevocation } from "../../../contract/vaults/oauth.ts";
import { issuerOf } from "../../../contract/vaults/server_url.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { type CredentialRecord, credentialTable } from "../../v1/vaults/records.ts";
import { vaultQueue } from "../../v1/vaults/vault_routes.ts";

/** What cannot be revoked is removed here all the same, and the answer says so. Rejects when it cannot be recorded. */
export async function disconnect(deps: Deps, { id, vault_id }: CredentialRecord): Promise<ConnectionRemoved> {
  const table = credentialTable(deps.records);
  // Archived first: a server that is slow to revoke must not keep a removed connection in use.
  const taken = await deps.serial.run(vaultQueue(vault_id), async () => {
    const read = await table.get(id);
    if (read === null || read.value.archived_at !== null) return null;
    const at = timestamp(deps);
    await table.replace({ ...read.value, secret_id: null, archived_at: at, updated_at: at }, read.revision);
    return read.value;
  });
  return { id, type: "connection_removed", revocation: await revoked(deps, taken) };
}

async function revoked(deps: Deps, credential: CredentialRecord | null): Promise<OAuthRevocation> {
  if (credential === null || credential.secret_id === null) {
    return { state: "unsupported", message: "It was removed already." };
  }
  const { id, vault_id, secret_id, auth } = credential;
  return deps.values.retire(secret_id, async () => {
    if (auth.type === "mcp_oauth") {
      return deps.vault
        .revoke({ vault_id, credential_id: id, secret_id, issuer: issuerOf(auth) })
        .catch((error: unknown) => failed(auth.mcp_server_url, error));
    }
    const where = auth.type === "static_bearer" ? `at ${new URL(auth.mcp_server_url).host}` : "where it was made";
    const message = `Longhaul's copy is gone. The value itself stays valid: delete it ${where} too if nobody is to use it.`;
    return { state: "unsupported", message };
  });
}

function failed(url: string, error: unknown): OAuthRevocation {
  const why = error instanceof Error ? error.message : "The credential broker did not answer.";
  const message = `Longhaul's copy is gone, but the server was not told: ${why} The tokens may stay valid for a while; end the access in your account at ${new URL(url).host} to be sure.`;
  return { state: "failed", message };
}
