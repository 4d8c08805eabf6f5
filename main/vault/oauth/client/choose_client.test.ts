/** As which client Longhaul signs in, and how long a registration lasts. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type AuthServer, sendJson, startAuthServer } from "../testing/auth_server.ts";
import { hex, signInRig, stopRigs } from "../testing/sign_in_rig.ts";

let server: AuthServer;
beforeEach(async () => {
  server = await startAuthServer();
});
afterEach(() => {
  server.close();
  stopRigs();
});

const last = (path: string) => server.asked.findLast((asked) => asked.path === path);
const DOCUMENT = "https://longhaul.test/client.json";

test("a registration describes an app on a person's machine", async () => {
  const rig = signInRig();
  await rig.signIn(rig.wish(server.mcpUrl, { scopes: ["a", "b"] }));
  expect(JSON.parse(last("/register")?.body ?? "")).toEqual({
    client_name: "Longhaul",
    redirect_uris: [last("/authorize")?.query.get("redirect_uri")],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    application_type: "native",
    token_endpoint_auth_method: "none",
    scope: "a b",
  });
});

test("it is kept for its server, also over a restart, and made anew for another one", async () => {
  // A port that stays the same, as the one that is tried first.
  const probe = signInRig();
  const { authorization_url } = await probe.signIns.begin(
    probe.wish(server.mcpUrl, { client: { client_id: "x", client_secret: null } }),
  );
  const redirectPort = Number(new URL(new URL(authorization_url).searchParams.get("redirect_uri") ?? "").port);
  probe.signIns.close();
  const rig = signInRig({ redirectPort });
  await rig.signIn(rig.wish(server.mcpUrl));
  await rig.signIn(rig.wish(server.mcpUrl));
  const restarted = signInRig({ redirectPort }, rig);
  await restarted.signIn(restarted.wish(server.mcpUrl));
  expect(server.count("/register")).toBe(1);
  expect(last("/authorize")?.query.get("client_id")).toBe("client-1");
  // It is none of the engine's values.
  expect(await restarted.credentials.sealed()).toHaveLength(3);

  const other = await startAuthServer();
  server.resource = { authorization_servers: [other.origin] };
  await restarted.signIn(restarted.wish(server.mcpUrl));
  expect(other.count("/register")).toBe(1);
  expect(other.asked.findLast(({ path }) => path === "/token")?.form.get("client_id")).toBe("client-1");
  expect(server.count("/token")).toBe(3);
  other.close();
});

test("a secret that has expired, or that the server has forgotten, is replaced", async () => {
  const rig = signInRig();
  // Keeps the way back open, and so its port.
  const holder = rig.wish(server.mcpUrl, { client: { client_id: "x", client_secret: null } });
  await rig.signIns.begin(holder);
  server.metadata = { token_endpoint_auth_methods_supported: ["client_secret_basic"] };
  const register = (expiry: number) => {
    server.answers["/register"] = ({ body }, response) =>
      sendJson(response, 201, {
        ...JSON.parse(body),
        client_id: `client-${server.count("/register")}`,
        client_secret: "canary-client-secret",
        client_secret_expires_at: expiry,
      });
  };
  register(1);
  await rig.signIn(rig.wish(server.mcpUrl));
  register(0);
  await rig.signIn(rig.wish(server.mcpUrl));
  await rig.signIn(rig.wish(server.mcpUrl));
  expect(server.count("/register")).toBe(2);
  expect(last("/token")?.headers.authorization).toBe(`Basic ${btoa("client-2:canary-client-secret")}`);
  const usual = server.answers["/token"];
  server.answers["/token"] = (_, response) => sendJson(response, 401, { error: "invalid_client" });
  expect((await rig.signIn(rig.wish(server.mcpUrl))).flow).toMatchObject({ state: "failed" });
  if (usual === undefined) delete server.answers["/token"];
  expect((await rig.signIn(rig.wish(server.mcpUrl))).flow).toMatchObject({ state: "done" });
  expect(server.count("/register")).toBe(3);
  expect(rig.logs.join("")).not.toContain("canary");
});

test.each<[string, string[] | undefined, string | null, string]>([
  ["Basic where the server takes it", ["client_secret_post", "client_secret_basic"], "canary s&cret", "basic"],
  ["the body where it takes that alone", ["client_secret_post"], "canary s&cret", "post"],
  ["Basic where it does not say", undefined, "canary s&cret", "basic"],
  ["nothing without a secret", ["client_secret_basic"], null, "none"],
])("a client that a person registered: %s", async (_, methods, client_secret, expected) => {
  const rig = signInRig({ clientMetadataUrl: DOCUMENT });
  server.metadata = { token_endpoint_auth_methods_supported: methods, client_id_metadata_document_supported: true };
  const begin = rig.wish(server.mcpUrl, { client: { client_id: "given:id", client_secret } });
  const { flow } = await rig.signIn(begin);
  expect(flow).toMatchObject({ state: "done", auth: { refresh: { client_id: "given:id" } } });
  expect(JSON.stringify(flow)).not.toContain("canary");
  expect(server.count("/register")).toBe(0);
  expect(new URL(last("/authorize")?.query.get("redirect_uri") ?? "").pathname).toBe("/oauth/callback");
  const { headers, form } = last("/token") ?? { headers: {}, form: new URLSearchParams() };
  // RFC 6749 §2.3.1: both in the form's encoding.
  expect(headers.authorization).toBe(expected === "basic" ? `Basic ${btoa("given%3Aid:canary+s%26cret")}` : undefined);
  expect(form.get("client_id")).toBe(expected === "basic" ? null : "given:id");
  expect(form.get("client_secret")).toBe(expected === "post" ? "canary s&cret" : null);
  expect((await rig.credentials.open(rig.refOf(begin))).secrets.client_secret).toBe(client_secret ?? undefined);
});

test("the document about Longhaul where the server reads such, a registration where it does not", async () => {
  const rig = signInRig({ clientMetadataUrl: DOCUMENT });
  server.metadata = { client_id_metadata_document_supported: true };
  const { flow } = await rig.signIn(rig.wish(server.mcpUrl));
  expect(flow).toMatchObject({ auth: { refresh: { client_id: DOCUMENT, token_endpoint_auth: { type: "none" } } } });
  expect(server.count("/register")).toBe(0);
  server.metadata = {};
  await rig.signIn(rig.wish(server.mcpUrl, { flow_id: hex() }));
  expect(server.count("/register")).toBe(1);
});
