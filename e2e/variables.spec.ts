/** Secrets given as environment variables: what a session's sandbox holds of them, from the vault to the agent's shell. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Reply, type ScriptRequest, say } from "./model_server/script.ts";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { type Product, removeDir, serve } from "./product/serve.ts";
import { eventsOf, untilRests } from "./product/sessions.ts";

const VALUE = "canary-variable-4b1f77c2";
const ROTATED = "canary-rotated-90ad31e8";

function script({ results }: ScriptRequest): Reply {
  if (results.size > 0) return say("Done.");
  return { content: [{ type: "tool_use", name: "bash", input: { command: 'echo "key=$STRIPE_KEY"' } }] };
}

let model: ModelServer;
let product: Product;
beforeAll(async () => {
  model = await startModelServer({ script });
  product = await serve({ model, env: { LONGHAUL_VAULT_PASSPHRASE: "a passphrase for variables" } });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

/** What the agent's shell printed, turn by turn. */
async function printed(id: string): Promise<string[]> {
  const results = (await eventsOf(product, id)).flatMap(({ event }) =>
    event.type === "agent.tool_result" ? [JSON.stringify(event.content)] : [],
  );
  return results.map((text) => /key=([\w-]*)/.exec(text)?.[1] ?? text);
}

test("a sandbox holds a placeholder, which stays when the value is rotated", async () => {
  const { beta } = product.client;
  const vault = await beta.vaults.create({ display_name: "secrets" });
  const credential = await beta.vaults.credentials.create(vault.id, {
    auth: {
      type: "environment_variable",
      secret_name: "STRIPE_KEY",
      secret_value: VALUE,
      networking: { type: "limited", allowed_hosts: ["api.stripe.com"] },
    },
  });
  const tools = [{ type: "agent_toolset_20260401" as const }];
  const agent = await beta.agents.create({ name: "keys", model: "claude-sonnet-5-5", tools });
  const environment = await beta.environments.create({ name: "keys" });
  const begin = { agent: agent.id, environment_id: environment.id };
  const message = { type: "user.message" as const, content: [{ type: "text" as const, text: "Show the key." }] };
  const { id } = await beta.sessions.create({ ...begin, vault_ids: [vault.id], initial_events: [message] });
  await untilRests(product, id);
  const auth = { type: "environment_variable" as const, secret_value: ROTATED };
  await beta.vaults.credentials.update(credential.id, { vault_id: vault.id, auth });
  await beta.sessions.events.send(id, { events: [message] });
  await untilRests(product, id);
  const [first = "", second] = await printed(id);
  expect(first).toMatch(/^longhaul-secret-[0-9a-f]{40}$/);
  expect(second).toBe(first);

  // A session without the vault has nothing of it.
  const other = await beta.sessions.create({ ...begin, initial_events: [message] });
  await untilRests(product, other.id);
  expect(await printed(other.id)).toEqual([""]);
  const everything = JSON.stringify([await eventsOf(product, id), model.requests.map(({ raw }) => raw.toString())]);
  expect(everything).not.toContain(VALUE);
  expect(everything).not.toContain(ROTATED);
});
