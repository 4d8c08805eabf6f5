/** `/v1/vaults/{id}/credentials`: create, list, retrieve, update, archive, delete, validate. */
import { isDeepStrictEqual } from "node:util";
import type { BetaManagedAgentsCredentialValidation } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import { updatedCredentialAuth } from "../../../contract/vaults/auth.ts";
import { credentialCreate, credentialUpdate } from "../../../contract/vaults/schemas.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type ApiContext, type Deps, param, timestamp } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { patchedMetadata } from "../agents/agent.ts";
import { createCredential } from "./create.ts";
import {
  type CredentialRecord,
  credentialTable,
  existingCredential,
  existingVault,
  refuseArchivedCredential,
  shownCredential,
} from "./records.ts";
import { validateCredential } from "./validate.ts";
import type { CredentialValues } from "./values/values.ts";
import { vaultQueue } from "./vault_routes.ts";

const CODES = { metadata: "invalid_metadata" };
const BASE = "/v1/vaults/:id/credentials";

export function mountCredentialRoutes(api: Api, deps: Deps, values: CredentialValues): void {
  const { records, serial } = deps;
  const table = credentialTable(records);

  api.post(BASE, async (c) => {
    const params = await readBody(c, credentialCreate, CODES);
    const credential = await createCredential(deps, param(c, "id"), params);
    return c.json(shownCredential(credential));
  });

  api.get(BASE, async (c) => {
    const vault_id = param(c, "id");
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const include_archived = query.flag("include_archived") ?? false;
    await existingVault(records, vault_id);
    const after = page === undefined ? {} : { after: decodeCursor(rowCursor, page) };
    const rows = await table.list({ scope: vault_id, limit: limit + 1, include_archived, ...after });
    return c.json(pageOf(rows.map(shownCredential), limit));
  });

  api.get(`${BASE}/:credential`, async (c) => c.json(shownCredential((await named(deps, c)).value)));

  api.post(`${BASE}/:credential`, async (c) => {
    const params = await readBody(c, credentialUpdate, CODES);
    const credential = await serial.run(vaultQueue(param(c, "id")), async () => {
      const { value, revision } = await named(deps, c);
      refuseArchivedCredential(value);
      const next: CredentialRecord = { ...value, display_name: params.display_name ?? value.display_name ?? null };
      if (params.metadata != null) next.metadata = patchedMetadata(value.metadata, params.metadata);
      const halves = params.auth === undefined ? null : updatedCredentialAuth(value.auth, params.auth, deps.now());
      const resealed =
        halves !== null && (Object.keys(halves.secrets).length > 0 || !isDeepStrictEqual(halves.auth, value.auth));
      if (!resealed) {
        if (isDeepStrictEqual(next, value)) return value;
        next.updated_at = timestamp(deps);
        await table.replace(next, revision);
        return next;
      }
      return values.sealed(value, value, halves, async (secret_id) => {
        const record = { ...next, auth: halves.auth, secret_id, updated_at: timestamp(deps) };
        await table.replace(record, revision);
        return record;
      });
    });
    return c.json(shownCredential(credential));
  });

  api.post(`${BASE}/:credential/archive`, async (c) => {
    const credential = await serial.run(vaultQueue(param(c, "id")), async () => {
      const { value, revision } = await named(deps, c);
      if (value.archived_at !== null) return value;
      const at = timestamp(deps);
      const archived: CredentialRecord = { ...value, secret_id: null, archived_at: at, updated_at: at };
      await table.replace(archived, revision);
      if (value.secret_id !== null) await values.remove([value.secret_id]);
      return archived;
    });
    return c.json(shownCredential(credential));
  });

  api.delete(`${BASE}/:credential`, async (c) => {
    const id = param(c, "credential");
    await serial.run(vaultQueue(param(c, "id")), async () => {
      const { value } = await named(deps, c);
      await table.delete(id);
      if (value.secret_id !== null) await values.remove([value.secret_id]);
    });
    return c.json({ id, type: "vault_credential_deleted" });
  });

  api.post(`${BASE}/:credential/mcp_oauth_validate`, async (c) => {
    const { value } = await named(deps, c);
    const validation: BetaManagedAgentsCredentialValidation = await validateCredential(deps, value);
    return c.json(validation);
  });
}

const named = ({ records }: Deps, c: ApiContext) => existingCredential(records, param(c, "id"), param(c, "credential"));
