/** `/v1/vaults` and what belongs to it. */
import { type Api, type Deps, timestamp } from "../../http/context.ts";
import { mountCredentialRoutes } from "./credential_routes.ts";
import { forgetLeftTokens } from "./repository_tokens.ts";
import { mountVaultRoutes } from "./vault_routes.ts";

/** Also begins to remove sealed values that an earlier engine left without a record, or with one that nobody needs. */
export function mountVaults(api: Api, deps: Deps): void {
  const { values } = deps;
  mountVaultRoutes(api, deps, values);
  mountCredentialRoutes(api, deps, values);
  void values.sweep();
  void forgetLeftTokens(deps, timestamp(deps));
}
