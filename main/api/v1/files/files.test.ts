import { mkdtemp, readdir, rm } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toFile } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { olderContractClient } from "../../testing/contract/client.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";
import { readMultipart } from "./multipart.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

describe("files", () => {
  test("upload, metadata, content, list, delete", async () => {
    const bytes = Buffer.from("a,b\r\n--1,2\r\n");
    const file = await rig.client.beta.files.upload({
      file: await toFile(bytes, "dir/data.csv", { type: "text/csv" }),
    });
    expect(file).toEqual({
      id: expect.stringMatching(/^file_/),
      type: "file",
      filename: "data.csv",
      mime_type: "text/csv",
      size_bytes: bytes.length,
      downloadable: true,
      created_at: expect.any(String),
      expires_at: null,
      scope: null,
    });
    expect(await rig.client.beta.files.retrieveMetadata(file.id)).toEqual(file);
    const content = await rig.client.beta.files.download(file.id);
    expect(Buffer.from(await content.arrayBuffer())).toEqual(bytes);
    expect(content.headers.get("content-disposition")).toContain("attachment");
    const other = await rig.client.beta.files.upload({ file: await toFile(Buffer.from(""), "empty.txt") });
    expect([other.size_bytes, other.mime_type]).toEqual([0, "text/plain"]);
    const listed: string[] = [];
    for await (const one of rig.client.beta.files.list({ limit: 1 })) listed.push(one.id);
    expect(listed).toEqual([other.id, file.id]);
    const some: string[] = [];
    for await (const one of rig.client.beta.files.list({ ids: [file.id, "file_none"] })) some.push(one.id);
    expect(some).toEqual([file.id]);
    expect(await rig.client.beta.files.delete(file.id)).toEqual({ id: file.id, type: "file_deleted" });
    expect((await refusalOf(rig.client.beta.files.download(file.id))).status).toBe(404);
  });

  test("the same through `client.files`, outside of beta", async () => {
    const { files } = rig.client;
    const file = await files.upload({ file: await toFile(Buffer.from("plain"), "plain.txt") });
    expect(await files.retrieveMetadata(file.id)).toEqual(file);
    expect(await (await files.download(file.id)).text()).toBe("plain");
    const listed = await files.list({ ids: [file.id] });
    expect(listed.data).toEqual([file]);
    expect(await files.delete(file.id)).toEqual({ id: file.id, type: "file_deleted" });
    expect((await refusalOf(files.retrieveMetadata(file.id))).status).toBe(404);
  });

  test("older clients page by ids, in both directions", async () => {
    await using own = await startRig();
    const older = olderContractClient(own.url, own.token);
    const ids: string[] = [];
    for (const name of ["1", "2", "3", "4", "5"]) {
      ids.unshift((await older.beta.files.upload({ file: await toFile(Buffer.from(name), name) })).id);
    }
    const all: string[] = [];
    for await (const file of older.beta.files.list({ limit: 2 })) all.push(file.id);
    expect(all).toEqual(ids);
    const [, second, , fourth] = ids;
    const page = async (query: object) => {
      const { data, has_more, first_id, last_id } = await older.beta.files.list(query);
      expect([first_id, last_id]).toEqual([data[0]?.id ?? null, data.at(-1)?.id ?? null]);
      return [data.map(({ id }) => id), has_more];
    };
    expect(await page({ after_id: fourth, limit: 2 })).toEqual([ids.slice(4), false]);
    expect(await page({ after_id: ids[4] })).toEqual([[], false]);
    expect(await page({ before_id: fourth, limit: 2 })).toEqual([ids.slice(1, 3), true]);
    expect(await page({ before_id: second, limit: 2 })).toEqual([ids.slice(0, 1), false]);
    expect(await page({ before_id: ids[0] })).toEqual([[], false]);
    const back: string[] = [];
    for await (const file of older.beta.files.list({ before_id: ids[4] as string, limit: 3 })) back.push(file.id);
    expect(back).toEqual([...ids.slice(1, 4), ...ids.slice(0, 1)]);
    const refused = async (query: string) => {
      const answer = await own.request(`/v1/files?${query}`);
      return [answer.status, ((await answer.json()) as { error: { message: string } }).error.message];
    };
    expect(await refused("after_id=file_none")).toEqual([400, expect.stringMatching(/`after_id`: there is no file/)]);
    expect(await refused(`after_id=${second}&before_id=${fourth}`)).toEqual([400, expect.stringMatching(/combined/)]);
    expect(await refused(`ids[]=${second}&after_id=${fourth}`)).toEqual([400, expect.stringMatching(/`ids\[\]`/)]);
    expect(own.failures).toEqual([]);
  });

  test("an expired file says so", async () => {
    let now = Date.parse("2026-01-01T00:00:00Z");
    await using own = await startRig({ now: () => now });
    const file = await own.client.beta.files.upload({
      file: await toFile(Buffer.from("x"), "x"),
      expires_in_seconds: 3600,
    });
    expect(file.expires_at).toBe("2026-01-01T01:00:00.000Z");
    now += 3_600_000;
    const error = await refusalOf(own.client.beta.files.download(file.id));
    expect([error.status, error.errorCode]).toEqual([404, "file_expired"]);
  });

  test("bad uploads are refused and leave nothing behind", async () => {
    const folder = await mkdtemp(join(tmpdir(), "uploads-"));
    vi.stubEnv("TMPDIR", folder);
    const headers = { "content-type": "multipart/form-data; boundary=b" };
    const send = async (body: string) => {
      const answer = await rig.request("/v1/files", { method: "POST", headers, body });
      return [answer.status, ((await answer.json()) as { error: { message: string } }).error.message];
    };
    const part = (name: string, text: string) =>
      `--b\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${text}\r\n`;
    expect(await send("--b--\r\n")).toEqual([400, expect.stringMatching(/`file` is required/)]);
    expect(await send(part("file", "x"))).toEqual([400, expect.stringMatching(/closing boundary/)]);
    expect(await send(`${part("file", "x")}${part("file", "y")}--b--`)).toEqual([400, expect.stringMatching(/twice/)]);
    expect(await send(`${part("other", "x")}--b--`)).toEqual([400, expect.stringMatching(/Unknown field `other`/)]);
    expect(await send(`${part("file", "x")}${part("expires_in_seconds", "5")}--b--`)).toEqual([
      400,
      expect.stringMatching(/3600/),
    ]);
    expect(await send("--b\r\n\r\nx\r\n--b--")).toEqual([400, expect.stringMatching(/no name/)]);
    expect(await send(`--b\r\n${"x".repeat(20_000)}`)).toEqual([400, expect.stringMatching(/16 KB/)]);
    expect((await rig.request("/v1/files", { method: "POST", body: {} })).status).toBe(400);
    expect(await announced(600_000_000)).toBe(413);
    vi.unstubAllEnvs();
    expect(await readdir(folder)).toEqual([]);
    await rm(folder, { recursive: true });
  });
});

