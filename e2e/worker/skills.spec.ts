/** A session's skills on a worker's machine: fetched with the item's token, described to the model where the worker puts them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { byTurn, call, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, serve, until } from "../product/serve.ts";
import { eventsOf, finalMessage, summaryOf } from "../product/sessions.ts";
import { hostedEnvironment, type Program, startWorker } from "./hosted.ts";

const SKILL = "---\nname: greeting\ndescription: How to greet people properly.\n---\nSay: good evening.\n";

let model: ModelServer;
let product: Product;
beforeAll(async () => {
  model = await startModelServer({
    script: (request) => {
      const path = /\((\S+SKILL\.md)\)/.exec(JSON.stringify(request.body.system))?.[1] ?? "nowhere";
      const text = [...request.results.values()][0]?.text ?? "";
      return byTurn([call({ name: "read", input: { file_path: path } }), say(`It says: ${text}`)])(request);
    },
  });
  product = await serve({ model });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

test.each<Program>(["environment_worker", "poller_and_runner"])("%s sets them up and cleans up", async (program) => {
  const { beta } = product.client;
  const files = [new File([SKILL], "greeting/SKILL.md")];
  const skill = await beta.skills.create({ files });
  const agent = await beta.agents.create({
    name: "polite",
    model: "claude-sonnet-5-5",
    tools: [{ type: "agent_toolset_20260401" }],
    skills: [{ type: "custom", skill_id: skill.id, version: "latest" }],
  });
  const hosted = await hostedEnvironment(product);
  const { id } = await beta.sessions.create({
    agent: agent.id,
    environment_id: hosted.environment_id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Greet." }] }],
  });
  const worker = startWorker(product, hosted, program);
  try {
    await until(
      `the turn to end; the worker says: ${worker.output()}`,
      async () => (await summaryOf(product, id)).fold.stop_reason?.type === "end_turn",
    );
    expect(finalMessage(await eventsOf(product, id)), worker.output()).toContain("good evening");
    await until("the folder to be gone", async () => worker.file("skills/greeting/SKILL.md") === "");
  } finally {
    worker.kill();
    removeDir(worker.workdir);
    await beta.skills.delete(skill.id);
  }
});
