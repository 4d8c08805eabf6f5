import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BroughtBack, MAX_OUTPUTS, type OutputList } from "../../contract/local_api.ts";
import { BringBackRefused, ChangesUnavailable, SandboxLost } from "../../sandbox/port.ts";
import { type Rig, startRig } from "../testing/rig.ts";

const folder = mkdtempSync(join(tmpdir(), "longhaul-api-"));
let bringBack: (mountPath: string) => Promise<BroughtBack[]>;
let changes: () => Promise<[]>;
let output: { size: number; stream: Readable } | null;
let count = 0;
let asked: string[];
let rig: Rig;

beforeAll(async () => {
  rig = await startRig({
    bringBack: (_, mountPath) => bringBack(mountPath),
    changes: () => changes(),
    outputs: async () =>
      Array.from({ length: count }, (_, i) => ({ path: `f${i}`, size: i, modified_at: "2026-01-01T00:00:00.000Z" })),
    readOutput: async (_, path) => {
      asked.push(path);
      return output;
    },
  });
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  rmSync(folder, { recursive: true });
  await rig[Symbol.asyncDispose]();
});

const session = () =>
  rig.session({
    resources: ["one", "two"].map((name) => ({
      type: "local_repository",
      path: folder,
      mount_path: `/workspace/${name}`,
    })),
  });
const back = (mount_path: string): BroughtBack => ({
  mount_path,
  path: folder,
  branch: "longhaul/x",
  commit: "c".repeat(40),
  commits: 1,
});
async function post(id: string, body?: unknown): Promise<{ status: number; data: BroughtBack[]; message: string }> {
  const answer = await rig.request(`/longhaul/v1/sessions/${id}/changes/bring_back`, { method: "POST", body });
  const json = (await answer.json()) as { data: BroughtBack[]; error?: { message: string } };
  return { status: answer.status, data: json.data, message: json.error?.message ?? "" };
}
async function events(id: string): Promise<unknown[]> {
  const found = [];
  for await (const { event } of rig.ledger.getEvents(id, { types: ["longhaul.changes_brought_back"] }))
    found.push(event);
  return found;
}

describe("bringing back", () => {
  test("every repository, or one; each is an event", async () => {
    const id = await session();
    bringBack = async (path) => (path === "/workspace/two" ? [back(path)] : []);
    expect(await post(id)).toMatchObject({ status: 200, data: [back("/workspace/two")] });
    expect(await post(id, { mount_path: "/workspace/two" })).toMatchObject({ status: 200 });
    const { commits: _, ...facts } = back("/workspace/two");
    expect(await events(id)).toMatchObject([facts, facts]);
    expect(await post(id, { mount_path: "/workspace/one" })).toMatchObject({
      status: 409,
      message: expect.stringMatching(/nothing to bring back: \/workspace\/one is as it entered/),
    });
  });

  test("what one repository refuses does not keep back the other", async () => {
    const id = await session();
    bringBack = async (path) => {
      if (path === "/workspace/one") throw new BringBackRefused("The changes of /a cannot be brought back: it moved.");
      return [back(path)];
    };
    const { status, message } = await post(id, {});
    expect([status, message]).toEqual([
      409,
      expect.stringMatching(/it moved\. Brought back: .* \(branch longhaul\/x\)\.$/),
    ]);
    expect(await events(id)).toHaveLength(1);
    bringBack = () => Promise.reject(new SandboxLost("The engine does not answer."));
    expect(await post(id)).toMatchObject({ status: 409, message: "The engine does not answer." });
  });

  test("requests that make no sense name their fault", async () => {
    const id = await session();
    expect(await post(id, { mount_path: "/elsewhere" })).toMatchObject({
      status: 400,
      message: expect.stringMatching(/`mount_path` must be that of a repository.*\/workspace\/one, \/workspace\/two/),
    });
    expect((await post(id, { path: "x" })).status).toBe(400);
    expect(await post(await rig.session())).toMatchObject({
      status: 400,
      message: expect.stringMatching(/no repository/),
    });
    expect((await post("sesn_none")).status).toBe(404);
    changes = () => Promise.reject(new ChangesUnavailable("The changes of /a cannot be shown: x."));
    const answer = await rig.request(`/longhaul/v1/sessions/${id}/changes`);
    expect([answer.status, ((await answer.json()) as { error: { message: string } }).error.message]).toEqual([
      409,
      "The changes of /a cannot be shown: x.",
    ]);
  });
});

describe("outputs", () => {
  test("are listed; a list that is too long says so", async () => {
    const id = await session();
    const list = async () => (await (await rig.request(`/longhaul/v1/sessions/${id}/outputs`)).json()) as OutputList;
    count = 2;
    expect(await list()).toMatchObject({ data: [{ path: "f0" }, { path: "f1" }], note: null });
    count = MAX_OUTPUTS + 1;
    const long = await list();
    expect([long.data.length, long.note]).toEqual([MAX_OUTPUTS, expect.stringMatching(/more than 10,000 files/)]);
  });

  test("are sent as a download, never as a page", async () => {
    const id = await session();
    asked = [];
    output = { size: 5, stream: Readable.from([Buffer.from("<b>hi")], { objectMode: false }) };
    const answer = await rig.request(`/longhaul/v1/sessions/${id}/outputs/a%20b/${encodeURIComponent("ü'(1).html")}`);
    expect(asked).toEqual(["a b/ü'(1).html"]);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "content-type": "application/octet-stream",
      "content-length": "5",
      "content-disposition": "attachment; filename*=UTF-8''%C3%BC%27%281%29.html",
      "x-content-type-options": "nosniff",
      "content-security-policy": expect.stringContaining("sandbox"),
    });
    expect(await answer.text()).toBe("<b>hi");
    output = { size: 0, stream: Readable.from([]) };
    expect(await (await rig.request(`/longhaul/v1/sessions/${id}/outputs/empty`)).text()).toBe("");
    output = null;
    for (const path of ["missing", "%2e%2e%2fx", "a%0ab", "a%00b", "%ff"]) {
      expect([path, (await rig.request(`/longhaul/v1/sessions/${id}/outputs/${path}`)).status]).toEqual([path, 404]);
    }
  });

  test("a gigabyte passes through in constant memory; a client that leaves ends it", { timeout: 60_000 }, async () => {
    const id = await session();
    const size = 1024 ** 3;
    const chunk = Buffer.alloc(256 * 1024, 1);
    let made = 0;
    const source = (): Readable =>
      new Readable({
        read() {
          if (made >= size) this.push(null);
          else {
            made += chunk.length;
            this.push(chunk);
          }
        },
      });
    output = { size, stream: source() };
    const before = process.memoryUsage().rss;
    const whole = await rig.request(`/longhaul/v1/sessions/${id}/outputs/big`);
    let bytes = 0;
    let peak = 0;
    for await (const part of whole.body ?? []) {
      bytes += (part as Uint8Array).length;
      peak = Math.max(peak, process.memoryUsage().rss);
    }
    expect(bytes).toBe(size);
    expect(peak - before).toBeLessThan(250 * 1024 * 1024);

    made = 0;
    const stream = source();
    output = { size, stream };
    const abort = new AbortController();
    const left = await fetch(`${rig.url}/longhaul/v1/sessions/${id}/outputs/big`, {
      headers: { authorization: `Bearer ${rig.token}` },
      signal: abort.signal,
    });
    await left.body?.getReader().read();
    abort.abort();
    for (let i = 0; i < 100 && !stream.destroyed; i += 1) await sleep(20);
    expect(stream.destroyed).toBe(true);
    expect(made).toBeLessThan(64 * 1024 * 1024);
  });
});
