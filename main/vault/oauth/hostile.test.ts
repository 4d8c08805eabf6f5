/** Servers that do not mean well: what they say leads nowhere, and no code or token reaches them. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AS, type AuthServer, PRM, sendJson, startAuthServer } from "./testing/auth_server.ts";
import { hex, signInRig, stopRigs } from "./testing/sign_in_rig.ts";

let server: AuthServer;
/** Another service of this machine or its network, which a sign-in has no business with. */
let inside: Server;
let insideUrl: string;
let reached: string[];

beforeEach(async () => {
  server = await startAuthServer();
  reached = [];
  inside = createServer((request, response) => {
    reached.push(request.url ?? "");
    response.end("{}");
  });
  await new Promise<void>((resolve) => inside.listen(0, "127.0.0.1", resolve));
  insideUrl = `http://127.0.0.1:${(inside.address() as AddressInfo).port}`;
});
afterEach(() => {
  server.close();
  inside.closeAllConnections();
  inside.close();
  stopRigs();
});

type Spoil = (it: AuthServer) => void;
const metadata =
  (over: Record<string, unknown>): Spoil =>
  (it) => {
    it.metadata = over;
  };
const moved =
  (path: string, location: string): Spoil =>
  (it) => {
    it.answers[path] = (_, response) => void response.writeHead(302, { location }).end();
  };

describe("a server whose word cannot be taken is not signed in to", () => {
  test.each<[string, Spoil, RegExp]>([
    ["huge metadata of the resource", (it) => (it.resource = { x: "x".repeat(200_000) }), /more than a sign-in needs/],
    ["huge metadata of the authorization server", metadata({ x: "x".repeat(200_000) }), /more than a sign-in needs/],
    ["metadata that never ends", (it) => (it.answers[AS] = (_, r) => void r.write("{")), /more than a sign-in needs/],
    [
      "a resource that is another server's",
      (it) => (it.resource = { resource: "https://evil.test/mcp" }),
      /another server/,
    ],
    ["a resource that is no URL", (it) => (it.resource = { resource: "evil" }), /another server/],
    ["endless redirects", moved(AS, AS), /does not publish how/],
    ["metadata of another issuer", metadata({ issuer: "https://evil.test" }), /wrong, or of another server/],
    ["an issuer with a slash more", (it) => (it.metadata = { issuer: `${it.origin}/` }), /wrong, or of another server/],
    ["no endpoints", metadata({ token_endpoint: undefined }), /wrong, or of another server/],
    ["an authorization server in trouble", (it) => (it.answers[AS] = (_, r) => sendJson(r, 500, {})), /status 500/],
    ["no JSON", (it) => (it.answers[AS] = (_, r) => void r.end("<html>")), /wrong, or of another server/],
    ["a page that runs code", metadata({ authorization_endpoint: "javascript:alert(1)" }), /wrong|not https/],
    ["a page in a file", metadata({ authorization_endpoint: "file:///etc/passwd" }), /not https/],
    ["a page with a user name", metadata({ authorization_endpoint: "https://good@evil.test/" }), /user name/],
    ["a page without encryption", metadata({ authorization_endpoint: "http://evil.test/" }), /not https/],
    ["a token endpoint without encryption", metadata({ token_endpoint: "http://evil.test/token" }), /not https/],
    ["a registration without encryption", metadata({ registration_endpoint: "http://evil.test/" }), /not https/],
    ["a revocation without encryption", metadata({ revocation_endpoint: "http://evil.test/" }), /not https/],
    ["a metadata service", metadata({ token_endpoint: "https://169.254.169.254/token" }), /private network/],
    ["no PKCE", metadata({ code_challenge_methods_supported: undefined }), /PKCE/],
    ["plain PKCE only", metadata({ code_challenge_methods_supported: ["plain"] }), /PKCE/],
    ["no codes", metadata({ response_types_supported: ["token"] }), /codes/],
    [
      "an authorization server without encryption",
      (it) => (it.resource = { authorization_servers: ["http://evil.test"] }),
      /not https/,
    ],
    [
      "an authorization server that is no URL",
      (it) => (it.resource = { authorization_servers: ["evil"] }),
      /not a URL/,
    ],
    ["metadata that is not there", (it) => (it.answers[`${PRM}/mcp`] = (_, r) => sendJson(r, 404, {})), /not there/],
    [
      "metadata that is a page",
      (it) => (it.answers[`${PRM}/mcp`] = (_, r) => void r.end("<html>")),
      /cannot be understood/,
    ],
    ["a server in trouble", (it) => (it.answers[`${PRM}/mcp`] = (_, r) => sendJson(r, 503, {})), /status 503/],
    [
      "a refused registration",
      (it) => (it.answers["/register"] = (_, r) => sendJson(r, 400, { error: "evil words" })),
      /status 400/,
    ],
    [
      "a registration without an id",
      (it) => (it.answers["/register"] = (_, r) => sendJson(r, 201, {})),
      /did not register/,
    ],
    ["no registration", metadata({ registration_endpoint: undefined }), /enter the client ID/],
  ])("%s", async (_, spoil, message) => {
    const rig = signInRig();
    spoil(server);
    const begin = rig.wish(server.mcpUrl);
    const error = await rig.signIns.begin(begin).then(
      () => null,
      (thrown: Error) => thrown,
    );
    expect(error?.message).toMatch(message);
    expect(error?.message).not.toContain("evil words");
    expect(server.count("/authorize")).toBe(0);
    await expect(rig.outcome(begin.flow_id)).rejects.toMatchObject({ code: "sign_in_unknown" });
  });

  test("redirects to another origin are not followed, not even within this machine", async () => {
    const rig = signInRig();
    moved(AS, `${insideUrl}/metadata`)(server);
    await expect(rig.signIns.begin(rig.wish(server.mcpUrl))).rejects.toThrow("does not publish how");
    expect(reached).toEqual([]);
  });

  test("a document that moved within its host is found", async () => {
    const rig = signInRig();
    moved(AS, "/elsewhere")(server);
    server.answers["/elsewhere"] = (_, response) =>
      sendJson(response, 200, {
        issuer: server.origin,
        authorization_endpoint: `${server.origin}/authorize`,
        token_endpoint: `${server.origin}/token`,
        registration_endpoint: `${server.origin}/register`,
        response_types_supported: ["code"],
        code_challenge_methods_supported: ["S256"],
      });
    expect((await rig.signIn(rig.wish(server.mcpUrl))).flow.state).toBe("done");
  });
});

