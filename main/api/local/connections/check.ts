/** Tries a connection at its server and remembers what came of it. */
import { type Deps, timestamp } from "../../http/context.ts";
import { type CredentialRecord, credentialTable } from "../../v1/vaults/records.ts";
import { validateCredential } from "../../v1/vaults/validate.ts";
import { vaultQueue } from "../../v1/vaults/vault_routes.ts";
import { validationWords } from "./shown.ts";

/** Takes as long as the servers take, at most about 40 s. Rejects with ApiError for what cannot be validated. */
export async function checkConnection(deps: Deps, credential: CredentialRecord): Promise<CredentialRecord> {
  const validation = await validateCredential(deps, credential);
  const { secret_id } = credential;
  const table = credentialTable(deps.records);
  return deps.serial.run(vaultQueue(credential.vault_id), async () => {
    const read = await table.get(credential.id);
    // Signed in again, or removed, while the servers were asked: what they said is of another value.
    if (read === null || secret_id === null || read.value.secret_id !== secret_id) return read?.value ?? credential;
    const { status } = validation;
    const checked = { secret_id, at: timestamp(deps), status, summary: validationWords(validation) };
    const next = { ...read.value, facts: { ...read.value.facts, checked } };
    await table.replace(next, read.revision);
    return next;
  });
}
