/**
 * Finds out how to sign in to an MCP server: its protected-resource metadata (RFC 9728) names the authorization server,
 * whose own metadata (RFC 8414, OpenID Connect Discovery) names the endpoints.
 */
import type { AuthorizationServerMetadata } from "@modelcontextprotocol/client";
import { z } from "zod";
import { Refusal } from "../../refusal.ts";
import type { Challenge } from "../challenges.ts";
import type { GuardedFetch } from "./guarded_fetch.ts";
import { mcpAuth } from "./mcp_auth.ts";
import type { Reach } from "./reach.ts";

export interface AuthorizationServer {
  /** Identifies it; compared letter by letter (RFC 9207). */
  issuer: string;
  metadata: AuthorizationServerMetadata;
  /** True when nobody published metadata and the endpoints are those of the oldest version of the protocol. */
  guessed: boolean;
  /** RFC 8707: exactly as the server publishes it. */
  resource: string;
  /** Scopes that the MCP server lists; null when it lists none. */
  scopes: string[] | null;
}

const scopeList = z.array(z.string().max(256)).max(1_000);
const resourceMetadata = z.object({
  resource: z.string().max(2048),
  authorization_servers: z.array(z.string().max(2048)).optional(),
  scopes_supported: scopeList.optional(),
});
type ResourceMetadata = z.output<typeof resourceMetadata>;

/** Rejects with {@link Refusal} when the server says nothing that a sign-in could follow. */
export async function discover(
  mcpServerUrl: string,
  challenge: Challenge | null,
  reach: Reach,
  fetch: GuardedFetch,
): Promise<AuthorizationServer> {
  const server = new URL(mcpServerUrl);
  server.hash = "";
  const ask: GuardedFetch = async (url, init) => {
    const response = await fetch(url, init);
    // 502 is also what a proxy says of an address behind which there is nothing.
    if (response.status >= 500 && response.status !== 502) throw inTrouble(String(url), response.status);
    return response;
  };
  const published = await readResourceMetadata(server, challenge?.resourceMetadata ?? null, ask);
  const { checkResourceAllowed, discoverAuthorizationServerMetadata } = await mcpAuth();
  if (published !== null) {
    const { resource } = published;
    if (!URL.canParse(resource) || !checkResourceAllowed({ requestedResource: server, configuredResource: resource })) {
      throw unusable(`${server.host} names another server as the one to sign in for`);
    }
  }
  // Before 2025-06-18 the MCP server's own origin was its authorization server.
  const named = published?.authorization_servers?.[0] ?? new URL("/", server).href;
  reach.check(named, "The authorization server");
  let metadata: AuthorizationServerMetadata | undefined;
  try {
    metadata = await discoverAuthorizationServerMetadata(named, { fetchFn: ask });
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw unusable(`the metadata of the authorization server ${hostOf(named)} is wrong, or of another server`);
  }
  const guessed = metadata === undefined;
  if (guessed && published?.authorization_servers?.[0] !== undefined) {
    throw unusable(`the authorization server ${hostOf(named)} does not publish how to use it`);
  }
  const found = metadata ?? oldestEndpoints(named);
  checkEndpoints(found, reach);
  return {
    issuer: found.issuer,
    metadata: found,
    guessed,
    resource: published?.resource ?? server.href,
    scopes: published?.scopes_supported ?? null,
  };
}

/** From where the challenge says, else from the well-known addresses; null when the server publishes none. */
async function readResourceMetadata(
  server: URL,
  challenged: string | null,
  fetch: GuardedFetch,
): Promise<ResourceMetadata | null> {
  const wellKnown = "/.well-known/oauth-protected-resource";
  const path = server.pathname.replace(/\/+$/, "");
  const pathAware = new URL(`${wellKnown}${path}${server.search}`, server);
  const tried = challenged === null ? [pathAware, new URL(wellKnown, server)] : [challenged];
  for (const url of tried) {
    const response = await fetch(url, { headers: { accept: "application/json" } });
    if (!response.ok) continue;
    const result = resourceMetadata.safeParse(await response.json().catch(() => null));
    if (result.success) return result.data;
    // Some servers answer every address with a page; only where metadata was promised must it be some.
    if (challenged !== null) throw unusable(`what ${server.host} publishes about its sign-in cannot be understood`);
  }
  if (challenged !== null) throw unusable(`${server.host} points to metadata about its sign-in that is not there`);
  return null;
}

function inTrouble(url: string, status: number): Refusal {
  const text = `${hostOf(url)} failed when it was asked how to sign in (status ${status}). Nothing was changed. Start again later.`;
  return new Refusal(502, "api_error", text, "endpoint_failed");
}

function oldestEndpoints(origin: string): AuthorizationServerMetadata {
  const at = (path: string): string => new URL(path, origin).href;
  return {
    issuer: origin,
    authorization_endpoint: at("/authorize"),
    token_endpoint: at("/token"),
    registration_endpoint: at("/register"),
    response_types_supported: ["code"],
    code_challenge_methods_supported: ["S256"],
  };
}

function checkEndpoints(metadata: AuthorizationServerMetadata, reach: Reach): void {
  reach.check(metadata.authorization_endpoint, "The page for signing in");
  reach.check(metadata.token_endpoint, "The token endpoint");
  for (const optional of [metadata.registration_endpoint, revocationEndpointOf(metadata)]) {
    if (optional != null) reach.check(optional, "An endpoint of the authorization server");
  }
  const methods = metadata.code_challenge_methods_supported;
  // A server that does not say so may ignore the challenge, and a stolen code would be worth a token.
  if (methods?.includes("S256") !== true) {
    throw unusable("the authorization server does not protect sign-ins with PKCE (S256)");
  }
  if (!metadata.response_types_supported.includes("code")) {
    throw unusable("the authorization server does not give codes");
  }
}

/** Null when there is none; its place in the types differs between the two kinds of metadata. */
export function revocationEndpointOf(metadata: AuthorizationServerMetadata): string | null {
  const { revocation_endpoint } = metadata as { revocation_endpoint?: unknown };
  return typeof revocation_endpoint === "string" ? revocation_endpoint : null;
}

/** @param why part of a sentence, without anything long that a server wrote */
export function unusable(why: string): Refusal {
  const text = `Signing in is not possible: ${why}. Nothing was changed. Tell whoever runs the MCP server, or use a token of it instead.`;
  return new Refusal(400, "invalid_request_error", text, "endpoint_misconfigured");
}

const hostOf = (url: string): string => URL.parse(url)?.host ?? "(no host)";
