/** The vault that connections are put into when nobody names one. */
import { newId } from "../../../contract/ids.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { everyRecord, existingVault, refuseArchivedVault, type Vault, vaultTable } from "../../v1/vaults/records.ts";

const MARK = { longhaul_default: "connections" };
const NAME = "Connections";

/**
 * The vault that was named, or the default one, which is made on first use.
 * @throws ApiError 404 for an unknown vault, 400 for an archived one
 */
export async function vaultFor(deps: Deps, vaultId: string | null | undefined): Promise<string> {
  if (vaultId != null) {
    refuseArchivedVault((await existingVault(deps.records, vaultId)).value);
    return vaultId;
  }
  return deps.serial.run("default vault of connections", async () => {
    const vaults = vaultTable(deps.records);
    const known = (await everyRecord(vaults, {})).find(isDefaultVault);
    if (known !== undefined) return known.id;
    const at = timestamp(deps);
    const vault: Vault = {
      id: newId("vault"),
      type: "vault",
      display_name: NAME,
      metadata: MARK,
      created_at: at,
      updated_at: at,
      archived_at: null,
    };
    await vaults.insert(vault);
    return vault.id;
  });
}

function isDefaultVault({ metadata }: Vault): boolean {
  return metadata["longhaul_default"] === MARK.longhaul_default;
}
