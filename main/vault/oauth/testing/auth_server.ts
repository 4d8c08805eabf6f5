/** An MCP server and its authorization server in one, each of whose answers a test can replace. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: string;
  /** The body as a form. */
  form: URLSearchParams;
}

type Answer = (asked: Asked, response: ServerResponse) => void;

export interface AuthServer {
  origin: string;
  mcpUrl: string;
  asked: Asked[];
  /** By path; in the place of the usual answer. */
  answers: Record<string, Answer>;
  /** Laid over the usual metadata of the authorization server; undefined removes a field. */
  metadata: Record<string, unknown>;
  /** Laid over the usual protected-resource metadata. */
  resource: Record<string, unknown>;
  /** Laid over the parameters of the redirect back; null removes one. */
  redirect: Record<string, string | null>;
  /** Laid over the answer to a code. */
  tokens: Record<string, unknown>;
  /** Requests to a path so far. */
  count(path: string): number;
  close(): void;
}

export function sendJson(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

export const PRM = "/.well-known/oauth-protected-resource";
export const AS = "/.well-known/oauth-authorization-server";

/** @param host how its own address is written */
export async function startAuthServer(host = "127.0.0.1"): Promise<AuthServer> {
  const codes = new Map<string, string>();
  const usual: Record<string, Answer> = {
    "/mcp": (_, response) =>
      sendJson(response, 401, {}, { "www-authenticate": `Bearer resource_metadata="${it.origin}${PRM}/mcp"` }),
    [`${PRM}/mcp`]: (_, response) =>
      sendJson(response, 200, { resource: it.mcpUrl, authorization_servers: [it.origin], ...it.resource }),
    [AS]: (_, response) => sendJson(response, 200, { ...metadata(), ...it.metadata }),
    "/register": ({ body }, response) =>
      sendJson(response, 201, { ...JSON.parse(body), client_id: `client-${it.count("/register")}` }),
    "/authorize": ({ query }, response) => {
      const code = `canary-authorization-code-${it.count("/authorize")}`;
      codes.set(code, query.get("code_challenge") ?? "");
      const back = new URL(query.get("redirect_uri") ?? "");
      const parameters = { code, state: query.get("state"), iss: it.origin, ...it.redirect };
      for (const [name, value] of Object.entries(parameters)) if (value !== null) back.searchParams.set(name, value);
      response.writeHead(302, { location: back.href }).end();
    },
    "/token": ({ form }, response) => {
      const challenge = codes.get(form.get("code") ?? "");
      codes.delete(form.get("code") ?? "");
      const proof = createHash("sha256")
        .update(form.get("code_verifier") ?? "")
        .digest("base64url");
      if (challenge !== proof) return sendJson(response, 400, { error: "invalid_grant" });
      const tokens = { access_token: `canary-access-${it.count("/token")}`, token_type: "Bearer", expires_in: 3600 };
      sendJson(response, 200, { ...tokens, refresh_token: `canary-refresh-${it.count("/token")}`, ...it.tokens });
    },
  };
  const metadata = (): Record<string, unknown> => ({
    issuer: it.origin,
    authorization_endpoint: `${it.origin}/authorize`,
    token_endpoint: `${it.origin}/token`,
    registration_endpoint: `${it.origin}/register`,
    revocation_endpoint: `${it.origin}/revoke`,
    response_types_supported: ["code"],
    code_challenge_methods_supported: ["S256"],
    token_endpoint_auth_methods_supported: ["none"],
    authorization_response_iss_parameter_supported: true,
  });
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://here");
      const body = Buffer.concat(parts).toString();
      const { method = "", headers } = request;
      const asked: Asked = {
        method,
        path: pathname,
        query: searchParams,
        headers,
        body,
        form: new URLSearchParams(body),
      };
      it.asked.push(asked);
      const answer = it.answers[pathname] ?? usual[pathname];
      if (answer === undefined) return sendJson(response, 404, {});
      answer(asked, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://${host}:${(server.address() as AddressInfo).port}`;
  const it: AuthServer = {
    origin,
    mcpUrl: `${origin}/mcp`,
    asked: [],
    answers: {},
    metadata: {},
    resource: {},
    redirect: {},
    tokens: {},
    count: (path) => it.asked.filter((asked) => asked.path === path).length,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return it;
}
