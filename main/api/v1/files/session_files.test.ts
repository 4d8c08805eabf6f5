import { toFile } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { FileRecord } from "../../../session/catalog.ts";
import { RemovedOutputs } from "../../../session/records/removed_outputs.ts";
import { type Rig, startRig } from "../../testing/rig.ts";

let rig: Rig;
const asked: string[] = [];
beforeAll(async () => {
  rig = await startRig({
    storeOutputs: async (sessionId) => {
      asked.push(sessionId);
      await rig.catalog.putFile(await outputOf(sessionId, asked.length));
    },
  });
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

async function outputOf(sessionId: string, count: number): Promise<FileRecord> {
  return {
    id: `file_OUT${count}`,
    type: "file",
    filename: "report.md",
    mime_type: "text/markdown",
    size_bytes: 2,
    downloadable: true,
    created_at: "2026-01-01T00:00:00.000Z",
    expires_at: null,
    scope: { id: sessionId, type: "session" },
    sha256: await rig.ports.blobs.put(Buffer.from("hi")),
    output: { path: "sub/report.md", modified_at: "2026-01-01T00:00:00.000Z", settled: true },
  };
}

test("who lists a session's files gets what is in its outputs folder now; other lists wait for no sandbox", async () => {
  const id = await rig.session();
  const { beta } = rig.client;
  const uploaded = await beta.files.upload({ file: await toFile(Buffer.from("x"), "mine.txt") });
  expect((await beta.files.list()).data).toEqual([uploaded]);
  expect(asked).toEqual([]);
  const { data } = await beta.files.list({ scope_id: id });
  expect(asked).toEqual([id]);
  expect(data).toEqual([
    {
      id: "file_OUT1",
      type: "file",
      filename: "report.md",
      mime_type: "text/markdown",
      size_bytes: 2,
      downloadable: true,
      created_at: "2026-01-01T00:00:00.000Z",
      expires_at: null,
      scope: { id, type: "session" },
    },
  ]);
  expect(await (await beta.files.download("file_OUT1")).text()).toBe("hi");
  expect((await beta.files.list({ scope_id: "sesn_none", limit: 1 })).data).toHaveLength(1);
});

test("a deleted output is remembered, so that it is not stored again, for as long as its session is there", async () => {
  const id = await rig.session();
  const file = await outputOf(id, 9);
  await rig.catalog.putFile(file);
  await rig.client.beta.files.delete(file.id);
  const removed = new RemovedOutputs(rig.ports.records);
  const state = { path: "sub/report.md", modified_at: "2026-01-01T00:00:00.000Z", size: 2 };
  const isRemoved = await removed.of(id);
  expect([isRemoved(state), isRemoved({ ...state, size: 3 })]).toEqual([true, false]);
  await rig.client.beta.sessions.delete(id);
  expect((await removed.of(id))(state)).toBe(false);
});

test("all files of a session go with it, uploads stay", async () => {
  const id = await rig.session();
  for (let i = 0; i < 1005; i += 1) await rig.catalog.putFile({ ...(await outputOf(id, 0)), id: `file_MANY${i}` });
  await rig.client.beta.sessions.delete(id);
  expect(await rig.catalog.listFiles({ scope_id: id, limit: 10 })).toEqual([]);
  expect(await rig.catalog.listFiles({ limit: 10 })).not.toEqual([]);
});
