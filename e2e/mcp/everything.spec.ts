/** The product as it is shipped with the reference server of MCP, which needs no credential. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StoredEvent } from "../../main/contract/events.ts";
import { everythingServer, stopEverything } from "../../main/tools/mcp/testing/everything.ts";
import { type Reply, type ScriptRequest, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, serve } from "../product/serve.ts";
import { eventsOf, untilRests } from "../product/sessions.ts";

/** In order; each answer is the next request's. */
const CALLS = [
  { name: "echo", input: { message: "hello" } },
  { name: "get-tiny-image", input: {} },
  { name: "get-resource-reference", input: { resourceType: "Text", resourceId: 1 } },
  { name: "get-sum", input: { a: "not a number" } },
];

function script({ turn }: ScriptRequest): Reply {
  const call = CALLS[turn];
  if (call === undefined) return say("Done.");
  return { content: [{ type: "tool_use", name: `mcp__everything__${call.name}`, input: call.input }] };
}

let model: ModelServer;
let product: Product;
let url = "";
beforeAll(async () => {
  model = await startModelServer({ script });
  ({ url } = await everythingServer());
  product = await serve({ model });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  stopEverything();
  removeDir(product.data_dir);
});

async function runSession(): Promise<{ id: string; events: StoredEvent[] }> {
  const { beta } = product.client;
  const agent = await beta.agents.create({
    name: "everything",
    model: "claude-sonnet-5-5",
    mcp_servers: [{ type: "url", name: "everything", url }],
    tools: [
      {
        type: "mcp_toolset",
        mcp_server_name: "everything",
        default_config: { enabled: true, permission_policy: { type: "always_allow" } },
        configs: [{ name: "get-env", enabled: false }],
      },
    ],
  });
  const environment = await beta.environments.create({ name: `everything ${Math.random()}` });
  const { id } = await beta.sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Use everything." }] }],
  });
  await untilRests(product, id);
  return { id, events: await eventsOf(product, id) };
}

test("a session uses its tools: text, an image, a resource and a refusal; none that is switched off is offered", async () => {
  const { id, events } = await runSession();
  const results = events.flatMap(({ event }) => (event.type === "agent.mcp_tool_result" ? [event] : []));
  expect(results.map(({ is_error }) => is_error)).toEqual([false, false, false, true]);
  expect(JSON.stringify(results[0]?.content)).toContain("hello");
  expect(results[1]?.content?.some(({ type }) => type === "image")).toBe(true);
  expect(JSON.stringify(results[2]?.content)).toContain("esource");
  expect(model.requests.every(({ rejected }) => rejected === null)).toBe(true);
  const offered = JSON.stringify(model.requests[0]?.body?.tools);
  expect(offered).toContain("mcp__everything__echo");
  expect(offered).not.toContain("get-env");
  // The request that the inspector shows is the one that was sent, tools included.
  const spans = events.flatMap(({ event }) => (event.type === "span.model_request_start" ? [event.id] : []));
  for (const span of spans) {
    const context = await product.local<{ matches: boolean }>(`/sessions/${id}/requests/${span}`);
    expect(context.matches).toBe(true);
  }
});