/** Status of an upload that only announces its size. */
function announced(bytes: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${rig.token}`,
      "content-type": "multipart/form-data; boundary=b",
      "content-length": bytes,
    };
    const upload = request(`${rig.url}/v1/files`, { method: "POST", headers }, (answer) => {
      resolve(answer.statusCode);
      upload.destroy();
    });
    upload.on("error", reject);
    upload.flushHeaders();
  });
}

test("a multipart body gives the same parts however it is cut into pieces", async () => {
  const body = Buffer.from(
    'preamble\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a%22\\"b.txt"\r\nContent-Type: text/plain\r\n\r\n' +
      'one\r\n--\r\n--xbad\r\n-\r\n--b\r\ncontent-disposition: form-data; name="empty"\r\n\r\n\r\n--b--\r\nepilogue',
  );
  for (let size = 1; size <= body.length; size += 1) {
    const parts: { name: string; filename: string | null; text: string; ended: boolean }[] = [];
    const pieces = async function* () {
      for (let at = 0; at < body.length; at += size) yield body.subarray(at, at + size);
    };
    await readMultipart(pieces(), "b", ({ name, filename }) => {
      const part = { name, filename, text: "", ended: false };
      parts.push(part);
      return {
        async write(bytes) {
          part.text += Buffer.from(bytes).toString();
        },
        async end() {
          part.ended = true;
        },
      };
    });
    expect(parts).toEqual([
      { name: "file", filename: 'a""b.txt', text: "one\r\n--\r\n--xbad\r\n-", ended: true },
      { name: "empty", filename: null, text: "", ended: true },
    ]);
  }
});
