/** Who may talk to this server: exact Host, own Origin, the API key. Everything else is refused before any route runs. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ApiError } from "../../contract/errors.ts";
import type { ApiPorts } from "../ports.ts";
import type { ApiContext, ApiEnv } from "./context.ts";

/**
 * Refuses foreign hosts (DNS rebinding), foreign origins and cross-site requests with 403, and answers preflights of
 * the app's own origins. There are no CORS headers for anyone else.
 */
export function guardOrigin(ports: ApiPorts): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    const host = c.req.header("host")?.toLowerCase() ?? "";
    if (!ports.allowedHosts().includes(host)) {
      throw new ApiError("permission_error", "The Host header does not name this server. Use the URL that it printed.");
    }
    const origin = c.req.header("origin");
    const own = origin === `http://${host}`;
    const trusted = origin !== undefined && (own || ports.allowedOrigins().includes(origin));
    if (origin !== undefined && !trusted) {
      throw new ApiError("permission_error", "Requests from web pages of other origins are refused.");
    }
    const site = c.req.header("sec-fetch-site");
    if (!trusted && site !== undefined && site !== "same-origin" && site !== "none") {
      throw new ApiError("permission_error", "Requests that another site makes a browser send are refused.");
    }
    const preflight = c.req.method === "OPTIONS" && c.req.header("access-control-request-method") !== undefined;
    if (preflight && trusted) return preflightResponse(c, origin);
    await next();
    if (trusted && !own) {
      c.res.headers.set("access-control-allow-origin", origin);
      c.res.headers.set("access-control-expose-headers", "request-id, x-should-retry, retry-after");
    }
    c.res.headers.append("vary", "Origin");
    return;
  };
}

function preflightResponse(c: ApiContext, origin: string): Response {
  return new Response(null, {
    status: 204,
    headers: {
      "access-control-allow-origin": origin,
      "access-control-allow-methods": "GET, POST, PUT, DELETE",
      "access-control-allow-headers": c.req.header("access-control-request-headers") ?? "",
      "access-control-max-age": "600",
      vary: "Origin",
      "request-id": c.get("requestId"),
    },
  });
}

const digest = (text: string) => createHash("sha256").update(text).digest();

/**
 * Asks for a credential: the API key as `Authorization: Bearer` or `x-api-key`, or a worker's own one as Bearer; 401
 * otherwise. Says who calls; what they may call is the access table's. Credentials in the URL are never looked at.
 */
export function requireCredential(ports: Pick<ApiPorts, "token" | "credentials">): MiddlewareHandler<ApiEnv> {
  const wanted = digest(ports.token);
  // Equal lengths, no early exit: the time does not tell how much of a guess was right.
  const matches = (key: string | undefined) => key !== undefined && timingSafeEqual(digest(key), wanted);
  return async (c, next) => {
    const bearer = /^bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1];
    const viaBearer = matches(bearer);
    const viaHeader = matches(c.req.header("x-api-key"));
    const key = viaBearer || viaHeader;
    const worker = key || bearer === undefined ? null : await ports.credentials.identify(bearer);
    if (!key && worker === null) {
      throw new ApiError(
        "authentication_error",
        "The API key is missing or wrong. Send it as `Authorization: Bearer <key>` or `x-api-key: <key>`; `longhaul env` prints the key of a running engine.",
      );
    }
    c.set("caller", worker ?? { kind: "api_key" });
    await next();
  };
}
