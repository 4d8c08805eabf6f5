/** A skill and a file go into a real sandbox, the model uses them, and what it leaves comes back through the Files API. */
import { type Anthropic, toFile } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, say } from "./model_server/script.ts";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { type Product, removeDir, serve } from "./product/serve.ts";

let model: ModelServer;
let product: Product;
beforeAll(async () => {
  const steps = [
    call({ name: "read", input: { file_path: "/workspace/skills/counting/SKILL.md" } }),
    call({
      name: "bash",
      input: {
        command: "python3 skills/counting/count.py /mnt/session/uploads/words.txt > /mnt/session/outputs/count.txt",
      },
    }),
    say("Counted."),
    call({
      name: "bash",
      input: {
        command: "cat /mnt/session/uploads/late.txt skills/counting/SKILL.md > /mnt/session/outputs/second.txt",
      },
    }),
    say("Again."),
  ];
  model = await startModelServer({ script: steps });
  product = await serve({ model });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

const SKILL_MD = "---\nname: counting\ndescription: Counts words. Use it when asked for counts.\n---\nRun count.py.\n";
const COUNT_PY = "import sys\nprint(len(open(sys.argv[1]).read().split()))\n";

async function turn(client: Anthropic, session: string, text: string): Promise<void> {
  const stream = await client.beta.sessions.events.stream(session);
  await client.beta.sessions.events.send(session, {
    events: [{ type: "user.message", content: [{ type: "text", text }] }],
  });
  for await (const event of stream) if (event.type === "session.status_idle") return;
}

async function outputs(client: Anthropic, session: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { id, filename } of client.beta.files.list({ scope_id: session })) {
    found[filename] = await (await client.beta.files.download(id)).text();
  }
  return found;
}

test("skills and files in, outputs out, also after a restart and without the skill", async () => {
  let { client } = product;
  const files = [
    await toFile(Buffer.from(SKILL_MD), "counting/SKILL.md"),
    await toFile(Buffer.from(COUNT_PY), "counting/count.py"),
  ];
  const skill = await client.beta.skills.create({ files });
  // Through the archive and back: the same files as one zip.
  const archive = await client.beta.skills.versions.download(skill.latest_version_id, { skill_id: skill.id });
  const zip = await toFile(await archive.blob(), "counting.zip");
  const version = await client.beta.skills.versions.create(skill.id, { files: [zip] });
  expect(version.id).not.toBe(skill.latest_version_id);
  const agent = await client.beta.agents.create({
    name: "Counter",
    model: "claude-sonnet-5-5",
    tools: [{ type: "agent_toolset_20260401" }],
    skills: [{ type: "custom", skill_id: skill.id }],
  });
  const environment = await client.beta.environments.create({
    name: "e",
    metadata: { "longhaul.sandbox": "embedded" },
  });
  const upload = async (name: string, text: string) =>
    client.beta.files.upload({ file: await toFile(Buffer.from(text), name) });
  const words = await upload("words.txt", "one two three");
  const resources = [{ type: "file" as const, file_id: words.id, mount_path: "/words.txt" }];
  const session = await client.beta.sessions.create({ agent: agent.id, environment_id: environment.id, resources });

  await turn(client, session.id, "Count.");
  expect(JSON.stringify(model.requests[0]?.body)).toContain(
    "- counting (/workspace/skills/counting/SKILL.md): Counts words.",
  );
  expect(JSON.stringify(model.requests[1]?.body)).toContain("Run count.py.");
  expect(await outputs(client, session.id)).toEqual({ "words.txt": "one two three", "count.txt": "3\n" });

  await client.beta.skills.delete(skill.id);
  await product.stop();
  product = await serve({ model, data_dir: product.data_dir });
  ({ client } = product);
  const late = await upload("late.txt", "late\n");
  await client.beta.sessions.resources.add(session.id, { type: "file", file_id: late.id, mount_path: "/late.txt" });
  await turn(client, session.id, "Once more.");
  expect(await outputs(client, session.id)).toMatchObject({ "count.txt": "3\n", "second.txt": `late\n${SKILL_MD}` });
  await client.beta.sessions.delete(session.id);
  expect(await outputs(client, session.id)).toEqual({});
});
