/** Vaults that a session, or whatever starts sessions, is to use. */
import { ApiError, invalid } from "../../../contract/errors.ts";
import type { Records } from "../../../session/records/records.ts";
import { vaultTable } from "./records.ts";

/**
 * Checks that each of them is there and active.
 * @param field name of the list in the request, for messages
 * @throws ApiError 404 for an unknown vault, 400 for an archived one or one that is named twice; each names the entry
 */
export async function checkVaultIds(records: Records, ids: readonly string[], field: string): Promise<void> {
  const vaults = vaultTable(records);
  for (const [index, id] of ids.entries()) {
    const entry = `\`${field}[${index}]\``;
    if (ids.indexOf(id) !== index) invalid(`${entry} names vault ${id} a second time: leave it out.`);
    const vault = await vaults.get(id);
    if (vault === null)
      throw new ApiError("not_found_error", `${entry}: vault ${JSON.stringify(id)} not found.`, "vault_not_found");
    if (vault.value.archived_at !== null) {
      invalid(
        `${entry}: vault ${id} was archived and cannot be used by new sessions. Use another vault.`,
        "vault_archived",
      );
    }
  }
}
