import { request } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { say } from "../../e2e/model_server/script.ts";
import { startModelServer } from "../../e2e/model_server/server.ts";
import { newId } from "../contract/ids.ts";
import { startBroker } from "./broker.ts";
import type { BrokerStatus } from "./status.ts";
import { errorOf, LAUNCH_SECRET, stopBrokers, type TestBroker, testBroker } from "./testing/broker_client.ts";

afterEach(stopBrokers);

const ask = { model: "claude-sonnet-5-5", max_tokens: 100, messages: [{ role: "user", content: "hi" }] };
const status = async (broker: TestBroker) => (await (await broker.control("GET", "status")).json()) as BrokerStatus;

describe("capabilities", () => {
  test("a session keeps its token until it is revoked, then gets another one", async () => {
    const broker = await testBroker({});
    const again = await (await broker.control("POST", "capabilities", { session_id: broker.sessionId })).json();
    expect(again).toEqual({ token: broker.token });
    expect(broker.token).toMatch(/^[0-9a-f]{64}$/);
    const other = await (await broker.control("POST", "capabilities", { session_id: newId("session") })).json();
    expect(other).not.toEqual({ token: broker.token });
    expect((await broker.model("/v1/messages", ask)).status).toBe(200);
    expect((await broker.control("DELETE", `capabilities/${broker.sessionId}`)).status).toBe(204);
    expect((await broker.control("DELETE", `capabilities/${broker.sessionId}`)).status).toBe(204);
    const refused = await broker.model("/v1/messages", ask);
    expect(refused.headers.get("longhaul-refused")).toBe("capability");
    expect(await errorOf(refused)).toMatchObject({
      status: 401,
      type: "authentication_error",
      code: "capability_refused",
    });
    const renewed = await (await broker.control("POST", "capabilities", { session_id: broker.sessionId })).json();
    expect(renewed).not.toEqual({ token: broker.token });
  });

  test.each([
    ["no id", {}],
    ["a foreign id", { session_id: "agent_01" }],
    ["a path", { session_id: "../../etc" }],
    ["no JSON", "{"],
    ["null", "null"],
  ])("%s is refused", async (_name, body) => {
    const broker = await testBroker({});
    expect((await broker.control("POST", "capabilities", body)).status).toBe(400);
  });
});

