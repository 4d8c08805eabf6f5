/** One sign-in with an authorization code and PKCE: what comes before the person's browser, and what comes after it. */
import { createHash, randomBytes } from "node:crypto";
import type { OAuthBegin } from "../../contract/vaults/oauth.ts";
import { exchange } from "../credentials/exchange.ts";
import type { Grant } from "../credentials/grant.ts";
import { requestTokens } from "../credentials/token_endpoint.ts";
import { Refusal } from "../refusal.ts";
import { bearerChallenge, type Challenge, scopesOf } from "./challenges.ts";
import { type Client, chooseClient } from "./client/choose_client.ts";
import type { Registrations } from "./client/registrations.ts";
import { type AuthorizationServer, discover, revocationEndpointOf } from "./discovery/discover.ts";
import { guardedFetch } from "./discovery/guarded_fetch.ts";
import { mcpAuth } from "./discovery/mcp_auth.ts";
import { Reach, type ResolveName } from "./discovery/reach.ts";
import { REDIRECT_PATH } from "./redirect/listener.ts";
import { scopesToAsk } from "./scopes.ts";

export interface SignIn {
  authorizationUrl: string;
  server: AuthorizationServer;
  client: Client;
  /** That are asked for; empty when none are named. */
  scopes: string[];
  /** 256 bits: what shows that an answer belongs to this sign-in. */
  state: string;
  codeVerifier: string;
  reach: Reach;
}

export interface PrepareContext {
  registrations: Registrations;
  clientMetadataUrl: string | null;
  /** Of the redirect listener. */
  origin: string;
  challenge: Challenge | null;
  before: Grant | null;
  resolve: ResolveName | undefined;
  signal: AbortSignal;
}

/** Rejects with {@link Refusal} in words for a person when the server offers no sign-in that can be trusted. */
export async function prepare(begin: OAuthBegin, context: PrepareContext): Promise<SignIn> {
  const { mcp_server_url } = begin;
  const { origin, before, signal } = context;
  const reach = await Reach.of(mcp_server_url, context.resolve);
  reach.check(mcp_server_url, "The address of the MCP server");
  const fetch = guardedFetch(reach, signal);
  const challenge = context.challenge ?? (await askForChallenge(mcp_server_url, reach, signal));
  const server = await discover(mcp_server_url, challenge, reach, fetch);
  const scopes = scopesToAsk({ named: begin.scopes, challenge, server, before });
  const sharedRedirect = `${origin}${REDIRECT_PATH}`;
  const wish = {
    server,
    given: begin.client,
    metadataUrl: context.clientMetadataUrl,
    scopes,
    sharedRedirect,
    ownRedirect: `${sharedRedirect}/${createHash("sha256").update(server.issuer).digest("hex").slice(0, 16)}`,
  };
  const client = await chooseClient(wish, context.registrations, fetch);
  const { startAuthorization } = await mcpAuth();
  const state = randomBytes(32).toString("base64url");
  const { authorizationUrl, codeVerifier } = await startAuthorization(server.issuer, {
    metadata: server.metadata,
    clientInformation: { client_id: client.client_id },
    redirectUrl: client.redirect_uri,
    state,
    resource: server.resource,
    ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
  });
  return { authorizationUrl: authorizationUrl.href, server, client, scopes, state, codeVerifier, reach };
}

const INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: 1,
  method: "initialize",
  params: { protocolVersion: "2025-06-18", capabilities: {}, clientInfo: { name: "longhaul", version: "1" } },
});

/** Calls the server without a token, since its refusal says where to sign in. Null when it says nothing. */
async function askForChallenge(url: string, reach: Reach, signal: AbortSignal): Promise<Challenge | null> {
  const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  const answer = await exchange({ method: "POST", url, headers, body: INITIALIZE }, signal, false, reach.lookup);
  const header = answer?.status === 401 ? answer.headers["www-authenticate"] : undefined;
  return header === undefined ? null : bearerChallenge(header);
}

/**
 * Makes tokens of what the browser brought.
 * Rejects with {@link Refusal}; then no code was sent anywhere but to the server that it is from.
 */
