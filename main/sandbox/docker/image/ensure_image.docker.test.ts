import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX_IMAGE, SANDBOX_IMAGE, SHELLLESS_IMAGE, testDockerHost } from "../testing/real_engine.ts";
import { buildImage } from "./base_image.ts";
import { PREPARING, PREPARING_MEMORY, runPreparing } from "./container_run.ts";
import { ensureImage, type ImageRequest } from "./ensure_image.ts";
import { PACKAGES_REPOSITORY } from "./package_layers.ts";
import type { SandboxRecipe } from "./sandbox_recipe.ts";

const install = `test-${randomUUID()}`;
const labels = { "longhaul.install": install, "longhaul.version": "test" };

function dockerOptions(): Docker.DockerOptions {
  const host = testDockerHost();
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) };
  const { hostname, port } = new URL(host);
  return { host: hostname, port };
}

function connect(): Docker {
  return new Docker(dockerOptions());
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

  test.each([
    [
      "no such image",
      "longhaul-test.invalid/nothing:1",
      /longhaul-test\.invalid\/nothing:1 is not on the container engine.*`longhaul\.image`/,
    ],
    ["a name that is none", "Bad Name;rm -rf /", /"Bad Name;rm -rf \/" is no name of an image.*`longhaul\.image`/],
  ])("%s is refused at once with a text that names it and its key", async (_what, image, text) => {
    const asked = request({ image });
    await expect(ensureImage(docker, asked)).rejects.toThrow(text);
  });
});

