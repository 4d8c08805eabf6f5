import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, startRig } from "../testing/rig.ts";

let rig: Rig;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "renderer-"));
  await mkdir(join(folder, "built", "assets"), { recursive: true });
  await writeFile(join(folder, "built", "index.html"), "<html></html>");
  await writeFile(join(folder, "built", "assets", "app-1.js"), "1");
  await writeFile(join(folder, "secret"), "secret");
  await symlink(join(folder, "secret"), join(folder, "built", "link"));
  rig = await startRig({ rendererDir: join(folder, "built") });
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rm(folder, { recursive: true });
  await rig[Symbol.asyncDispose]();
});

/** Sends the path as it is: fetch would resolve its dots first. */
function statusOf(path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(rig.url, { path }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    sent.on("error", reject);
    sent.end();
  });
}

describe("the user interface's files", () => {
  test("are served without a key, under a policy that runs no foreign script", async () => {
    const page = await fetch(rig.url);
    expect(await page.text()).toBe("<html></html>");
    expect(page.headers.get("content-type")).toContain("text/html");
    expect(page.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self';");
    expect(page.headers.get("cache-control")).toBe("no-cache");
    const asset = await fetch(`${rig.url}/assets/app-1.js`);
    expect(asset.headers.get("content-type")).toContain("text/javascript");
    expect(asset.headers.get("cache-control")).toContain("immutable");
  });

  test.each([
    "/../secret",
    "/%2e%2e/secret",
    "/assets/..%2f..%2fsecret",
    "/link",
    "/assets",
    "/%00",
    "/a%5c..%5csecret",
    "/none",
  ])("nothing outside of the folder: %s", async (path) => {
    expect(await statusOf(path)).toBe(404);
  });

  test("the API keeps asking for the key", async () => {
    expect((await fetch(`${rig.url}/v1/agents`)).status).toBe(401);
    expect((await fetch(`${rig.url}/longhaul/other`)).status).toBe(401);
  });
});

test("closing ends open streams cleanly and at once", async () => {
  const own = await startRig();
  const id = await own.session();
  const stream = await own.client.beta.sessions.events.stream(id);
  const reading = (async () => {
    let count = 0;
    for await (const _ of stream) count += 1;
    return count;
  })();
  await own.emit(id, { type: "session.status_running" });
  const began = performance.now();
  await own[Symbol.asyncDispose]();
  expect(performance.now() - began).toBeLessThan(900);
  expect(await reading).toBeLessThanOrEqual(1);
  expect(own.live.isWatched(id)).toBe(false);
});