export async function redeem(
  { mcp_server_url }: OAuthBegin,
  signIn: SignIn,
  parameters: URLSearchParams,
  signal: AbortSignal,
): Promise<{ grant: Grant; granted: string[] | null }> {
  const { server, client, codeVerifier, reach, scopes } = signIn;
  await checkIssuer(server, parameters);
  const code = codeOf(parameters, server);
  const form = new URLSearchParams({
    grant_type: "authorization_code",
    code,
    code_verifier: codeVerifier,
    redirect_uri: client.redirect_uri,
    resource: server.resource,
  });
  const { token_endpoint } = server.metadata;
  const request = { url: token_endpoint, form, client, signal, lookup: reach.lookup };
  const now = Date.now();
  const { tokens, error } = await requestTokens(request, [code, codeVerifier], now);
  if (tokens === null) throw new RedeemFailure(hostOf(server), error);
  const granted = tokens.scope === null ? null : scopesOf(tokens.scope);
  const { access_token, refresh_token, expires_at } = tokens;
  const refresh =
    refresh_token === undefined
      ? null
      : {
          client_id: client.client_id,
          token_endpoint,
          token_endpoint_auth: { type: client.method },
          resource: server.resource,
          // RFC 6749 §5.1: a server that does not name them granted what was asked for.
          scope: (granted ?? scopes).join(" ") || null,
        };
  const grant: Grant = {
    auth: { type: "mcp_oauth", mcp_server_url, expires_at, refresh },
    secrets: {
      access_token,
      ...(refresh_token === undefined ? {} : { refresh_token }),
      ...(client.client_secret === "" ? {} : { client_secret: client.client_secret }),
    },
    origin: {
      issuer: server.issuer,
      revocation_endpoint: revocationEndpointOf(server.metadata),
      client_id: client.client_id,
      client_auth: client.method,
      scopes: scopes.length === 0 ? null : scopes,
    },
  };
  return { grant, granted };
}

/** The token endpoint gave no token. `error` is its OAuth error, null when it gave none. */
export class RedeemFailure extends Refusal {
  readonly error: string | null;

  constructor(host: string, error: string | null) {
    const why = error === null ? "" : ` (${error})`;
    const text = `${host} gave no token for this sign-in${why}. Nothing was changed. Start again; if it stays so, tell whoever runs the MCP server.`;
    super(502, "api_error", text, "endpoint_failed");
    this.error = error;
  }
}

/** RFC 9207: an answer of another server must not lead to its code being sent to this one. */
async function checkIssuer({ issuer, metadata, guessed }: AuthorizationServer, parameters: URLSearchParams) {
  const named = parameters.getAll("iss");
  const { validateAuthorizationResponseIssuer } = await mcpAuth();
  try {
    if (named.length > 1) throw new Error("two issuers");
    validateAuthorizationResponseIssuer({
      iss: named[0],
      expectedIssuer: guessed ? undefined : issuer,
      issParameterSupported: metadata.authorization_response_iss_parameter_supported === true,
    });
  } catch {
    const text = `The answer to the sign-in did not come from ${new URL(issuer).host}, which was asked, so it was not used. Nothing was changed. Start again; if it stays so, do not sign in to this server.`;
    throw new Refusal(400, "invalid_request_error", text, "endpoint_failed");
  }
}

/** What an authorization server's error means for a person (RFC 6749 §4.1.2.1). */
const ERRORS: Record<string, string> = {
  access_denied: "The sign-in was declined. Start again if that was not meant.",
  invalid_scope: "The server does not give the permissions that were asked for. Ask for others.",
  invalid_target: "The authorization server does not know this MCP server. Tell whoever runs it.",
  unauthorized_client: "The authorization server does not let Longhaul sign in this way. Tell whoever runs it.",
  server_error: "The authorization server failed. Start again later.",
  temporarily_unavailable: "The authorization server is too busy. Start again later.",
};

function codeOf(parameters: URLSearchParams, server: AuthorizationServer): string {
  const error = parameters.get("error");
  if (error !== null) {
    const text = ERRORS[error] ?? `${hostOf(server)} refused the sign-in. Start again, or tell whoever runs it.`;
    throw new Refusal(400, "invalid_request_error", `${text} Nothing was changed.`, "endpoint_failed");
  }
  const [code = "", ...more] = parameters.getAll("code");
  if (more.length === 0 && /^[\x20-\x7e]{1,4096}$/.test(code)) return code;
  const text = `${hostOf(server)} sent no code that can be used. Nothing was changed. Start again.`;
  throw new Refusal(400, "invalid_request_error", text, "endpoint_failed");
}

const hostOf = ({ issuer }: AuthorizationServer): string => new URL(issuer).host;
