import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX_IMAGE, SANDBOX_IMAGE, SHELLLESS_IMAGE, testDockerHost } from "../testing/real_engine.ts";
import { findImage } from "./base_image.ts";
import { PREPARING } from "./container_run.ts";
import { ensureImage, type ImageRequest } from "./ensure_image.ts";
import { PACKAGES_REPOSITORY } from "./package_layers.ts";

const install = `test-${randomUUID()}`;
const labels = { "longhaul.install": install, "longhaul.version": "test" };

function connect(): Docker {
  const host = testDockerHost();
  if (host.startsWith("unix://")) return new Docker({ socketPath: host.slice("unix://".length) });
  const { hostname, port } = new URL(host);
  return new Docker({ host: hostname, port });
}

interface Told {
  steps: { step: string; duration_ms: number; error: string | null }[];
  progress: string[];
}

function request(over: Partial<ImageRequest> = {}): ImageRequest & Told {
  const told: Told = { steps: [], progress: [] };
  return {
    image: SANDBOX_IMAGE,
    packages: {},
    labels,
    onStep: (step) => told.steps.push(step),
    onProgress: (text) => told.progress.push(text),
    ...told,
    ...over,
  };
}

async function ownContainers(docker: Docker): Promise<string[]> {
  const all = await docker.listContainers({ all: true, filters: { label: [`longhaul.install=${install}`] } });
  return all.flatMap(({ Names }) => Names);
}

/** Runs a program in an image as the agent and resolves with what it printed. */
async function print(docker: Docker, image: string, ...argv: string[]): Promise<string> {
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: argv.slice(0, 1),
    Cmd: argv.slice(1),
    User: "1000:1000",
    Labels: labels,
    Tty: true,
    HostConfig: { NetworkMode: "none" },
  });
  try {
    await container.start();
    await container.wait();
    return (await container.logs({ stdout: true, stderr: true })).toString("utf8").trim();
  } finally {
    await container.remove({ force: true });
  }
}

let docker: Docker;
const made = new Set<string>();

beforeAll(() => {
  docker = connect();
});

afterAll(async () => {
  for (const name of await ownContainers(docker)) await docker.getContainer(name.slice(1)).remove({ force: true });
  const images = await docker.listImages({ filters: { label: [`longhaul.install=${install}`] } });
  for (const { Id } of images) await docker.getImage(Id).remove({ force: true });
  expect(await ownContainers(docker)).toEqual([]);
});

describe("images", () => {
  test("one that is there is used as it is, without a step, and its programs are known", async () => {
    const asked = request();
    const ready = await ensureImage(docker, asked);
    expect(ready.image).toBe((await docker.getImage(SANDBOX_IMAGE).inspect()).Id);
    expect([...ready.programs]).toEqual(expect.arrayContaining(["bash", "git", "ip", "node", "python3", "rg"]));
    expect(asked.steps).toEqual([]);
    const again = performance.now();
    await ensureImage(docker, request());
    expect(performance.now() - again).toBeLessThan(500);
  });

  test("an image of nothing but busybox will do", async () => {
    const { programs } = await ensureImage(docker, request({ image: BUSYBOX_IMAGE }));
    expect(programs.has("mkfifo")).toBe(true);
    expect(programs.has("bash")).toBe(false);
  });

  test("an image without a shell is refused with a text that says so", async () => {
    const asked = ensureImage(docker, request({ image: SHELLLESS_IMAGE }));
    await expect(asked).rejects.toThrow(/longhaul-no-shell:test: it has no POSIX shell.*longhaul\.image/);
    expect(await ownContainers(docker)).toEqual([]);
  });
});
