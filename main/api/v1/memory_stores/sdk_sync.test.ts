/** The official SDK's own synchronisation of memory stores, which its environment worker runs, against this API. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SessionMemoryStores } from "@anthropic-ai/sdk/tools/agent-toolset/memories";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Rig, startRig } from "../../testing/rig.ts";

let rig: Rig;
let workdir: string;
beforeAll(async () => {
  rig = await startRig();
  workdir = await mkdtemp(join(tmpdir(), "longhaul-worker-"));
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
  await rm(workdir, { recursive: true, force: true });
});

test("downloads, uploads, loses to a change made meanwhile, and deletes", async () => {
  const { memoryStores } = rig.client.beta;
  const { id } = await memoryStores.create({ name: "notes" });
  for (let i = 0; i < 25; i += 1) await memoryStores.memories.create(id, { path: `/many/${i}.md`, content: `${i}` });
  const contested = await memoryStores.memories.create(id, { path: "/contested.md", content: "old" });
  const session = await rig.session({ resources: [{ type: "memory_store", memory_store_id: id }] });
  const made = await rig.client.beta.sessions.retrieve(session);
  const mount = join(workdir, "notes");
  const resources = made.resources.map((resource) => ({ ...resource, mount_path: mount }));
  const sync = new SessionMemoryStores(rig.client.withOptions({ logLevel: "off" }), { workdir });
  await sync.download({ ...made, resources } as Parameters<typeof sync.download>[0]);
  expect(await readFile(join(mount, "many/24.md"), "utf8")).toBe("24");

  await writeFile(join(mount, "many/3.md"), "changed by the worker");
  await writeFile(join(mount, "made.md"), "made by the worker");
  await writeFile(join(mount, "contested.md"), "worker's");
  await memoryStores.memories.update(contested.id, { memory_store_id: id, content: "person's" });
  await rm(join(mount, "many/4.md"));
  await sync.finish();
  const contents: Record<string, string> = {};
  for await (const item of memoryStores.memories.list(id, { view: "full" })) {
    if (item.type === "memory") contents[item.path] = item.content ?? "";
  }
  expect(Object.keys(contents)).toHaveLength(26);
  expect(contents).toMatchObject({
    "/many/3.md": "changed by the worker",
    "/made.md": "made by the worker",
    "/contested.md": "person's",
  });
  expect(contents).not.toHaveProperty(["/many/4.md"]);
  expect(await readFile(join(mount, "contested.md"), "utf8")).toBe("person's");
  await sync.dispose();
});