describe("building", () => {
  const recipe = (Dockerfile: string): SandboxRecipe => {
    const hash = randomUUID().slice(0, 8);
    return { files: { Dockerfile, "packages.txt": "curl\n" }, hash, image: `longhaul-sandbox:test-${hash}` };
  };
  const never = new AbortController().signal;

  test("a recipe becomes an image with its label, and what goes on is told", async () => {
    const asked = request();
    const good = recipe(`FROM ${BUSYBOX_IMAGE}\nCOPY packages.txt /\nRUN cat /packages.txt\n`);
    const built = await buildImage(docker, good, asked, never);
    expect(await print(docker, built.id, "/bin/cat", "/packages.txt")).toBe("curl");
    expect((await docker.getImage(good.image).inspect()).Config.Labels).toEqual({ "longhaul.recipe": good.hash });
    expect(asked.progress[0]).toMatch(/happens once/);
    expect(asked.progress.length).toBeGreaterThan(1);
    await docker.getImage(good.image).remove({ force: true });
  });

  test.each([
    [
      "a registry that cannot be reached",
      "FROM longhaul-test.invalid/base:1\n",
      /failed at step 1\/\d \(FROM longhaul-test\.invalid\/base:1\) because .*make_image\.sh.*embedded/s,
    ],
    [
      "a step that fails",
      `FROM ${BUSYBOX_IMAGE}\nRUN echo no mirror today; exit 3\n`,
      /failed at step 2\/\d \(RUN .*Last output:\n.*no mirror today/s,
    ],
  ])("%s is named with what to do", async (_what, dockerfile, text) => {
    const bad = recipe(dockerfile);
    await expect(buildImage(docker, bad, request(), never)).rejects.toThrow(text);
    await expect(docker.getImage(bad.image).inspect()).rejects.toThrow(/no such image/i);
  });
});

describe("packages", () => {
  const packages = { apt: ["tree"], npm: ["is-number@7.0.0", "@types/ms@2.1.0"] };

  test("apt and npm install for real, once for two sessions at a time, and not again", {
    timeout: 300_000,
  }, async () => {
    const [one, two] = [
      request({ packages }),
      request({ packages: { npm: [...packages.npm].reverse(), apt: packages.apt } }),
    ];
    const [first, second] = await Promise.all([ensureImage(docker, one), ensureImage(docker, two)]);
    expect(second.image).toBe(first.image);
    const names = ["install apt packages: tree", "install npm packages: @types/ms@2.1.0, is-number@7.0.0"];
    for (const { steps } of [one, two]) {
      expect(steps.map(({ step, error }) => [step, error])).toEqual(names.map((name) => [name, null]));
      expect(steps.every(({ duration_ms }) => duration_ms > 500)).toBe(true);
    }
    expect(one.progress.some((line) => line.startsWith("apt: "))).toBe(true);
    expect(await ownContainers(docker)).toEqual([]);

    const again = request({ packages });
    expect((await ensureImage(docker, again)).image).toBe(first.image);
    expect(again.steps).toEqual([]);

    const shown = await print(
      docker,
      first.image,
      "/bin/sh",
      "-c",
      "tree --version; ls /usr/local/lib/node_modules; ls /tmp; pwd; env",
    );
    expect(shown).toMatch(/tree v/);
    expect(shown).toMatch(/is-number/);
    expect(shown).toMatch(/@types/);
    expect(shown).not.toMatch(/longhaul-install|DEBIAN_FRONTEND/);
    const [before, after] = await Promise.all(
      [SANDBOX_IMAGE, first.image].map((name) => docker.getImage(name).inspect()),
    );
    for (const key of ["Env", "User", "WorkingDir", "Cmd", "Entrypoint"] as const) {
      expect({ [key]: after?.Config[key] }).toEqual({ [key]: before?.Config[key] });
    }
  });

  test("a manager that fails is a step with an error that names the package; what was complete is kept", {
    timeout: 300_000,
  }, async () => {
    const asked = request({ packages: { apt: ["tree"], npm: ["longhaul-no-such-package-0f3a"] } });
    await expect(ensureImage(docker, asked)).rejects.toThrow(
      /environment's npm packages failed at "longhaul-no-such-package-0f3a.*config\.packages\.npm.*Last output:\n.*404/s,
    );
    expect(asked.steps.at(-1)?.error).toMatch(/npm packages failed/);
    expect(await ownContainers(docker)).toEqual([]);
  });

  test("an unknown apt package is named and not taken for a pattern", { timeout: 300_000 }, async () => {
    const asked = ensureImage(docker, request({ packages: { apt: ["tre.", "longhaul-none"] } }));
    await expect(asked).rejects.toThrow(/apt packages failed at "longhaul-none".*Unable to locate package tre\./s);
  });

  test("a registry that cannot be reached ends in a clear text", { timeout: 300_000 }, async () => {
    const asked = ensureImage(docker, request({ packages: { pip: ["six==1.17.0"] } }));
    await expect(asked).rejects.toThrow(/pip packages failed at "six==1\.17\.0".*check the network/s);
  });

  test("an image without the manager and without apt says what is missing", async () => {
    const asked = ensureImage(docker, request({ image: BUSYBOX_IMAGE, packages: { npm: ["is-number"] } }));
    await expect(asked).rejects.toThrow(/the image has no npm, and no apt-get/);
  });

  test("a program that goes on for ever is given up, and cannot take all the memory", async () => {
    const memory: number[] = [];
    const run = {
      image: BUSYBOX_IMAGE,
      argv: ["/bin/sh", "-c", "while :; do echo again; sleep 0.05; done"],
      user: "0:0",
      labels,
      network: "none",
      capabilities: [],
      stallMs: 30_000,
      limitMs: 1_500,
      beforeStart: async (id: string) => {
        memory.push((await docker.getContainer(id).inspect()).HostConfig.Memory ?? 0);
      },
      onOutput: () => undefined,
      signal: new AbortController().signal,
    };
    await expect(runPreparing(docker, run, () => Promise.resolve())).rejects.toThrow("had not ended");
    expect(memory).toEqual([PREPARING_MEMORY]);
    expect(await ownContainers(docker)).toEqual([]);
  });

  test("nothing runs when the network cannot be closed off first", async () => {
    const seen: string[] = [];
    const asked = request({
      network: "none",
      packages: { apt: ["hello"] },
      guard: (id) => {
        seen.push(id);
        return Promise.reject(new Error("no guard today"));
      },
    });
    await expect(ensureImage(docker, asked)).rejects.toThrow("no guard today");
    expect(seen).toHaveLength(1);
    expect(asked.progress.some((line) => line.startsWith("apt: "))).toBe(false);
  });

  test("an engine that is killed in the middle leaves nothing that is taken for complete", {
    timeout: 120_000,
  }, async () => {
    const script = `
      import Docker from "dockerode";
      import { ensureImage } from ${JSON.stringify(new URL("ensure_image.ts", import.meta.url).href)};
      const docker = new Docker(${JSON.stringify(dockerOptions())});
      await ensureImage(docker, {
        image: ${JSON.stringify(SANDBOX_IMAGE)}, packages: { apt: ["cowsay"] }, labels: ${JSON.stringify(labels)},
        onStep: () => undefined, onProgress: (text) => console.log(text),
      });`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const chunk of child.stdout) if (/apt: /.test(String(chunk))) break;
    child.kill("SIGKILL");
    const left = await ownContainers(docker);
    expect(left).toHaveLength(1);

    const asked = request({ packages: { apt: ["cowsay"] } });
    const ready = await ensureImage(connect(), asked);
    expect(asked.steps).toMatchObject([{ step: "install apt packages: cowsay", error: null }]);
    expect(await print(docker, ready.image, "/usr/games/cowsay", "whole")).toMatch(/< whole >/);
    expect(await ownContainers(docker)).toEqual([]);
  });

  test("a session that gives up takes its install along; what an earlier process left is cleared away", async () => {
    const abort = new AbortController();
    const asked = request({ packages: { apt: ["sl"] }, signal: abort.signal, onProgress: () => abort.abort() });
    await expect(ensureImage(docker, asked)).rejects.toThrow(/abort/i);
    await expect.poll(() => ownContainers(docker), { timeout: 20_000 }).toEqual([]);
    expect(
      await docker.listImages({
        filters: { label: [`longhaul.install=${install}`], reference: [`${PACKAGES_REPOSITORY}:*`] },
      }),
    ).toEqual(
      (await docker.listImages({ filters: { label: [`longhaul.install=${install}`] } })).filter(
        ({ RepoTags }) => RepoTags?.[0] !== undefined,
      ),
    );

    const left = await docker.createContainer({
      name: `${PREPARING}${randomUUID()}`,
      Image: BUSYBOX_IMAGE,
      Cmd: ["sh"],
      Labels: labels,
    });
    const restarted = connect();
    await expect(ensureImage(restarted, request({ packages: { npm: ["../escape"] } }))).rejects.toThrow(
      /config\.packages\.npm/,
    );
    await ensureImage(restarted, request({ packages: { apt: ["tree"] } }));
    await expect(left.inspect()).rejects.toThrow(/no such container/i);
  });
});
