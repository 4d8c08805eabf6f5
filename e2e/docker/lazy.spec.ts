/** The first token never waits for a sandbox: an engine that is never contacted cannot slow anything. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { byTurn, call, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir } from "../product/serve.ts";
import { createSession, eventsOf, untilRests } from "../product/sessions.ts";
import { type CountingProxy, startCountingProxy } from "./counting_proxy.ts";
import { removeInstall, serveOnDocker } from "./product.ts";

const talk = byTurn([say("Hello."), say("Still here.")]);
const work = byTurn([call({ name: "bash", input: { command: "echo from $(uname -s)" } }), say("Done.")]);

let model: ModelServer;
let proxy: CountingProxy;
let product: Product;

beforeAll(async () => {
  model = await startModelServer({
    script: (request) => (JSON.stringify(request.body.messages[0]).includes("work") ? work : talk)(request),
  });
  proxy = await startCountingProxy();
  product = await serveOnDocker({ model, host: proxy.host });
});
afterAll(async () => {
  await product.stop();
  await removeInstall(product.data_dir);
  await proxy.close();
  await model.close();
  removeDir(product.data_dir);
});

/** The number of connections, once there has been no new one for two seconds. */
async function quiet(): Promise<number> {
  for (;;) {
    const before = proxy.connections();
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    if (proxy.connections() === before) return before;
  }
}

describe("a container engine", () => {
  test("is not contacted before the first sandbox tool call of a session", async () => {
    const id = await createSession(product, { text: "just talk" });
    await untilRests(product, id);
    await product.client.beta.sessions.events.send(id, {
      events: [{ type: "user.message", content: [{ type: "text", text: "and again" }] }],
    });
    await untilRests(product, id);
    await product.local("/health");
    await product.local(`/sessions/${id}/changes`);
    await product.local(`/sessions/${id}/outputs`);
    expect(proxy.requests()).toEqual([]);
    expect(proxy.connections()).toBe(0);
  });

  test("is contacted by the first one, which runs in a container", async () => {
    const id = await createSession(product, { text: "work" });
    await untilRests(product, id);
    const events = (await eventsOf(product, id)).map(({ event }) => event);
    expect(events.find((event) => event.type === "longhaul.sandbox_ready")).toMatchObject({
      provider: "docker",
      how: "created",
      adopted: false,
    });
    expect(JSON.stringify(events.find((event) => event.type === "agent.tool_result"))).toContain("from Linux");
    expect(proxy.connections()).toBeGreaterThan(0);
  });

  test("a session that is deleted without ever having used one does not contact it either", async () => {
    const id = await createSession(product, { text: "just talk" });
    await untilRests(product, id);
    // The session before this one has just come to rest: a copy of its files is taken, and its outputs are looked at.
    const before = await quiet();
    const archived = await createSession(product, { text: "just talk" });
    await untilRests(product, archived);
    await product.client.beta.sessions.archive(archived);
    expect(proxy.connections()).toBe(before);
  });
});
