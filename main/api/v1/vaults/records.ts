/** Vaults and credentials as they are recorded, and as responses show them. No record holds a secret value. */
import type { BetaManagedAgentsCredential } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { BetaManagedAgentsVault } from "@anthropic-ai/sdk/resources/beta/vaults/vaults";
import { invalid, notFound } from "../../../contract/errors.ts";
import { credentialKey } from "../../../contract/vaults/server_url.ts";
import { RecordTable, type RecordValue, type Versioned } from "../../../session/records/record_table.ts";
import type { Records } from "../../../session/records/records.ts";

export type Vault = BetaManagedAgentsVault;
export type Credential = BetaManagedAgentsCredential;

/** What is known of a credential beyond the contract, for people. */
export interface ConnectionFacts {
  signed_in?: {
    authorization_server: string;
    scopes: string[] | null;
    client: { client_id: string; has_secret: boolean } | null;
  };
  /** Holds for the value that it names and for no later one. */
  checked?: { secret_id: string; at: string; status: "valid" | "invalid" | "unknown"; summary: string };
}

/** A credential and the name of its sealed value in the broker; an archived one has no value any more. */
export type CredentialRecord = Credential & { secret_id: string | null; facts?: ConnectionFacts };

export function vaultTable(records: Records): RecordTable<Vault> {
  return new RecordTable<Vault>(records, { kind: "vault" });
}

export function credentialTable(records: Records): RecordTable<CredentialRecord> {
  return new RecordTable<CredentialRecord>(records, {
    kind: "credential",
    scope: ({ vault_id }) => vault_id,
    // An archived credential makes room for another one of the same server or name.
    key: ({ archived_at, auth }) => (archived_at === null ? credentialKey(auth) : null),
  });
}

/** The access token of a repository that is attached to a session: only the name of its sealed value. */
export interface RepositoryToken {
  /** Id of the session's resource. */
  id: string;
  session_id: string;
  url: string;
  created_at: string;
  secret_id: string;
}

export function repositoryTokens(records: Records): RecordTable<RepositoryToken> {
  return new RecordTable<RepositoryToken>(records, { kind: "repository_token", scope: ({ session_id }) => session_id });
}

/** The credential as responses show it. */
export function shownCredential({ secret_id: _, facts: __, ...credential }: CredentialRecord): Credential {
  return credential;
}

/** @throws ApiError 404 */
export async function existingVault(records: Records, id: string): Promise<Versioned<Vault>> {
  return (await vaultTable(records).get(id)) ?? notFound("Vault", id);
}

/** @throws ApiError 404, also for a credential of another vault */
export async function existingCredential(
  records: Records,
  vaultId: string,
  id: string,
): Promise<Versioned<CredentialRecord>> {
  await existingVault(records, vaultId);
  const found = await credentialTable(records).get(id);
  return found === null || found.value.vault_id !== vaultId ? notFound("Credential", id) : found;
}

/** @throws ApiError 400 */
export function refuseArchivedVault(vault: Vault): void {
  if (vault.archived_at === null) return;
  invalid(`Vault ${vault.id} was archived and is read-only. Create a new vault instead.`);
}

/** @throws ApiError 400 */
export function refuseArchivedCredential(credential: Credential): void {
  if (credential.archived_at === null) return;
  invalid(
    `Credential ${credential.id} was archived: its value is gone and it is read-only. Create a new credential instead.`,
  );
}

/** Every credential of a vault, or of all vaults. */
export function allCredentials(
  records: Records,
  query: { scope?: string; include_archived: boolean },
): Promise<CredentialRecord[]> {
  return everyRecord(credentialTable(records), query);
}

/** A whole list, however long. */
export async function everyRecord<T extends RecordValue>(
  table: RecordTable<T>,
  query: { scope?: string; include_archived?: boolean },
): Promise<T[]> {
  const all: T[] = [];
  for (;;) {
    const last = all.at(-1);
    const after = last === undefined ? {} : { after: { created_at: last.created_at, id: last.id } };
    const page = await table.list({ ...query, ...after, order: "asc", limit: PAGE });
    all.push(...page);
    if (page.length < PAGE) return all;
  }
}

const PAGE = 1_000;
