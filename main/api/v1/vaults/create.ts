/** Makes a credential: for the contract's route, and for whoever else takes a value from a person. */
import { ApiError, invalid } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import { newCredentialAuth } from "../../../contract/vaults/auth.ts";
import type { CredentialCreate } from "../../../contract/vaults/schemas.ts";
import { credentialKey } from "../../../contract/vaults/server_url.ts";
import type { Records } from "../../../session/records/records.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { type CredentialRecord, credentialTable, existingVault, refuseArchivedVault } from "./records.ts";
import { vaultQueue } from "./vault_routes.ts";

const MAX_CREDENTIALS = 20;

/** Seals the value and records the credential. @throws ApiError 400, 404, 409 */
export async function createCredential(
  deps: Deps,
  vault_id: string,
  params: CredentialCreate,
): Promise<CredentialRecord> {
  const { records, serial, values } = deps;
  const halves = newCredentialAuth(params.auth, deps.now());
  return serial.run(vaultQueue(vault_id), async () => {
    await refuseNoRoom(records, vault_id, credentialKey(halves.auth));
    const at = timestamp(deps);
    const made: Omit<CredentialRecord, "secret_id"> = {
      id: newId("credential"),
      type: "vault_credential",
      vault_id,
      display_name: params.display_name || null,
      auth: halves.auth,
      metadata: params.metadata ?? {},
      created_at: at,
      updated_at: at,
      archived_at: null,
    };
    return values.sealed(made, null, halves, async (secret_id) => {
      const record = { ...made, secret_id };
      await credentialTable(records).insert(record);
      return record;
    });
  });
}

/**
 * Before anything is sealed or anybody signs in; the record's key makes sure of it once more.
 * @throws ApiError 404 without such a vault, 400 when it is archived or full, 409 when it has such a credential
 */
export async function refuseNoRoom(records: Records, vault_id: string, key: string): Promise<void> {
  const table = credentialTable(records);
  refuseArchivedVault((await existingVault(records, vault_id)).value);
  const there = await table.findByKey(vault_id, key);
  if (there !== null) throw taken(there.value);
  if ((await table.count(vault_id)) >= MAX_CREDENTIALS) {
    invalid(
      `A vault holds at most ${MAX_CREDENTIALS} credentials, and ${vault_id} has as many. Archive one, or use another vault.`,
    );
  }
}

function taken({ auth }: CredentialRecord): ApiError {
  const what = auth.type === "environment_variable" ? "environment variable name" : "MCP server URL";
  return new ApiError("conflict_error", `A credential already exists for this ${what}.`);
}
