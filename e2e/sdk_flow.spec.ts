/** The official SDK's example flow, unmodified, against the built product. */
import Anthropic from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { type Product, removeDir, run, serve } from "./product/serve.ts";

let model: ModelServer;
let product: Product;
beforeAll(async () => {
  model = await startModelServer({
    script: (request) =>
      request.results.size === 0
        ? { content: [{ type: "tool_use", name: "bash", input: { command: "echo hello from the sandbox" } }] }
        : { content: [{ type: "text", text: `The sandbox said: ${[...request.results.values()][0]?.text}` }] },
  });
  product = await serve({ model });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

test("create environment, agent and session, send a message, stream until idle", async () => {
  const printed = await run(["env", "--data-dir", product.data_dir]);
  const baseURL = /ANTHROPIC_BASE_URL="?([^"\n]+)"?/.exec(printed.stdout)?.[1];
  const apiKey = /ANTHROPIC_API_KEY="?([^"\n]+)"?/.exec(printed.stdout)?.[1];
  const client = new Anthropic({ baseURL: baseURL ?? "", apiKey: apiKey ?? "" });

  const environment = await client.beta.environments.create({
    name: "my-env",
    config: { type: "cloud", networking: { type: "unrestricted" } },
  });
  const agent = await client.beta.agents.create({
    name: "Coding Assistant",
    model: "claude-sonnet-5-5",
    system: "You are a helpful coding assistant.",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });
  expect(session.status).toBe("idle");

  const stream = await client.beta.sessions.events.stream(session.id);
  await client.beta.sessions.events.send(session.id, {
    events: [{ type: "user.message", content: [{ type: "text", text: "Say hello." }] }],
  });
  let text = "";
  const types: string[] = [];
  for await (const event of stream) {
    types.push(event.type);
    if (event.type === "agent.message") {
      for (const block of event.content) if (block.type === "text") text += block.text;
    }
    if (event.type === "session.status_idle") break;
  }
  expect(text).toBe("The sandbox said: hello from the sandbox");
  expect(types.indexOf("session.usage")).toBe(types.indexOf("session.status_idle") - 1);
  expect(types.filter((type) => type === "user.message")).toHaveLength(2);

  const listed: string[] = [];
  for await (const event of client.beta.sessions.events.list(session.id)) listed.push(event.type);
  expect(listed.filter((type) => type.startsWith("longhaul."))).toEqual([]);
  expect((await client.beta.sessions.retrieve(session.id)).status).toBe("idle");
});
