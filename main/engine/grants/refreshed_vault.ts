/** The vault for the API: sessions at work are told of a replaced value before the former one goes. */
import type { CredentialVault } from "../../contract/vaults/broker_api.ts";
import type { GrantsRegister } from "./register.ts";

/**
 * A value is removed after its record names another one or none. Sessions whose sandboxes use it would fail from then on,
 * until something else makes them look again.
 */
export function refreshedVault(vault: CredentialVault, grants: Pick<GrantsRegister, "refresh">): CredentialVault {
  return {
    ...vault,
    purge: async (secretIds) => {
      await grants.refresh();
      await vault.purge(secretIds);
    },
  };
}