describe("a server elsewhere leads into no private network", () => {
  /** A public server, which the test answers for under its name. */
  const internet = (addresses: Record<string, string[]>) => ({
    resolve: async (name: string) => addresses[name] ?? Promise.reject(new Error("ENOTFOUND")),
  });

  test.each([
    ["this machine by its name", "http://localhost"],
    ["this machine by its address", "https://127.0.0.1"],
    ["this machine in another writing", "https://0x7f.1"],
    ["this machine over IPv6", "https://[::1]"],
    ["this machine, mapped", "https://[::ffff:127.0.0.1]"],
    ["a network", "https://192.168.0.1"],
    ["a unique local address", "https://[fd00::1]"],
    ["a metadata service", "https://169.254.169.254"],
    ["no address", "https://0.0.0.0"],
  ])("%s", async (_, target) => {
    const rig = signInRig(internet({ "mcp.test": ["192.0.2.1"] }));
    rig.challenges.note("https://mcp.test/mcp", `Bearer resource_metadata="${target}:${new URL(insideUrl).port}/m"`);
    await expect(rig.signIns.begin(rig.wish("https://mcp.test/mcp"))).rejects.toThrow(/private network/);
    expect(reached).toEqual([]);
  });

  test.each([
    ["this machine", ["127.0.0.1"]],
    ["a network", ["10.0.0.1"]],
    ["both", ["10.0.0.1", "::1"]],
  ])("a name that leads to %s", async (_, addresses) => {
    const rig = signInRig(internet({ "mcp.test": ["192.0.2.1"], "inner.test": addresses }));
    const target = `https://inner.test:${new URL(insideUrl).port}/m`;
    rig.challenges.note("https://mcp.test/mcp", `Bearer resource_metadata="${target}"`);
    await expect(rig.signIns.begin(rig.wish("https://mcp.test/mcp"))).rejects.toMatchObject({
      code: "endpoint_unreachable",
    });
    expect(reached).toEqual([]);
  });

  test("an MCP server whose own name leads to this machine opens nothing", async () => {
    const rig = signInRig(internet({ "mcp.test": ["127.0.0.1"] }));
    rig.challenges.note("https://mcp.test/mcp", `Bearer resource_metadata="${insideUrl}/m"`);
    await expect(rig.signIns.begin(rig.wish("https://mcp.test/mcp"))).rejects.toThrow(/private network/);
    expect(reached).toEqual([]);
  });

  test("an MCP server without encryption off this machine is not signed in to", async () => {
    const rig = signInRig(internet({ "mcp.test": ["192.0.2.1"] }));
    await expect(rig.signIns.begin(rig.wish("http://mcp.test/mcp"))).rejects.toThrow(/not https/);
  });
});

