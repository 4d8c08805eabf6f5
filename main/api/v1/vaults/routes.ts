/** `/v1/vaults` and what belongs to it. */
import type { Api, Deps } from "../../http/context.ts";
import { mountCredentialRoutes } from "./credential_routes.ts";
import { mountVaultRoutes } from "./vault_routes.ts";

/** Also begins to remove sealed values that an earlier engine left without a record. */
export function mountVaults(api: Api, deps: Deps): void {
  const { values } = deps;
  mountVaultRoutes(api, deps, values);
  mountCredentialRoutes(api, deps, values);
  void values.sweep();
}
