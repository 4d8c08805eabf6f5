/** `/v1/vaults`: create, list, retrieve, update, archive, delete. */
import { isDeepStrictEqual } from "node:util";
import { newId } from "../../../contract/ids.ts";
import { vaultCreate, vaultUpdate } from "../../../contract/vaults/schemas.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { patchedMetadata } from "../agents/agent.ts";
import {
  allCredentials,
  credentialTable,
  existingVault,
  refuseArchivedVault,
  type Vault,
  vaultTable,
} from "./records.ts";
import type { CredentialValues } from "./values/values.ts";

const CODES = { metadata: "invalid_metadata" };

export function mountVaultRoutes(api: Api, deps: Deps, values: CredentialValues): void {
  const { records, serial } = deps;
  const vaults = vaultTable(records);
  const credentials = credentialTable(records);

  api.post("/v1/vaults", async (c) => {
    const params = await readBody(c, vaultCreate, CODES);
    const at = timestamp(deps);
    const vault: Vault = {
      id: newId("vault"),
      type: "vault",
      display_name: params.display_name,
      metadata: params.metadata ?? {},
      created_at: at,
      updated_at: at,
      archived_at: null,
    };
    await vaults.insert(vault);
    return c.json(vault);
  });

  api.get("/v1/vaults", async (c) => {
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const rows = await vaults.list({
      limit: limit + 1,
      include_archived: query.flag("include_archived") ?? false,
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    return c.json(pageOf(rows, limit));
  });

  api.get("/v1/vaults/:id", async (c) => c.json((await existingVault(records, param(c, "id"))).value));

  api.post("/v1/vaults/:id", async (c) => {
    const params = await readBody(c, vaultUpdate, CODES);
    const id = param(c, "id");
    const vault = await serial.run(vaultQueue(id), async () => {
      const { value, revision } = await existingVault(records, id);
      refuseArchivedVault(value);
      const next: Vault = { ...value, display_name: params.display_name ?? value.display_name };
      if (params.metadata != null) next.metadata = patchedMetadata(value.metadata, params.metadata);
      if (isDeepStrictEqual(next, value)) return value;
      next.updated_at = timestamp(deps);
      await vaults.replace(next, revision);
      return next;
    });
    return c.json(vault);
  });

  api.post("/v1/vaults/:id/archive", async (c) => {
    const id = param(c, "id");
    const vault = await serial.run(vaultQueue(id), async () => {
      const { value, revision } = await existingVault(records, id);
      if (value.archived_at !== null) return value;
      const at = timestamp(deps);
      const archived: Vault = { ...value, archived_at: at, updated_at: at };
      const active = await allCredentials(records, { scope: id, include_archived: false });
      const writes = [vaults.replacement(archived, revision)];
      for (const credential of active) {
        const read = await credentials.get(credential.id);
        if (read === null) continue;
        const next = { ...read.value, secret_id: null, archived_at: at, updated_at: at };
        writes.push(credentials.replacement(next, read.revision));
      }
      await records.write(writes);
      await values.remove(active.flatMap(({ secret_id }) => secret_id ?? []));
      return archived;
    });
    return c.json(vault);
  });

  api.delete("/v1/vaults/:id", async (c) => {
    const id = param(c, "id");
    await serial.run(vaultQueue(id), async () => {
      await existingVault(records, id);
      const all = await allCredentials(records, { scope: id, include_archived: true });
      await records.write([vaults.deletion(id), ...all.map((credential) => credentials.deletion(credential.id))]);
      await values.remove(all.flatMap(({ secret_id }) => secret_id ?? []));
    });
    return c.json({ id, type: "vault_deleted" });
  });
}

/** Changes of a vault and its credentials run one after the other. */
export const vaultQueue = (id: string): string => `vault ${id}`;
