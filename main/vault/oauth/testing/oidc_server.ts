/** An MCP server that takes the tokens of a real authorization server, `oidc-provider`: short-lived, with rotation. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
// @ts-expect-error: the package has no types
import Provider from "oidc-provider";
import { PRM, sendJson } from "./auth_server.ts";

interface Token {
  isValid: boolean;
  grantId: string;
}

/** The part of the package that is used here. */
interface OidcProvider {
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
  on(event: string, listener: (ctx: { oidc: { params: Record<string, unknown> } }, error?: Error) => void): void;
  interactionDetails(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<{
    prompt: { name: string };
    params: { client_id: string; scope?: string; resource?: string };
  }>;
  interactionFinished(request: IncomingMessage, response: ServerResponse, result: object): Promise<void>;
  Grant: new (of: {
    accountId: string;
    clientId: string;
  }) => {
    addOIDCScope(scope: string): void;
    addResourceScope(resource: string, scope: string): void;
    save(): Promise<string>;
  };
  AccessToken: { find(token: string): Promise<Token | undefined> };
  RefreshToken: { revokeByGrantId(grantId: string): Promise<void> };
}

export interface OidcServer {
  mcpUrl: string;
  /** Refreshes that the authorization server granted. */
  refreshes: number;
  /** What it refused at its token endpoint. */
  errors: string[];
  /** Access tokens that the MCP server took. */
  taken: Set<string>;
  /** Ends everything that the token's sign-in gave. */
  revokeGrantOf(token: string): Promise<void>;
  close(): void;
}

const SCOPE = "tools";

/** @param seconds lifetime of an access token */
export async function startOidcServer(seconds: number): Promise<OidcServer> {
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const mcpUrl = `${origin}/mcp`;
  const provider = new Provider(origin, configuration(seconds, mcpUrl)) as OidcProvider;
  const handle = provider.callback();
  const it: OidcServer = {
    mcpUrl,
    refreshes: 0,
    errors: [],
    taken: new Set(),
    revokeGrantOf: async (token) => {
      const found = await provider.AccessToken.find(token);
      if (found === undefined) throw new Error("The token is not known.");
      await provider.RefreshToken.revokeByGrantId(found.grantId);
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  provider.on("grant.success", ({ oidc }) => {
    if (oidc.params["grant_type"] === "refresh_token") it.refreshes += 1;
  });
  provider.on("grant.error", (_, error) => it.errors.push(error?.message ?? "unknown"));

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", origin);
    if (pathname === "/mcp") return answerMcp(request, response);
    if (pathname === `${PRM}/mcp`) {
      const metadata = { resource: mcpUrl, authorization_servers: [origin], scopes_supported: [SCOPE] };
      return sendJson(response, 200, metadata);
    }
    if (pathname.startsWith("/interaction/")) return consent(request, response);
    handle(request, response);
  }

  async function answerMcp(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const token = /^Bearer (\S+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    const found = token === "" ? undefined : await provider.AccessToken.find(token);
    if (found?.isValid !== true) {
      const challenge = `Bearer resource_metadata="${origin}${PRM}/mcp", scope="${SCOPE}"`;
      return sendJson(response, 401, {}, { "www-authenticate": challenge });
    }
    it.taken.add(token);
    sendJson(response, 200, { jsonrpc: "2.0", id: 1, result: {} });
  }

  /** A person who signs in and agrees to everything. */
  async function consent(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt, params } = await provider.interactionDetails(request, response);
    if (prompt.name === "login") {
      return provider.interactionFinished(request, response, { login: { accountId: "person" } });
    }
    const grant = new provider.Grant({ accountId: "person", clientId: params.client_id });
    grant.addOIDCScope(params.scope ?? "");
    grant.addResourceScope(params.resource ?? mcpUrl, params.scope ?? "");
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
  }
  return it;
}

function configuration(seconds: number, mcpUrl: string): object {
  return {
    scopes: [SCOPE, "offline_access"],
    ttl: { AccessToken: seconds, RefreshToken: 3600, Grant: 3600, Session: 3600, Interaction: 600 },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    clientDefaults: { grant_types: ["authorization_code", "refresh_token"] },
    cookies: { keys: ["for-a-test-only"] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: async () => true,
        getResourceServerInfo: async () => ({ scope: SCOPE, audience: mcpUrl, accessTokenTTL: seconds }),
      },
    },
  };
}

/** Follows redirects with cookies, to a page. */
export async function browse(start: string): Promise<Response> {
  const cookies = new Map<string, string>();
  let url = start;
  for (let hop = 0; hop < 12; hop++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { redirect: "manual", headers: cookie === "" ? {} : { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "") cookies.delete(name);
      else cookies.set(name, value);
    }
    const location = response.headers.get("location");
    if (location === null) return response;
    await response.body?.cancel();
    url = new URL(location, url).href;
  }
  throw new Error("The redirects do not end.");
}
