/** Taking tokens back: what is sent, and that the answer is not better than what happened. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { revoke } from "./revocation.ts";
import { type AuthServer, sendJson, startAuthServer } from "./testing/auth_server.ts";
import { signInRig, stopRigs } from "./testing/sign_in_rig.ts";

let server: AuthServer;
beforeEach(async () => {
  server = await startAuthServer();
});
afterEach(() => {
  server.close();
  stopRigs();
});

async function signedIn() {
  const rig = signInRig();
  const begin = rig.wish(server.mcpUrl);
  expect((await rig.signIn(begin)).flow.state).toBe("done");
  return { rig, ref: rig.refOf(begin) };
}
const sent = () => server.asked.filter(({ path }) => path === "/revoke").map(({ form }) => Object.fromEntries(form));

test("both tokens are taken back, the refresh token first", async () => {
  const { rig, ref } = await signedIn();
  server.answers["/revoke"] = (_, response) => void response.end();
  expect(await revoke(ref, rig.credentials)).toMatchObject({ state: "revoked" });
  expect(sent()).toEqual([
    { token: "canary-refresh-1", token_type_hint: "refresh_token", client_id: "client-1" },
    { token: "canary-access-1", token_type_hint: "access_token", client_id: "client-1" },
  ]);
  // The engine purges the value when it removes the credential.
  expect(await rig.credentials.sealed()).toHaveLength(1);
});

test("a client with a secret proves itself, also without a refresh token", async () => {
  server.tokens = { refresh_token: undefined };
  const rig = signInRig();
  server.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic"] };
  const begin = rig.wish(server.mcpUrl, { client: { client_id: "id", client_secret: "canary-secret" } });
  await rig.signIn(begin);
  server.answers["/revoke"] = (_, response) => void response.end();
  expect(await revoke(rig.refOf(begin), rig.credentials)).toMatchObject({ state: "revoked" });
  expect(server.asked.at(-1)?.headers.authorization).toBe(`Basic ${btoa("id:canary-secret")}`);
  expect(sent()).toEqual([{ token: "canary-access-1", token_type_hint: "access_token" }]);
});

test.each<[string, AuthServer["answers"][string], string]>([
  ["refuses both", (_, response) => sendJson(response, 400, { error: "unsupported_token_type" }), "failed"],
  ["is broken", (_, response) => sendJson(response, 503, {}), "failed"],
  ["does not answer", (_, response) => void response.destroy(), "failed"],
  ["redirects", (_, response) => void response.writeHead(302, { location: "/elsewhere" }).end(), "failed"],
  [
    "takes refresh tokens alone",
    ({ form }, response) => sendJson(response, form.get("token_type_hint") === "refresh_token" ? 200 : 400, {}),
    "revoked",
  ],
  [
    "takes access tokens alone",
    ({ form }, response) => sendJson(response, form.get("token_type_hint") === "access_token" ? 200 : 400, {}),
    "failed",
  ],
])("a server that %s", async (_, answer, state) => {
  const { rig, ref } = await signedIn();
  server.answers["/revoke"] = answer;
  const outcome = await revoke(ref, rig.credentials);
  expect(outcome.state).toBe(state);
  expect(outcome.message).not.toContain("canary");
  expect(server.count("/elsewhere")).toBe(0);
});

test("a server without it, and a credential that is no sign-in, are said to be so", async () => {
  server.metadata = { revocation_endpoint: undefined };
  const { rig, ref } = await signedIn();
  expect(await revoke(ref, rig.credentials)).toMatchObject({ state: "unsupported" });
  const hand = rig.wish(server.mcpUrl);
  const { vault_id, credential_id, secret_id, mcp_server_url } = hand;
  const names = { vault_id, credential_id, secret_id };
  await rig.credentials.seal({
    ...names,
    from: null,
    auth: { type: "static_bearer", mcp_server_url },
    secrets: { token: "canary-token" },
  });
  expect(await revoke(rig.refOf(hand), rig.credentials)).toMatchObject({ state: "unsupported" });
  expect(sent()).toEqual([]);
});

test("where a credential was changed by hand, what the sign-in knew is kept", async () => {
  const { rig, ref } = await signedIn();
  const { auth } = await rig.credentials.open(ref);
  const { vault_id, credential_id, secret_id } = ref;
  const next = { vault_id, credential_id, secret_id: "b".repeat(32) };
  await rig.credentials.seal({ ...next, from: secret_id, auth, secrets: { access_token: "canary-by-hand" } });
  server.answers["/revoke"] = (_, response) => void response.end();
  expect(await revoke({ ...next, issuer: server.mcpUrl }, rig.credentials)).toMatchObject({ state: "revoked" });
  expect(sent().map(({ token }) => token)).toEqual(["canary-refresh-1", "canary-by-hand"]);
});
