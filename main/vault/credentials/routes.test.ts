/** The control routes themselves: who may use them, and that no refusal repeats what was sent. */
import { afterEach, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import { errorOf, stopBrokers, testBroker } from "../testing/broker_client.ts";

afterEach(stopBrokers);

const CANARY = "canary-value";
const seal = () => ({
  vault_id: newId("vault"),
  credential_id: newId("credential"),
  secret_id: "0".repeat(32),
  from: null,
  auth: { type: "static_bearer", mcp_server_url: "https://mcp.example" },
  secrets: { token: CANARY },
});

test("only this launch's engine reaches them, and a session's token does not", async () => {
  const broker = await testBroker({});
  for (const secret of ["f".repeat(64), broker.token]) {
    const answer = await broker.control("PUT", "credentials", seal(), secret);
    expect(answer.status).toBe(401);
  }
  expect((await broker.control("GET", "credentials", undefined, broker.token)).status).toBe(401);
});

test.each<[string, string, string, (body: ReturnType<typeof seal>) => unknown]>([
  ["no JSON", "PUT", "credentials", () => `{"token":"${CANARY}"`],
  ["another kind", "PUT", "credentials", (body) => ({ ...body, auth: { type: CANARY } })],
  ["a field that nobody knows", "PUT", "credentials", (body) => ({ ...body, secrets: { password: CANARY } })],
  ["a value that is no text", "PUT", "credentials", (body) => ({ ...body, secrets: { token: [CANARY] } })],
  ["an id with a path in it", "PUT", "credentials", (body) => ({ ...body, vault_id: `vlt_../${CANARY}` })],
  ["a secret id of another form", "PUT", "credentials", (body) => ({ ...body, secret_id: CANARY })],
  ["too much", "PUT", "credentials", (body) => ({ ...body, secrets: { token: CANARY.repeat(100_000) } })],
  ["ids that are none", "POST", "credentials/purge", () => ({ secret_ids: [CANARY] })],
  ["a validation of nothing", "POST", "credentials/validate", () => ({ issuer: CANARY })],
  ["an unknown route", "DELETE", "credentials/all", () => ({})],
])("refuses %s without repeating it", async (_, method, path, change) => {
  const broker = await testBroker({});
  const answer = await broker.control(method, path, change(seal()));
  const { status, message } = await errorOf(answer);
  expect([400, 404, 413]).toContain(status);
  expect(message).not.toContain(CANARY);
  expect(broker.logs.join("")).not.toContain(CANARY);
});

test("what was sealed is masked in the log from then on", async () => {
  const broker = await testBroker({}, {}, "/proc/nowhere/at/all");
  const { code } = await errorOf(await broker.control("PUT", "credentials", seal()));
  expect(code).toBe("store_unwritable");
  broker.log.info({ note: `an error that quotes ${CANARY}` }, `and here ${CANARY}`);
  expect(broker.logs.join("")).toContain("an error that quotes ****");
  expect(broker.logs.join("")).not.toContain(CANARY);
});
