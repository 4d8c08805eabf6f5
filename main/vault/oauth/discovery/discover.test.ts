/** Where the documents of a sign-in are looked for, and in which order. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Challenge } from "../challenges.ts";
import { AS, type AuthServer, PRM, sendJson, startAuthServer } from "../testing/auth_server.ts";
import { discover } from "./discover.ts";
import { guardedFetch } from "./guarded_fetch.ts";
import { Reach } from "./reach.ts";

let server: AuthServer;
beforeEach(async () => {
  server = await startAuthServer();
});
afterEach(() => server.close());

async function found(url = server.mcpUrl, challenge: Partial<Challenge> | null = null) {
  const reach = await Reach.of(url);
  const whole = challenge === null ? null : { resourceMetadata: null, scopes: null, error: null, ...challenge };
  return discover(url, whole, reach, guardedFetch(reach, AbortSignal.timeout(20_000)));
}
const paths = () => server.asked.map(({ path }) => path);
const missing = (path: string) => {
  server.answers[path] = (_, response) => sendJson(response, 404, {});
};
const metadataOf = (issuer: string) => ({
  issuer,
  authorization_endpoint: `${server.origin}/authorize`,
  token_endpoint: `${server.origin}/token`,
  jwks_uri: `${server.origin}/jwks`,
  response_types_supported: ["code"],
  subject_types_supported: ["public"],
  id_token_signing_alg_values_supported: ["RS256"],
  code_challenge_methods_supported: ["S256"],
});

describe("the resource's metadata", () => {
  test("where the challenge says, and nowhere else", async () => {
    server.answers["/here"] = (_, response) =>
      sendJson(response, 200, {
        resource: server.origin,
        authorization_servers: [server.origin],
        scopes_supported: ["a"],
      });
    const server_ = await found(server.mcpUrl, { resourceMetadata: `${server.origin}/here` });
    expect(paths()).toEqual(["/here", AS]);
    expect(server_).toMatchObject({ issuer: server.origin, resource: server.origin, scopes: ["a"], guessed: false });
  });

  test("at the path of the server, then at the root", async () => {
    await found();
    expect(paths()).toEqual([`${PRM}/mcp`, AS]);
    server.asked.length = 0;
    missing(`${PRM}/mcp`);
    server.answers[PRM] = (_, response) =>
      sendJson(response, 200, { resource: server.origin, authorization_servers: [server.origin] });
    await found(`${server.mcpUrl}/?a=b`);
    expect(paths()).toEqual([`${PRM}/mcp`, PRM, AS]);
    expect(server.asked[0]?.query.get("a")).toBe("b");
  });

  test("nowhere: the server's own origin is asked, as in the first version", async () => {
    missing(`${PRM}/mcp`);
    expect(await found()).toMatchObject({
      issuer: server.origin,
      resource: server.mcpUrl,
      scopes: null,
      guessed: false,
    });
    missing(AS);
    expect(await found()).toMatchObject({
      guessed: true,
      metadata: {
        authorization_endpoint: `${server.origin}/authorize`,
        registration_endpoint: `${server.origin}/register`,
      },
    });
  });

  test("a page in its place is as good as nothing", async () => {
    server.answers[`${PRM}/mcp`] = (_, response) => void response.end("<html>welcome</html>");
    expect(await found()).toMatchObject({ issuer: server.origin, resource: server.mcpUrl });
  });
});

describe("the authorization server's metadata", () => {
  test("OpenID Connect's place when there is no other", async () => {
    missing(AS);
    server.answers["/.well-known/openid-configuration"] = (_, response) =>
      sendJson(response, 200, metadataOf(server.origin));
    expect(await found()).toMatchObject({ issuer: server.origin, guessed: false });
  });

  test("the three places of an issuer with a path, in order", async () => {
    const issuer = `${server.origin}/tenant`;
    server.resource = { authorization_servers: [issuer] };
    server.answers["/tenant/.well-known/openid-configuration"] = (_, response) =>
      sendJson(response, 200, metadataOf(issuer));
    expect(await found()).toMatchObject({ issuer });
    expect(paths().slice(1)).toEqual([
      `${AS}/tenant`,
      "/.well-known/openid-configuration/tenant",
      "/tenant/.well-known/openid-configuration",
    ]);
  });

  test("none, although one was named: nothing is guessed", async () => {
    missing(AS);
    await expect(found()).rejects.toThrow("does not publish how to use it");
  });
});
