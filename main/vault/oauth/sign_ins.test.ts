/** Whole sign-ins with a server that keeps to the rules: what is asked for, what is sealed, and how they end. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { OAuthBegin } from "../../contract/vaults/oauth.ts";
import { type AuthServer, sendJson, startAuthServer } from "./testing/auth_server.ts";
import { hex, signInRig, stopRigs } from "./testing/sign_in_rig.ts";

let server: AuthServer;
beforeEach(async () => {
  server = await startAuthServer();
});
afterEach(() => {
  server.close();
  stopRigs();
});

const last = (path: string) => server.asked.findLast((asked) => asked.path === path);
const scopeAsked = () => last("/authorize")?.query.get("scope") ?? null;

describe("a sign-in", () => {
  test("ends with tokens under the id that the engine chose, and shows none of them", async () => {
    const rig = signInRig();
    const begin = rig.wish(server.mcpUrl);
    const { flow, page, text } = await rig.signIn(begin);
    expect(flow).toEqual({
      flow_id: begin.flow_id,
      authorization_url: expect.stringContaining(`${server.origin}/authorize?`),
      authorization_server: new URL(server.origin).host,
      state: "done",
      scopes: null,
      auth: {
        type: "mcp_oauth",
        mcp_server_url: server.mcpUrl,
        expires_at: expect.any(String),
        refresh: {
          client_id: "client-1",
          token_endpoint: `${server.origin}/token`,
          token_endpoint_auth: { type: "none" },
          resource: server.mcpUrl,
          scope: null,
        },
      },
    });
    expect(await rig.credentials.bearer(rig.refOf(begin))).toEqual({ token: "canary-access-1" });
    const opened = await rig.credentials.open(rig.refOf(begin));
    expect(opened.secrets).toEqual({ access_token: "canary-access-1", refresh_token: "canary-refresh-1" });
    expect(page.status).toBe(200);
    expect(text).toContain("go back to Longhaul");
    const code = last("/token")?.form.get("code") ?? "";
    for (const secret of ["canary", code, last("/token")?.form.get("code_verifier") ?? "none"]) {
      expect(`${JSON.stringify(flow)}${text}${rig.logs.join("")}`).not.toContain(secret);
    }
    // Whoever echoes them later, in a tool's output for example, is not understood.
    const verifier = last("/token")?.form.get("code_verifier") ?? "";
    expect(rig.redactor.text(`${code} ${verifier}`)).toMatch(/^\*+ \*+$/);
  });

  test("sends the resource as it is published, a challenge made with S256, and a state of 256 bits", async () => {
    const rig = signInRig();
    server.resource = { resource: server.origin };
    await rig.signIn(rig.wish(server.mcpUrl));
    const asked = Object.fromEntries(last("/authorize")?.query ?? []);
    expect(asked).toMatchObject({
      response_type: "code",
      client_id: "client-1",
      code_challenge_method: "S256",
      resource: server.origin,
      redirect_uri: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/oauth\/callback\/[0-9a-f]{16}$/),
      state: expect.stringMatching(/^[\w-]{43}$/),
    });
    expect(Object.fromEntries(last("/token")?.form ?? [])).toMatchObject({
      grant_type: "authorization_code",
      resource: server.origin,
      redirect_uri: asked["redirect_uri"],
      client_id: "client-1",
    });
  });

  test("begun twice with one id is one sign-in", async () => {
    const rig = signInRig();
    const begin = rig.wish(server.mcpUrl);
    const [first, second] = await Promise.all([rig.signIns.begin(begin), rig.signIns.begin(begin)]);
    expect(second).toEqual(first);
    expect(server.count("/register")).toBe(1);
  });

  test("of a credential that is signed in to again ends the former one", async () => {
    const rig = signInRig();
    const former = rig.wish(server.mcpUrl);
    const { authorization_url } = await rig.signIns.begin(former);
    const next = { ...former, flow_id: hex(), secret_id: hex() };
    const { authorization_url: better } = await rig.signIns.begin(next);
    expect(await rig.outcome(former.flow_id)).toMatchObject({
      state: "failed",
      message: expect.stringMatching(/Another sign-in/),
    });
    expect((await fetch(authorization_url)).status).toBe(410);
    expect((await fetch(better)).status).toBe(200);
    expect(server.count("/token")).toBe(1);
  });

  test("gives values that sessions still hold the new tokens", async () => {
    const rig = signInRig();
    const first = rig.wish(server.mcpUrl);
    await rig.signIn(first);
    const second = { ...first, flow_id: hex(), secret_id: hex() };
    await rig.signIn(second);
    for (const begin of [first, second]) {
      expect(await rig.credentials.bearer(rig.refOf(begin))).toEqual({ token: "canary-access-2" });
      expect(await rig.credentials.renewed(rig.refOf(begin), "canary-access-1")).toEqual({ token: "canary-access-2" });
    }
  });
});

describe("the end of a sign-in", () => {
  test("nobody signs in: it fails, the way back is closed, and the next one registers anew", async () => {
    const rig = signInRig({ personMs: 30 });
    const begin = rig.wish(server.mcpUrl);
    const { authorization_url } = await rig.signIns.begin(begin);
    expect(await rig.outcome(begin.flow_id)).toMatchObject({
      state: "failed",
      message: expect.stringMatching(/Nobody signed in/),
    });
    await expect.poll(() => fetch(authorization_url).catch(() => "closed")).toBe("closed");
    expect(server.count("/token")).toBe(0);
    const patient = signInRig({}, rig);
    await patient.signIn(patient.wish(server.mcpUrl));
    expect(server.count("/register")).toBe(2);
  });

  test("cancelled: it is forgotten, and what the browser brings is not used", async () => {
    const rig = signInRig();
    const begin = rig.wish(server.mcpUrl);
    const other = rig.wish(server.mcpUrl);
    const { authorization_url } = await rig.signIns.begin(begin);
    await rig.signIns.begin(other);
    const waiting = rig.outcome(begin.flow_id);
    rig.signIns.cancel(begin.flow_id);
    rig.signIns.cancel(begin.flow_id);
    expect(await waiting).toMatchObject({ state: "failed", message: expect.stringMatching(/cancelled/) });
    await expect(rig.outcome(begin.flow_id)).rejects.toMatchObject({ status: 404, code: "sign_in_unknown" });
    expect((await fetch(authorization_url)).status).toBe(410);
    expect(server.count("/token")).toBe(0);
    await expect(rig.credentials.open(rig.refOf(begin))).rejects.toMatchObject({ code: "value_missing" });
  });

  test("cancelled while the code is redeemed: nothing is sealed", async () => {
    const rig = signInRig();
    const begin = rig.wish(server.mcpUrl);
    server.answers["/token"] = () => rig.signIns.cancel(begin.flow_id);
    const { authorization_url } = await rig.signIns.begin(begin);
    const page = await fetch(authorization_url);
    expect(page.status).toBe(400);
    expect(await rig.credentials.sealed()).toEqual([]);
  });

  test("declined in the browser: the words are ours, not the server's", async () => {
    const rig = signInRig();
    server.redirect = { code: null, error: "access_denied", error_description: "<script>evil</script>" };
    const { flow, page, text } = await rig.signIn(rig.wish(server.mcpUrl));
    expect(flow).toMatchObject({ state: "failed", message: expect.stringMatching(/declined/) });
    expect(page.status).toBe(400);
    expect(text + JSON.stringify(flow)).not.toContain("evil");
  });

  test("an unknown one is said to be unknown", async () => {
    await expect(signInRig().outcome(hex())).rejects.toMatchObject({ status: 404, code: "sign_in_unknown" });
  });

  test("a port that is in use is no obstacle", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as AddressInfo;
    const rig = signInRig({ redirectPort: port });
    const { flow } = await rig.signIn(rig.wish(server.mcpUrl));
    taken.close();
    expect(flow.state).toBe("done");
  });
});

describe("what cannot be kept is not asked for", () => {
  test("a locked keychain refuses before the browser opens", async () => {
    const rig = signInRig();
    await rig.signIn(rig.wish(server.mcpUrl));
    const later = signInRig({}, rig);
    later.keychain.mode = "locked";
    const before = server.asked.length;
    const begin = later.wish(server.mcpUrl);
    await expect(later.signIns.begin(begin)).rejects.toMatchObject({ code: "keychain_locked" });
    expect(server.asked).toHaveLength(before);
    later.keychain.mode = "open";
    expect((await later.signIn(begin)).flow.state).toBe("done");
  });
});

describe("scopes", () => {
  const challenged = (parameters: string) => `Bearer ${parameters}`;

  test.each<[string, string | null, Partial<AuthServer>, Partial<OAuthBegin>, string | null]>([
    ["those of the challenge", 'scope="a b"', { resource: { scopes_supported: ["x"] } }, {}, "a b"],
    ["else those that the server lists", null, { resource: { scopes_supported: ["x", "y"] } }, {}, "x y"],
    ["else none", null, { metadata: { scopes_supported: ["z", "offline_access"] } }, {}, null],
    ["those that a person chose", 'scope="a"', { resource: { scopes_supported: ["x"] } }, { scopes: ["mine"] }, "mine"],
    [
      "offline_access where the authorization server has it",
      'scope="a"',
      { metadata: { scopes_supported: ["a", "offline_access"] } },
      {},
      "a offline_access",
    ],
  ])("%s", async (_, header, over, wish, expected) => {
    const rig = signInRig();
    Object.assign(server, over);
    if (header !== null) rig.challenges.note(server.mcpUrl, challenged(header));
    expect((await rig.signIn(rig.wish(server.mcpUrl, wish))).flow.state).toBe("done");
    expect(scopeAsked()).toBe(expected);
    expect(last("/authorize")?.query.get("prompt")).toBe(expected?.includes("offline_access") ? "consent" : null);
  });

  test("more of them: what was asked for before is asked for again, and what came is told", async () => {
    const rig = signInRig();
    rig.challenges.note(server.mcpUrl, challenged('scope="read"'));
    const first = rig.wish(server.mcpUrl);
    await rig.signIn(first);
    rig.challenges.note(server.mcpUrl, challenged('error="insufficient_scope", scope="write"'));
    server.tokens = { scope: "read write extra" };
    const { flow } = await rig.signIn({ ...first, flow_id: hex(), secret_id: hex() });
    expect(scopeAsked()).toBe("read write");
    expect(flow).toMatchObject({
      scopes: ["read", "write", "extra"],
      auth: { refresh: { scope: "read write extra" } },
    });
    // The registration named fewer scopes; some servers give a client no others.
    expect(server.count("/register")).toBe(2);
    // The next sign-in after an ordinary refusal asks for what that names.
    rig.challenges.note(server.mcpUrl, challenged('scope="read"'));
    await rig.signIn({ ...first, flow_id: hex(), secret_id: hex() });
    expect(scopeAsked()).toBe("read");
  });

  test("the same again and again: the third sign-in that changes nothing is refused", async () => {
    const rig = signInRig();
    const first = rig.wish(server.mcpUrl, { scopes: ["admin"] });
    await rig.signIn(first);
    const again = () => {
      rig.challenges.note(server.mcpUrl, challenged('error="insufficient_scope", scope="admin"'));
      return rig.signIn({ ...first, scopes: null, flow_id: hex(), secret_id: hex() });
    };
    expect((await again()).flow.state).toBe("done");
    expect((await again()).flow.state).toBe("done");
    await expect(again()).rejects.toMatchObject({
      status: 403,
      message: expect.stringMatching(/would change nothing/),
    });
    expect(server.count("/authorize")).toBe(3);
  });
});

describe("the token endpoint", () => {
  test.each<[string, (url: AuthServer) => void, RegExp]>([
    ["gives no token", (it) => (it.tokens = { access_token: undefined }), /gave no token/],
    ["gives a token of another kind", (it) => (it.tokens = { token_type: "DPoP" }), /gave no token/],
    [
      "refuses",
      (it) => (it.answers["/token"] = (_, r) => sendJson(r, 400, { error: "invalid_grant" })),
      /invalid_grant/,
    ],
    ["is away", (it) => (it.answers["/token"] = (_, r) => void r.destroy()), /gave no token/],
    [
      "redirects",
      (it) => (it.answers["/token"] = (_, r) => void r.writeHead(307, { location: "/x" }).end()),
      /no token/,
    ],
  ])("%s: the sign-in fails and nothing is sealed", async (_, spoil, message) => {
    const rig = signInRig();
    spoil(server);
    const { flow, page } = await rig.signIn(rig.wish(server.mcpUrl));
    expect(flow).toMatchObject({ state: "failed", message: expect.stringMatching(message) });
    expect(page.status).toBe(400);
    expect(await rig.credentials.sealed()).toEqual([]);
    expect(server.count("/x")).toBe(0);
  });

  test("gives no refresh token: the credential has none", async () => {
    const rig = signInRig();
    server.tokens = { refresh_token: undefined, expires_in: undefined };
    const begin = rig.wish(server.mcpUrl);
    const { flow } = await rig.signIn(begin);
    expect(flow).toMatchObject({ auth: { expires_at: null, refresh: null } });
    expect(await rig.credentials.renewed(rig.refOf(begin), "canary-access-1")).toBeNull();
  });
});
