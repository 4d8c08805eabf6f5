/** Makes a credential of a sign-in that is done, or renews the one it was for: in one transaction with the end of the sign-in. */
import type { OAuthFlow } from "../../../contract/vaults/oauth.ts";
import type { Versioned } from "../../../session/records/record_table.ts";
import { RecordConflict } from "../../../session/records/records.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { type CredentialRecord, credentialTable, vaultTable } from "../../v1/vaults/records.ts";
import { type SignInRecord, signInTable } from "../../v1/vaults/sign_in_records.ts";
import { vaultQueue } from "../../v1/vaults/vault_routes.ts";

/**
 * Resolves with null when it is kept or the sign-in has ended meanwhile, else with the reason why it cannot be, in words.
 * Rejects when the records cannot be written; then nothing was, and it may be tried again.
 */
export async function keepCredential(
  deps: Deps,
  signInId: string,
  flow: Extract<OAuthFlow, { state: "done" }>,
): Promise<string | null> {
  const read = await signInTable(deps.records).get(signInId);
  if (read === null) return null;
  return deps.serial.run(vaultQueue(read.value.vault_id), () =>
    deps.serial.run(`sign in ${signInId}`, async () => {
      const now = await signInTable(deps.records).get(signInId);
      return now === null || now.value.state !== "waiting" ? null : keep(deps, now, flow);
    }),
  );
}

async function keep(
  deps: Deps,
  { value: signIn, revision }: Versioned<SignInRecord>,
  flow: Extract<OAuthFlow, { state: "done" }>,
): Promise<string | null> {
  const credentials = credentialTable(deps.records);
  const vault = await vaultTable(deps.records).get(signIn.vault_id);
  if (vault === null || vault.value.archived_at !== null) {
    return "The vault was archived or deleted during the sign-in. Nothing was stored. Sign in again into another vault.";
  }
  const before = signIn.renews ? await credentials.get(signIn.credential_id) : null;
  if (signIn.renews && (before === null || before.value.archived_at !== null)) {
    return "The connection was removed during the sign-in. Nothing was stored. Connect it anew.";
  }
  const at = timestamp(deps);
  const { authorization_server } = flow;
  const done: SignInRecord = { ...signIn, state: "done", authorization_server, ended_at: at };
  const kept = { ...(before?.value ?? newCredential(signIn, at)), ...signedIn(signIn, flow), updated_at: at };
  try {
    await deps.records.write([
      before === null ? credentials.insertion(kept) : credentials.replacement(kept, before.revision),
      signInTable(deps.records).replacement(done, revision),
    ]);
  } catch (error) {
    if (!(error instanceof RecordConflict) || error.reason !== "key") throw error;
    return "Another credential for this server was added during the sign-in. It is used; this one was not stored.";
  }
  if (before?.value.secret_id != null) await deps.values.remove([before.value.secret_id]);
  return null;
}

function signedIn(
  { secret_id, client }: SignInRecord,
  flow: Extract<OAuthFlow, { state: "done" }>,
): Pick<CredentialRecord, "auth" | "secret_id" | "facts"> {
  const { auth, authorization_server, scopes } = flow;
  return { auth, secret_id, facts: { signed_in: { authorization_server, scopes, client } } };
}

function newCredential(record: SignInRecord, at: string): Omit<CredentialRecord, "auth" | "secret_id"> {
  return {
    id: record.credential_id,
    type: "vault_credential",
    vault_id: record.vault_id,
    display_name: record.display_name,
    metadata: {},
    created_at: at,
    updated_at: at,
    archived_at: null,
  };
}
