import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { say } from "../../e2e/model_server/script.ts";
import { startModelServer } from "../../e2e/model_server/server.ts";
import { newId } from "../contract/ids.ts";
import type { BrokerBoot, FromBroker } from "../contract/process.ts";
import { LAUNCH_SECRET } from "./testing/broker_client.ts";

const KEY = "sk-ant-canary-serve";
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function start() {
  const env = { PATH: process.env.PATH, LONGHAUL_DEMO_PACE_MS: "0", LONGHAUL_LOG_LEVEL: "trace" };
  const child = fork(join(import.meta.dirname, "serve.ts"), [], {
    env,
    execArgv: [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  children.push(child);
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk));
  return { child, output: () => output, exit: once(child, "exit") };
}

const bootOf = (model: BrokerBoot["model"], launch_secret = LAUNCH_SECRET): BrokerBoot => ({
  type: "boot",
  launch_secret,
  model,
  data_dir: "/nowhere",
});

async function booted(model: BrokerBoot["model"]) {
  const started = start();
  started.child.send(bootOf(model));
  const [message] = (await once(started.child, "message")) as [FromBroker];
  if (message.type !== "ready") throw new Error(`not ready: ${JSON.stringify(message)}`);
  return { ...started, ready: message };
}

const control = (url: string, path: string, body?: unknown) =>
  fetch(`${url}/control/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${LAUNCH_SECRET}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

test("it boots, serves the demo, and drains with code 0", async () => {
  const { child, ready, exit } = await booted({});
  expect(ready.pid).toBe(child.pid);
  const { token } = (await (await control(ready.url, "capabilities", { session_id: newId("session") })).json()) as {
    token: string;
  };
  const response = await fetch(`${ready.url}/model/v1/messages`, {
    method: "POST",
    headers: { "x-api-key": token, "anthropic-version": "2023-06-01" },
    body: JSON.stringify({ model: "any", max_tokens: 10, messages: [{ role: "user", content: "hi" }] }),
  });
  expect(((await response.json()) as { model: string }).model).toBe("longhaul-demo");
  child.send({ type: "drain" });
  expect(await exit).toEqual([0, null]);
});

test("it drains at once although a caller keeps a connection open, and a signal drains too", async () => {
  const { child, ready, exit } = await booted({});
  await control(ready.url, "status");
  const before = performance.now();
  child.kill("SIGTERM");
  expect(await exit).toEqual([0, null]);
  expect(performance.now() - before).toBeLessThan(2000);
});

test("it ends when its parent goes", async () => {
  const { child, exit } = await booted({});
  child.disconnect();
  expect(await exit).toEqual([0, null]);
});

test("a boot message it cannot use is reported, without a value of it", async () => {
  const { child, exit, output } = start();
  child.send(bootOf({ api_key: KEY }, "weak-secret"));
  const [message] = (await once(child, "message")) as [FromBroker];
  expect(message).toMatchObject({ type: "failed", code: "other", message: expect.stringContaining("256 bits") });
  expect((await exit)[0]).toBe(1);
  expect(JSON.stringify(message) + output()).not.toMatch(/canary|weak-secret/);
});

test("the key is nowhere but in the request to the endpoint", async () => {
  const server = await startModelServer({ script: [say("ok")], apiKey: KEY });
  try {
    const { child, ready, exit, output } = await booted({ base_url: server.url, api_key: KEY });
    const { token } = (await (await control(ready.url, "capabilities", { session_id: newId("session") })).json()) as {
      token: string;
    };
    const texts: string[] = [await (await control(ready.url, "status")).text()];
    const post = async (body: unknown, path = "messages"): Promise<void> => {
      const response = await fetch(`${ready.url}/model/v1/${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "anthropic-version": "2023-06-01" },
        body: JSON.stringify(body),
      });
      texts.push(JSON.stringify([...response.headers]), await response.text());
    };
    const ask = { model: "claude-sonnet-5-5", max_tokens: 10, messages: [{ role: "user", content: "hi" }] };
    await post(ask);
    await post({ ...ask, max_tokens: -1 });
    await post({ ...ask, model: "longhaul-demo", stream: true });
    await post({}, `files?key=${KEY}`);
    await server.close();
    await post(ask);
    texts.push(await (await control(ready.url, "status")).text());
    child.send({ type: "drain" });
    await exit;
    expect(server.requests[0]?.headers["x-api-key"]).toBe(KEY);
    expect(output()).toContain("endpoint_unreachable");
    expect(texts.join("\n") + output()).not.toContain("canary");
  } finally {
    await server.close();
  }
});
