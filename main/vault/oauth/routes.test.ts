/** The control routes for sign-ins, as the engine uses them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import type { OAuthFlow } from "../../contract/vaults/oauth.ts";
import { errorOf, stopBrokers, type TestBroker, testBroker } from "../testing/broker_client.ts";
import { type AuthServer, startAuthServer } from "./testing/auth_server.ts";
import { hex } from "./testing/sign_in_rig.ts";

let server: AuthServer;
let dir: string;
let broker: TestBroker;
beforeEach(async () => {
  server = await startAuthServer();
  dir = mkdtempSync(join(tmpdir(), "longhaul-oauth-routes-"));
  broker = await testBroker({}, { oauth: { redirectPort: 0 } }, dir);
});
afterEach(async () => {
  await stopBrokers();
  server.close();
  rmSync(dir, { recursive: true, force: true });
});

const wish = () => ({
  vault_id: newId("vault"),
  credential_id: newId("credential"),
  secret_id: hex(),
  flow_id: hex(),
  mcp_server_url: server.mcpUrl,
  scopes: null as unknown,
  client: null as unknown,
});
const flowOf = async (answer: Response) => {
  expect(answer.status).toBe(200);
  return (await answer.json()) as OAuthFlow;
};

test("a sign-in from its beginning to its revocation", async () => {
  const begin = wish();
  const begun = await flowOf(await broker.control("POST", "oauth", begin));
  expect(begun.state).toBe("waiting");
  expect(await flowOf(await broker.control("GET", `oauth/${begin.flow_id}`))).toEqual(begun);
  const waiting = broker.control("GET", `oauth/${begin.flow_id}?wait_ms=20000`).then(flowOf);
  expect((await fetch(begun.authorization_url)).status).toBe(200);
  expect(await waiting).toMatchObject({ state: "done", auth: { type: "mcp_oauth", mcp_server_url: server.mcpUrl } });
  const { vault_id, credential_id, secret_id } = begin;
  const sealed = await (await broker.control("GET", "credentials")).json();
  expect(sealed).toEqual({ data: [{ vault_id, credential_id, secret_id }] });
  server.answers["/revoke"] = (_, response) => void response.end();
  const ref = { vault_id, credential_id, secret_id, issuer: server.mcpUrl };
  expect(await (await broker.control("POST", "oauth/revoke", ref)).json()).toMatchObject({ state: "revoked" });
  expect(server.count("/revoke")).toBe(2);
  expect(broker.logs.join("")).not.toContain("canary");
});

test("cancelled, it is gone; a broker that was restarted knows none", async () => {
  const begin = wish();
  await flowOf(await broker.control("POST", "oauth", begin));
  expect((await broker.control("DELETE", `oauth/${begin.flow_id}`)).status).toBe(204);
  expect((await broker.control("DELETE", `oauth/${begin.flow_id}`)).status).toBe(204);
  const gone = await errorOf(await broker.control("GET", `oauth/${begin.flow_id}`));
  expect(gone).toMatchObject({
    status: 404,
    code: "sign_in_unknown",
    message: expect.stringContaining("Start it again"),
  });
});

test("only this launch's engine reaches them", async () => {
  for (const [method, path] of [
    ["POST", "oauth"],
    ["POST", "oauth/revoke"],
    ["GET", `oauth/${hex()}`],
    ["DELETE", `oauth/${hex()}`],
  ] as const) {
    const body = method === "POST" ? wish() : undefined;
    expect((await broker.control(method, path, body, broker.token)).status).toBe(401);
  }
  expect(server.asked).toEqual([]);
});

const CANARY = "canary-value";
test.each<[string, string, string, (body: ReturnType<typeof wish>) => unknown]>([
  ["no JSON", "POST", "oauth", () => `{"${CANARY}`],
  ["another field", "POST", "oauth", (body) => ({ ...body, client_secret: CANARY })],
  ["an id of another form", "POST", "oauth", (body) => ({ ...body, flow_id: CANARY })],
  ["a credential that is none", "POST", "oauth", (body) => ({ ...body, credential_id: CANARY })],
  ["an address that is no web address", "POST", "oauth", (body) => ({ ...body, mcp_server_url: `file:///${CANARY}` })],
  ["scopes with spaces", "POST", "oauth", (body) => ({ ...body, scopes: [`a ${CANARY}`] })],
  ["too many scopes", "POST", "oauth", (body) => ({ ...body, scopes: Array.from({ length: 101 }, () => "s") })],
  [
    "a client without an id",
    "POST",
    "oauth",
    (body) => ({ ...body, client: { client_id: "", client_secret: CANARY } }),
  ],
  ["a flow by a path", "GET", `oauth/..%2f${CANARY}`, () => undefined],
  ["a wait that is none", "GET", `oauth/${"0".repeat(32)}?wait_ms=-1&x=${CANARY}`, () => undefined],
  [
    "too much",
    "POST",
    "oauth",
    (body) => ({ ...body, client: { client_id: CANARY.repeat(50_000), client_secret: null } }),
  ],
])("refuses %s without repeating a value", async (_, method, path, change) => {
  const body = change(wish());
  const { status, message } = await errorOf(await broker.control(method, path, body));
  expect([400, 404, 413]).toContain(status);
  if (method === "POST") expect(message).not.toContain(CANARY);
  expect(server.asked).toEqual([]);
});
