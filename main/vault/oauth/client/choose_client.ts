/**
 * As which client Longhaul signs in: one that a person registered, else the document at a URL (client ID metadata
 * document), else one that the authorization server registers at once (RFC 7591).
 */
import type { OAuthClientInformationMixed } from "@modelcontextprotocol/client";
import type { OAuthBegin } from "../../../contract/vaults/oauth.ts";
import type { ClientAuth } from "../../credentials/token_endpoint.ts";
import { Refusal } from "../../refusal.ts";
import { type AuthorizationServer, unusable } from "../discovery/discover.ts";
import type { GuardedFetch } from "../discovery/guarded_fetch.ts";
import { mcpAuth } from "../discovery/mcp_auth.ts";
import type { Registrations } from "./registrations.ts";

export interface Client extends ClientAuth {
  redirect_uri: string;
  /** True when the server made it for Longhaul: it can be forgotten and made again. */
  registered: boolean;
}

export interface ClientWish {
  server: AuthorizationServer;
  given: OAuthBegin["client"];
  /** Null when nobody has set one. */
  metadataUrl: string | null;
  scopes: readonly string[];
  /** Of a client that others registered: the same for all servers. */
  sharedRedirect: string;
  /** Of a client that is registered here: this server's own, so that no other server can be given its codes. */
  ownRedirect: string;
}

/** Rejects with {@link Refusal} when the server takes none of the ways. */
export async function chooseClient(
  wish: ClientWish,
  registrations: Registrations,
  fetch: GuardedFetch,
): Promise<Client> {
  const { server, given, metadataUrl, sharedRedirect } = wish;
  if (given !== null) {
    const { client_id, client_secret } = given;
    const information = { client_id, ...(client_secret === null ? {} : { client_secret }) };
    return { ...(await authOf(information, server)), redirect_uri: sharedRedirect, registered: false };
  }
  if (metadataUrl !== null && server.metadata.client_id_metadata_document_supported === true) {
    const auth = { client_id: metadataUrl, method: "none", client_secret: "" } as const;
    return { ...auth, redirect_uri: sharedRedirect, registered: false };
  }
  return registeredClient(wish, registrations, fetch);
}

async function registeredClient(wish: ClientWish, registrations: Registrations, fetch: GuardedFetch): Promise<Client> {
  const { server, scopes, ownRedirect } = wish;
  const known = await registrations.find(server.issuer, ownRedirect, scopes, Date.now());
  const found = known ?? (await register(wish, registrations, fetch));
  const information = {
    client_id: found.client_id,
    ...(found.client_secret === null ? {} : { client_secret: found.client_secret }),
    ...(found.method === null ? {} : { token_endpoint_auth_method: found.method }),
  };
  return { ...(await authOf(information, server)), redirect_uri: ownRedirect, registered: true };
}

async function register(
  { server, scopes, ownRedirect }: ClientWish,
  registrations: Registrations,
  fetch: GuardedFetch,
) {
  const { metadata, issuer, guessed } = server;
  const { host } = new URL(issuer);
  if (metadata.registration_endpoint === undefined) {
    throw unusable(
      `${host} lets no app register itself. Register Longhaul there with the redirect address ${ownRedirectHint(ownRedirect)} and enter the client ID`,
    );
  }
  const { registerClient } = await mcpAuth();
  const answer = await registerClient(issuer, {
    metadata,
    clientMetadata: {
      client_name: "Longhaul",
      redirect_uris: [ownRedirect],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      application_type: "native",
      token_endpoint_auth_method: methodWish(metadata.token_endpoint_auth_methods_supported),
      ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
    },
    fetchFn: fetch,
  }).catch((error: unknown) => {
    if (error instanceof Refusal) throw error;
    const { status } = error as { status?: unknown };
    if (guessed && (status === 404 || status === 405)) throw unusable(`${host} does not say how to sign in to it`);
    const code = typeof status === "number" ? `status ${status}` : "its answer cannot be understood";
    throw unusable(`${host} did not register Longhaul (${code})`);
  });
  const expiry = answer.client_secret_expires_at ?? 0;
  const registration = {
    redirect_uri: ownRedirect,
    scopes: [...scopes],
    client_id: answer.client_id,
    client_secret: answer.client_secret ?? null,
    method: answer.token_endpoint_auth_method ?? null,
    expires_at: answer.client_secret === undefined || expiry === 0 ? null : expiry * 1000,
  };
  await registrations.keep(issuer, registration);
  return registration;
}

/** An app on a person's machine keeps no secret from that person: `none` is what it is, where servers take that. */
function methodWish(supported: readonly string[] | undefined): ClientAuth["method"] {
  const known = ["none", "client_secret_basic", "client_secret_post"] as const;
  // RFC 8414 §2: a server that lists nothing takes Basic.
  return known.find((method) => supported?.includes(method)) ?? "client_secret_basic";
}

async function authOf(information: OAuthClientInformationMixed, server: AuthorizationServer): Promise<ClientAuth> {
  const { selectClientAuthMethod } = await mcpAuth();
  const { client_id, client_secret = "" } = information;
  const method = selectClientAuthMethod(information, server.metadata.token_endpoint_auth_methods_supported ?? []);
  // A server may name a method and give no secret for it.
  if (client_secret === "") return { client_id, method: "none", client_secret };
  return { client_id, method, client_secret: method === "none" ? "" : client_secret };
}

/** What a person registers: the port is free in loopback addresses (RFC 8252 §7.3), the path is not. */
const ownRedirectHint = (redirect: string): string => redirect.replace(/\/[0-9a-f]{16}$/, "");