describe("an answer in the browser that is not the server's", () => {
  test.each<[string, Record<string, string | null>]>([
    ["of another issuer", { iss: "https://evil.test" }],
    ["of an issuer that is almost this one", { iss: "slash" }],
    ["without an issuer that was promised", { iss: null }],
    ["without a code", { code: null }],
    ["with an empty code", { code: "" }],
    ["with line breaks in its code", { code: "a\r\nb" }],
    [
      "with an error of its own, under another issuer",
      { iss: "https://evil.test", error: "access_denied", code: null },
    ],
  ])("%s ends the sign-in, and no code is sent", async (_, redirect) => {
    const rig = signInRig();
    server.redirect = redirect.iss === "slash" ? { iss: `${server.origin}/` } : redirect;
    const { flow, page } = await rig.signIn(rig.wish(server.mcpUrl));
    expect(flow.state).toBe("failed");
    expect(JSON.stringify(flow)).not.toContain("evil.test");
    expect(page.status).toBe(400);
    expect(server.count("/token")).toBe(0);
  });

  test("an issuer that nobody promised is compared all the same, and may be missing", async () => {
    const rig = signInRig();
    server.metadata = { authorization_response_iss_parameter_supported: undefined };
    server.redirect = { iss: "https://evil.test" };
    expect((await rig.signIn(rig.wish(server.mcpUrl))).flow.state).toBe("failed");
    server.redirect = { iss: null };
    expect((await rig.signIn(rig.wish(server.mcpUrl))).flow.state).toBe("done");
  });

  test("a wrong state changes nothing; the right one counts once", async () => {
    const rig = signInRig();
    const begin = rig.wish(server.mcpUrl);
    const { authorization_url } = await rig.signIns.begin(begin);
    const query = new URL(authorization_url).searchParams;
    const back = (state: string, more = "") =>
      fetch(`${query.get("redirect_uri")}?code=stolen&state=${state}&iss=${server.origin}${more}`);
    const state = query.get("state") ?? "";
    for (const wrong of ["", "wrong", state.slice(1), `${state}0`, `${state}&state=${state}`]) {
      expect((await back(wrong)).status).toBe(410);
    }
    expect(server.count("/token")).toBe(0);
    const page = await fetch(authorization_url, { redirect: "manual" });
    const location = page.headers.get("location") ?? "";
    expect((await fetch(location)).status).toBe(200);
    // The port is closed by then, or the page says that it is over.
    const replayed = await fetch(location).then(
      (response) => response.status,
      () => "closed",
    );
    expect([410, "closed"]).toContain(replayed);
    expect(server.count("/token")).toBe(1);
    expect(await rig.outcome(begin.flow_id)).toMatchObject({ state: "done" });
  });

  test("two codes, or two issuers, are none", async () => {
    const rig = signInRig();
    for (const twice of ["code=other", `iss=${server.origin}`]) {
      const begin = rig.wish(server.mcpUrl);
      const { authorization_url } = await rig.signIns.begin(begin);
      const page = await fetch(authorization_url, { redirect: "manual" });
      await fetch(`${page.headers.get("location")}&${twice}`);
      expect((await rig.outcome(begin.flow_id)).state).toBe("failed");
    }
    expect(server.count("/token")).toBe(0);
  });

  test("the state of one sign-in does not finish another one at another server", async () => {
    const rig = signInRig();
    const evil = await startAuthServer();
    const good = rig.wish(server.mcpUrl);
    const bad = rig.wish(evil.mcpUrl);
    const goodUrl = new URL((await rig.signIns.begin(good)).authorization_url);
    const badUrl = new URL((await rig.signIns.begin(bad)).authorization_url);
    // The evil server sends the browser on to the good one, with its own way back: paths differ by server.
    const mixed = new URL(goodUrl.searchParams.get("redirect_uri") ?? "");
    mixed.searchParams.set("code", "stolen");
    mixed.searchParams.set("state", badUrl.searchParams.get("state") ?? "");
    expect((await fetch(mixed)).status).toBe(410);
    expect(evil.count("/token") + server.count("/token")).toBe(0);
    evil.close();
  });
});

test("thirty-two sign-ins wait at most", async () => {
  const rig = signInRig();
  const wishes = Array.from({ length: 32 }, () =>
    rig.wish(server.mcpUrl, { client: { client_id: "x", client_secret: null } }),
  );
  await Promise.all(wishes.map((wish) => rig.signIns.begin(wish)));
  await expect(rig.signIns.begin(rig.wish(server.mcpUrl))).rejects.toMatchObject({ status: 429 });
  rig.signIns.cancel(wishes[0]?.flow_id ?? hex());
  expect((await rig.signIns.begin(rig.wish(server.mcpUrl))).state).toBe("waiting");
});