describe("callers", () => {
  test("control routes need the launch secret; a session's token does not do", async () => {
    const broker = await testBroker({});
    for (const secret of ["wrong", broker.token, LAUNCH_SECRET.slice(1), `${LAUNCH_SECRET}0`]) {
      expect((await broker.control("GET", "status", undefined, secret)).status).toBe(401);
    }
    expect((await fetch(`${broker.url}/control/status`)).status).toBe(401);
    expect((await broker.control("GET", "status")).status).toBe(200);
  });

  test("the launch secret is no capability", async () => {
    const broker = await testBroker({});
    expect((await broker.model("/v1/messages", ask, { authorization: `Bearer ${LAUNCH_SECRET}` })).status).toBe(401);
    expect((await broker.model("/v1/messages", ask, { authorization: "" })).status).toBe(401);
    expect((await broker.model("/v1/messages", ask, { authorization: "", "x-api-key": broker.token })).status).toBe(
      200,
    );
  });

  test("a page in a browser is refused by its origin, a rebound name by its host", async () => {
    const broker = await testBroker({});
    const headers = { authorization: `Bearer ${LAUNCH_SECRET}` };
    expect(
      (await fetch(`${broker.url}/control/status`, { headers: { ...headers, origin: "http://evil.test" } })).status,
    ).toBe(403);
    const rebound = await new Promise((resolve, reject) => {
      const { port } = new URL(broker.url);
      const outgoing = request({
        host: "127.0.0.1",
        port,
        path: "/control/status",
        headers: { ...headers, host: "evil.test" },
      });
      outgoing.on("response", (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      outgoing.on("error", reject);
      outgoing.end();
    });
    expect(rebound).toBe(403);
  });

  test("unknown routes are refused", async () => {
    const broker = await testBroker({});
    expect((await broker.control("GET", "nothing")).status).toBe(404);
    expect((await fetch(`${broker.url}/`, { headers: { "x-api-key": broker.token } })).status).toBe(404);
    expect((await fetch(`${broker.url}/`)).status).toBe(401);
  });

  test("a launch secret that is not 256 bits does not start a broker", async () => {
    const boot = { type: "boot" as const, launch_secret: "short", model: {}, data_dir: "/nowhere" };
    await expect(startBroker(boot)).rejects.toThrow("256 bits");
  });
});

describe("status", () => {
  test("without a key it is the demo, and says how to connect a model", async () => {
    const { model, keychain } = await status(await testBroker({}));
    expect(model).toMatchObject({ source: "demo", endpoint: "offline demo", state: "degraded" });
    expect(model.advice).toContain("ANTHROPIC_API_KEY");
    expect(keychain).toMatchObject({ state: "ok", summary: expect.stringContaining("passphrase") });
  });

  test("an endpoint that answers is ok; one that refused the key is not", async () => {
    const server = await startModelServer({ script: () => say("ok") });
    try {
      const good = await testBroker({ base_url: server.url, api_key: server.apiKey });
      expect((await status(good)).model).toMatchObject({
        source: "environment",
        endpoint: new URL(server.url).host,
        state: "ok",
        advice: null,
      });
      expect(server.requests).toEqual([]);
      const bad = await testBroker({ base_url: server.url, api_key: "sk-ant-canary-wrong" });
      await bad.model("/v1/messages", ask);
      expect((await status(bad)).model).toMatchObject({
        state: "missing",
        summary: expect.stringContaining("refused the credential (status 401)"),
      });
    } finally {
      await server.close();
    }
  });

  test("an endpoint that is away is reported, and reported well again when it is back", async () => {
    const first = await startModelServer({ script: () => say("ok") });
    const port = Number(new URL(first.url).port);
    await first.close();
    const broker = await testBroker({ base_url: first.url });
    expect((await status(broker)).model).toMatchObject({
      state: "missing",
      summary: expect.stringContaining("ECONNREFUSED"),
    });
    const second = await startModelServer({ script: () => say("ok"), port });
    try {
      expect((await status(broker)).model.state).toBe("ok");
    } finally {
      await second.close();
    }
  });

  test("an address that cannot be used is said so, and requests are refused for good", async () => {
    const broker = await testBroker({ base_url: "https://user:sk-ant-canary-pw@host" });
    expect((await status(broker)).model).toMatchObject({ state: "missing", endpoint: "host" });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 400,
      code: "endpoint_misconfigured",
    });
    expect((await broker.model("/v1/messages", { ...ask, model: "longhaul-demo" })).status).toBe(200);
  });
});

describe("closing", () => {
  test("requests in flight finish within the grace time; new ones are refused", async () => {
    const server = await startModelServer({ script: [{ ...say("abcdefgh"), delta_chars: 1, between_events_ms: 30 }] });
    const broker = await testBroker({ base_url: server.url, api_key: server.apiKey });
    const response = await broker.model("/v1/messages", { ...ask, stream: true });
    const closed = broker.close(5000);
    await expect(broker.model("/v1/messages", ask)).rejects.toThrow();
    expect(await response.text()).toContain("message_stop");
    await closed;
    await server.close();
  });

  test("what does not finish in time is ended", async () => {
    const server = await startModelServer({ script: [{ ...say("never"), fault: { after: 2, kind: "hang" } }] });
    const broker = await testBroker({ base_url: server.url, api_key: server.apiKey });
    const response = await broker.model("/v1/messages", { ...ask, stream: true });
    await broker.close(50);
    await expect(response.text()).rejects.toThrow();
    await server.close();
  });
});
