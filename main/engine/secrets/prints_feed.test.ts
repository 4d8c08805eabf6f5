import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, onTestFinished, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import { SecretScanner } from "../../contract/secrets/scanner.ts";
import { BrokerClient } from "../../harness/broker_client.ts";
import { printKey } from "../../vault/prints/keys.ts";
import { Prints } from "../../vault/prints/prints.ts";
import { LAUNCH_SECRET, stopBrokers, testBroker } from "../../vault/testing/broker_client.ts";
import { PrintsFeed } from "./prints_feed.ts";

afterEach(stopBrokers);

function feedOf(address: () => string): { client: BrokerClient; scanner: SecretScanner; feed: PrintsFeed } {
  const client = new BrokerClient(() => ({ url: address(), launch_secret: LAUNCH_SECRET }));
  const scanner = new SecretScanner(printKey(LAUNCH_SECRET));
  const feed = new PrintsFeed(client, scanner);
  onTestFinished(() => feed.stop());
  return { client, scanner, feed };
}

test("the model's key is recognised from the start, a session's token before its answer is there", async () => {
  const broker = await testBroker({ api_key: "sk-ant-canary-0123456789", base_url: "http://nobody.invalid" });
  const { client, scanner, feed } = feedOf(() => broker.url);
  expect(await feed.start(10_000)).toBe(true);
  expect(scanner.mask("key=sk-ant-canary-0123456789")).toBe(`key=${"*".repeat(24)}`);
  for (let session = 0; session < 20; session++) {
    const token = await client.capability(newId("session"));
    expect(scanner.mask(token)).toBe("*".repeat(64));
  }
});

test("a sealed value is recognised before its sealing is answered", async () => {
  const broker = await testBroker({});
  const { client, scanner, feed } = feedOf(() => broker.url);
  await feed.start(10_000);
  // It cannot be written where this broker keeps its data: learned it is all the same.
  const auth = { type: "static_bearer", mcp_server_url: "https://mcp.example.com/" };
  const ref = { vault_id: newId("vault"), credential_id: newId("credential"), secret_id: "ab".repeat(16), from: null };
  const secrets = { token: "bearer-canary-0123456789" };
  await client.control("PUT", "/control/credentials", { ...ref, auth, secrets }).catch(() => undefined);
  expect(scanner.mask("bearer-canary-0123456789")).toBe("*".repeat(24));
});

test("a restarted broker's prints come, and those of the former one stay", async () => {
  let broker = await testBroker({ api_key: "first-key-0123456789abcdef" });
  const { client, scanner, feed } = feedOf(() => broker.url);
  await feed.start(10_000);
  await broker.close();
  broker = await testBroker({ api_key: "second-key-0123456789abcde" });
  await client.capability(newId("session"));
  expect(scanner.mask("second-key-0123456789abcde")).not.toContain("second");
  expect(scanner.mask("first-key-0123456789abcdef")).not.toContain("first");
});

test("a broker that is not there yet is waited for, and no longer than was said", async () => {
  let url = "http://127.0.0.1:1";
  const { scanner, feed } = feedOf(() => url);
  expect(await feed.start(50)).toBe(false);
  expect(scanner.active).toBe(false);
  const broker = await testBroker({ api_key: "first-key-0123456789abcdef" });
  url = broker.url;
  await expect.poll(() => scanner.active, { timeout: 20_000 }).toBe(true);
});

/** A broker that says of every answer that it knows of more prints than it hands out. */
async function promisingBroker(answer: () => { status: number; body: string }): Promise<string> {
  const prints = new Prints(LAUNCH_SECRET, ["first-key-0123456789abcdef"]);
  const server = createServer((request, response) => {
    const list = (request.url ?? "").startsWith("/control/prints");
    const { status, body } = list ? answer() : { status: 200, body: "an echo" };
    response.writeHead(status, { "longhaul-prints": prints.version }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each([
  ["refused", { status: 401, body: "{}" }],
  ["no JSON", { status: 200, body: "<html>" }],
  ["another list", { status: 200, body: '{"version":"0000.9","prints":[]}' }],
  ["something else", { status: 200, body: '{"version":1,"prints":{"a":1}}' }],
])("prints that are %s: no answer that may echo a value is handed on", async (_name, answer) => {
  const url = await promisingBroker(() => answer);
  const { client, feed } = feedOf(() => url);
  await feed.start(20);
  const signal = AbortSignal.timeout(300);
  let handedOn = false;
  await client.roundTrip("GET", "/model/v1/models", {}, undefined, signal).then(
    () => {
      handedOn = true;
    },
    () => undefined,
  );
  expect(handedOn).toBe(false);
});
