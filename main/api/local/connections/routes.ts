/** `/longhaul/v1/connections`: what the agent may sign in as, and where: a person's view of the credentials in vaults. */
import { ApiError, invalid, notFound } from "../../../contract/errors.ts";
import { connectionCreate, connectionSignIn } from "../../../contract/vaults/connection_schemas.ts";
import type { Connection, ConnectionDetails, ConnectionList, LastUse } from "../../../contract/vaults/connections.ts";
import { normalisedServerUrl } from "../../../contract/vaults/server_url.ts";
import { readBody, readOptionalBody } from "../../http/body.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { Query } from "../../http/query.ts";
import { createCredential, refuseNoRoom } from "../../v1/vaults/create.ts";
import {
  allCredentials,
  type CredentialRecord,
  credentialTable,
  everyRecord,
  type Vault,
  vaultTable,
} from "../../v1/vaults/records.ts";
import { allSessions } from "../sessions.ts";
import { checkConnection } from "./check.ts";
import { vaultFor } from "./default_vault.ts";
import { disconnect } from "./disconnect.ts";
import type { LastUses, StoredUse } from "./last_uses.ts";
import { shownConnection } from "./shown.ts";
import { SignIns } from "./sign_ins.ts";

const BASE = "/longhaul/v1/connections";
/** A client asks again after that: proxies and browsers give up on longer silence. */
const MAX_WAIT_S = 25;
const MAX_SESSIONS = 100;

/** Also goes on with the sign-ins that an earlier engine left. */
export function mountConnections(api: Api, deps: Deps, uses: LastUses): void {
  const signIns = new SignIns(deps);
  const show = async (record: CredentialRecord, vault: Vault): Promise<Connection> => {
    const use = (await uses.all()).get(record.id);
    return shownConnection(record, vault, use === undefined ? null : await titled(deps, use), deps.now());
  };

  api.get(BASE, async (c) => {
    const found = await uses.all();
    const vaults = new Map((await everyRecord(vaultTable(deps.records), {})).map((vault) => [vault.id, vault]));
    const data: Connection[] = [];
    for (const record of await allCredentials(deps.records, { include_archived: false })) {
      const vault = vaults.get(record.vault_id);
      if (vault === undefined) continue;
      const use = found.get(record.id);
      const last_use = use === undefined ? null : await titled(deps, use);
      data.push(shownConnection(record, vault, last_use, deps.now()));
    }
    return c.json({ data, sign_ins: await signIns.list() } satisfies ConnectionList);
  });

  api.post(BASE, async (c) => {
    const params = await readBody(c, connectionCreate);
    const vault_id = await vaultFor(deps, params.vault_id);
    if (params.type === "static_bearer" || params.type === "environment_variable") {
      const { name, vault_id: _, ...auth } = params;
      await refuseKnown(deps, vault_id, keyOf(auth));
      const record = await createCredential(deps, vault_id, { display_name: name, auth });
      return c.json(await show(record, await vaultOf(deps, record)));
    }
    const { mcp_server_url, scopes, client, name } = params;
    const key = `url:${normalisedServerUrl(mcp_server_url)}`;
    await refuseKnown(deps, vault_id, key);
    await refuseNoRoom(deps.records, vault_id, key);
    await refuseNoKeychain(deps);
    const signIn = await signIns.begin({
      vault_id,
      credential_id: null,
      mcp_server_url,
      display_name: name || null,
      scopes: scopes ?? null,
      client: client == null ? null : { client_id: client.client_id, client_secret: client.client_secret ?? null },
    });
    return c.json(signIn);
  });

  api.get(`${BASE}/sign_ins/:sign_in`, async (c) => {
    const seconds = Number(new Query(c).text("wait") ?? "0");
    if (!(seconds >= 0 && seconds <= MAX_WAIT_S))
      invalid(`\`wait\` must be a number of seconds from 0 to ${MAX_WAIT_S}.`);
    return c.json(await signIns.wait(param(c, "sign_in"), seconds * 1000, c.req.raw.signal));
  });

  api.delete(`${BASE}/sign_ins/:sign_in`, async (c) => {
    const id = param(c, "sign_in");
    await signIns.cancel(id);
    return c.json({ id, type: "connection_sign_in_deleted" });
  });

  api.get(`${BASE}/:id`, async (c) => {
    const { value } = await named(deps, c);
    const connection = await show(value, await vaultOf(deps, value));
    const sessions = (await allSessions(deps, false))
      .filter(({ fold }) => fold.vault_ids.includes(value.vault_id) && fold.phase !== "terminated")
      .slice(0, MAX_SESSIONS)
      .map(({ id, fold }) => ({ id, title: titleOf(fold) }));
    return c.json({ ...connection, sessions } satisfies ConnectionDetails);
  });

  api.post(`${BASE}/:id/sign_in`, async (c) => {
    const { scopes, client } = await readOptionalBody(c, connectionSignIn);
    const { value } = await named(deps, c);
    if (value.auth.type !== "mcp_oauth") {
      invalid(`Connection ${value.id} has no sign-in: its ${value.auth.type} value is replaced in its vault.`);
    }
    await refuseNoKeychain(deps);
    const known = value.facts?.signed_in?.client ?? null;
    if (client == null && known?.has_secret === true) {
      invalid(
        `\`client\` is required: the client secret of ${known.client_id} was used to sign in and is not kept for this. Send \`client\` with client_id and client_secret.`,
      );
    }
    const { mcp_server_url } = value.auth;
    const signIn = await signIns.begin({
      vault_id: value.vault_id,
      credential_id: value.id,
      mcp_server_url,
      display_name: value.display_name ?? null,
      scopes: scopes ?? value.facts?.signed_in?.scopes ?? null,
      client:
        client != null
          ? { client_id: client.client_id, client_secret: client.client_secret ?? null }
          : known === null
            ? null
            : { client_id: known.client_id, client_secret: null },
    });
    return c.json(signIn);
  });

  api.post(`${BASE}/:id/validate`, async (c) => {
    const { value } = await named(deps, c);
    const record = await checkConnection(deps, value);
    return c.json(await show(record, await vaultOf(deps, record)));
  });

  api.delete(`${BASE}/:id`, async (c) => {
    const { value } = await named(deps, c);
    await signIns.cancelOf(value.id);
    const removed = await disconnect(deps, value);
    await uses.forget(value.id);
    return c.json(removed);
  });

  void signIns.resume();
}

