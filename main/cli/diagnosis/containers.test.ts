import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FakeEngine, fakeEngine } from "../../sandbox/docker/discovery/testing/fake_engine.ts";
import { checkSandboxes } from "./containers.ts";

let folder: string;
let socket: string;
let engine: FakeEngine | null = null;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/longhaul-doctor-`);
  socket = join(folder, "d.sock");
});
afterEach(async () => {
  await engine?.[Symbol.asyncDispose]();
  engine = null;
  rmSync(folder, { recursive: true, force: true });
});

function check(more: Record<string, string> = {}) {
  return checkSandboxes({ HOME: folder, DOCKER_HOST: `unix://${socket}`, ...more }, folder);
}

test("an engine that answers: what it is, its runtimes, the image and the networks", async () => {
  engine = await fakeEngine(socket, {
    info: { Plugins: { Network: ["bridge", "host"] }, Runtimes: { runc: {}, runsc: {} } },
  });
  const findings = await check();
  expect(findings.map(({ name, state }) => [name, state])).toEqual([
    ["sandbox", "ok"],
    ["docker", "ok"],
    ["image", "ok"],
    ["network", "ok"],
  ]);
  expect(findings[1]?.found).toBe(
    `Docker 27.1.1 at unix://${socket}, API 1.46, 4 processors, 7.5 GiB; runtimes: runc (default), runsc`,
  );
  expect(findings[2]?.found).toMatch(/^the sandbox image longhaul-sandbox:[0-9a-f]{12} is not there yet$/);
});

test("one without bridges can do limited networks only", async () => {
  engine = await fakeEngine(socket, { info: { Plugins: { Network: ["null"] } } });
  expect((await check()).at(-1)).toMatchObject({ name: "network", state: "warn" });
});

test("one that is there and does not work is a warning, and a failure where it was demanded", async () => {
  const broken = await check();
  expect(broken).toMatchObject([
    { name: "sandbox", state: "ok", found: expect.stringContaining("embedded sandbox works") },
    {
      name: "docker",
      state: "warn",
      found: expect.stringContaining(`No container engine answers at unix://${socket}`),
    },
  ]);
  expect(await check({ LONGHAUL_SANDBOX: "docker" })).toMatchObject([
    {
      name: "sandbox",
      state: "fail",
      found: expect.stringContaining("LONGHAUL_SANDBOX=docker, and no container engine"),
    },
  ]);
  expect(await check({ LONGHAUL_SANDBOX: "podman" })).toMatchObject([{ name: "sandbox", state: "fail" }]);
});
