/** Vaults that a session or a deployment names. */
import { invalid } from "../../../contract/errors.ts";
import type { Deps } from "../../http/context.ts";

/** Each must exist and not be archived. @throws ApiError 400 that names the entry */
export async function checkVaults(deps: Pick<Deps, "records">, ids: readonly string[]): Promise<void> {
  for (const [index, id] of ids.entries()) {
    const vault = await deps.records.get("vault", id);
    if (vault === null) {
      invalid(
        `\`vault_ids[${index}]\`: there is no vault ${JSON.stringify(id)}. Create it first, or leave it out.`,
        "vault_not_found",
      );
    }
    if (vault.archived_at !== null) {
      invalid(`\`vault_ids[${index}]\`: vault ${id} was archived. Use another one, or leave it out.`, "vault_archived");
    }
  }
}
