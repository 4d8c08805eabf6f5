/** A broker's vault that keeps ids and no values, for tests of everything but credentials. */
import type { CredentialVault, SecretRef } from "../../contract/vaults/broker_api.ts";

export function memoryVault(): CredentialVault {
  let sealed: SecretRef[] = [];
  return {
    seal: async ({ vault_id, credential_id, secret_id }) => void sealed.push({ vault_id, credential_id, secret_id }),
    sealed: async () => sealed,
    purge: async (ids) => {
      sealed = sealed.filter(({ secret_id }) => !ids.includes(secret_id));
    },
    validate: async () => ({ status: "valid", mcp_probe: null, refresh: null }),
  };
}