/** @throws ApiError 404 for an unknown credential and one that was archived */
async function named(deps: Deps, c: ApiContext): Promise<{ value: CredentialRecord; revision: number }> {
  const id = param(c, "id");
  const found = await credentialTable(deps.records).get(id);
  return found === null || found.value.archived_at !== null ? notFound("Connection", id) : found;
}

async function vaultOf(deps: Deps, { vault_id }: CredentialRecord): Promise<Vault> {
  return (await vaultTable(deps.records).get(vault_id))?.value ?? notFound("Vault", vault_id);
}

async function titled(deps: Deps, use: StoredUse): Promise<LastUse> {
  const session = await deps.ledger.getSession(use.session_id);
  return { ...use, session_title: session === null ? null : titleOf(session.fold) };
}

function titleOf({ title, task, session_id }: { title: string | null; task: string; session_id: string }): string {
  return title || task || session_id;
}

function keyOf(auth: { secret_name: string } | { mcp_server_url: string }): string {
  return "secret_name" in auth ? `env:${auth.secret_name}` : `url:${normalisedServerUrl(auth.mcp_server_url)}`;
}

/** @throws ApiError 409 that names the connection which is there */
async function refuseKnown(deps: Deps, vaultId: string, key: string): Promise<void> {
  const known = await credentialTable(deps.records).findByKey(vaultId, key);
  if (known === null) return;
  const { id, auth, display_name } = known.value;
  const what = auth.type === "environment_variable" ? auth.secret_name : auth.mcp_server_url;
  const fix =
    auth.type === "mcp_oauth"
      ? "Sign in again there, or remove it first."
      : "Replace its value there, or remove it first.";
  const text = `There is a connection for ${what} in this vault already${display_name ? ` ("${display_name}")` : ""}. ${fix}`;
  throw new ApiError("conflict_error", text, "connection_exists", { connection_id: id });
}

/** Before a person signs in for nothing. @throws ApiError 400 with what to install or unlock */
async function refuseNoKeychain(deps: Deps): Promise<void> {
  const { keychain } = await deps.health();
  if (keychain.state !== "missing") return;
  invalid(`${keychain.summary} ${keychain.advice ?? ""}`.trim(), "keychain_unavailable");
}
