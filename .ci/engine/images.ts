/** The images that tests use, made in an engine: from Debian's bootstrap as root, else from the Dockerfile. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import { pack } from "tar-stream";
import { ensureImage } from "../../main/sandbox/docker/image/ensure_image.ts";
import { RECIPE_LABEL, recipeFolder, sandboxRecipe } from "../../main/sandbox/docker/image/sandbox_recipe.ts";
import { BUSYBOX_IMAGE, SANDBOX_IMAGE, SHELLLESS_IMAGE } from "../../main/sandbox/docker/testing/real_engine.ts";

const BUSYBOX_PATHS = ["/bin/busybox", "/usr/bin/busybox"];
/** Of making the image without a registry; it takes about a minute. */
const MAKE_MS = 900_000;

/** Makes what is missing or was made from an older recipe. Rejects with an Error that says what could not be made and why. */
export async function makeImages(docker: Docker, cache: string, log: (line: string) => void): Promise<void> {
  await makeSmallImages(docker);
  await makeSandboxImage(docker, cache, log);
}

async function recipeOf(docker: Docker, name: string): Promise<string | null> {
  const found = await docker
    .getImage(name)
    .inspect()
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode === 404) return null;
      throw error;
    });
  return found === null ? null : (found.Config?.Labels?.[RECIPE_LABEL] ?? "");
}

async function makeSandboxImage(docker: Docker, cache: string, log: (line: string) => void): Promise<void> {
  const recipe = await sandboxRecipe();
  if ((await recipeOf(docker, SANDBOX_IMAGE)) === recipe.hash) return;
  if ((await recipeOf(docker, recipe.image)) !== recipe.hash) {
    const started = performance.now();
    log(`Making the sandbox image ${recipe.image} …`);
    if (canBootstrap()) await importBootstrap(docker, recipe.image, await bootstrap(cache));
    else await build(docker, log);
    log(`Made the sandbox image in ${Math.round((performance.now() - started) / 1000)} s.`);
  }
  const [repo = "", tag = ""] = SANDBOX_IMAGE.split(":");
  await docker.getImage(recipe.image).tag({ repo, tag });
}

function canBootstrap(): boolean {
  return process.getuid?.() === 0 && existsSync("/usr/sbin/debootstrap");
}

/** By the product's own way, which needs a registry. */
async function build(docker: Docker, log: (line: string) => void): Promise<void> {
  const asked = { image: null, packages: {}, labels: {}, onStep: () => undefined, onProgress: log };
  const { LONGHAUL_SANDBOX_IMAGE: named } = process.env;
  delete process.env["LONGHAUL_SANDBOX_IMAGE"];
  try {
    await ensureImage(docker, asked);
  } finally {
    if (named !== undefined) process.env["LONGHAUL_SANDBOX_IMAGE"] = named;
  }
}

/** Path of the image's files, made once per recipe and kept. */
async function bootstrap(cache: string): Promise<string> {
  const script = join(recipeFolder(), "make_image.sh");
  const files = ["Dockerfile", "packages.txt", "setup.sh", "make_image.sh"];
  const digest = createHash("sha256");
  for (const file of files) digest.update(readFileSync(join(recipeFolder(), file)));
  const name = `sandbox-${digest.digest("hex").slice(0, 12)}.tar`;
  mkdirSync(cache, { recursive: true });
  if (existsSync(join(cache, name))) return join(cache, name);
  for (const old of readdirSync(cache)) if (/^sandbox-.*\.tar/.test(old)) rmSync(join(cache, old));
  // Tests may run at the same time, and some of them measure: this is in no hurry.
  await run("nice", ["-n", "19", "sh", script, "--tar", join(cache, name)]);
  return join(cache, name);
}

function run(command: string, args: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: MAKE_MS });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ${args.join(" ")} ended with ${code ?? "a signal"}:\n${output.slice(-3000)}`));
    });
  });
}

async function importBootstrap(docker: Docker, image: string, tar: string): Promise<void> {
  const { stdout } = spawnSync("sh", [join(recipeFolder(), "make_image.sh"), "--changes"], { encoding: "utf8" });
  await importImage(docker, image, createReadStream(tar), stdout.trim().split("\n"));
}

async function importImage(docker: Docker, image: string, tar: Readable, changes: string[]): Promise<void> {
  const [repo = "", tag = ""] = image.split(":");
  const answer = (await docker.importImage(tar, { repo, tag, changes })) as Readable;
  let text = "";
  for await (const chunk of answer) text += String(chunk);
  if (/"error"/.test(text)) throw new Error(`${image} could not be imported: ${text.slice(-1000)}`);
}

/** busybox alone with a link for each of its commands, and one program without any shell. */
async function makeSmallImages(docker: Docker): Promise<void> {
  const busybox = BUSYBOX_PATHS.find((path) => existsSync(path) && isStatic(path));
  if (busybox === undefined) return pullSmallImages(docker);
  const program = readFileSync(busybox);
  const recipe = createHash("sha256").update("1").update(program).digest("hex").slice(0, 12);
  const commands = spawnSync(busybox, ["--list"], { encoding: "utf8" }).stdout.trim().split("\n");
  const label = `LABEL ${RECIPE_LABEL}=${recipe}`;
  if ((await recipeOf(docker, BUSYBOX_IMAGE)) !== recipe) {
    const tar = pack();
    tar.entry({ name: "bin/", type: "directory", mode: 0o755 });
    tar.entry({ name: "tmp/", type: "directory", mode: 0o1777 });
    tar.entry({ name: "bin/busybox", mode: 0o755 }, program);
    for (const command of commands) {
      if (command !== "busybox")
        tar.entry({ name: `bin/${command}`, type: "symlink", linkname: "busybox", mode: 0o777 });
    }
    tar.finalize();
    await importImage(docker, BUSYBOX_IMAGE, tar as unknown as Readable, ['CMD ["/bin/sh"]', label]);
  }
  if ((await recipeOf(docker, SHELLLESS_IMAGE)) !== recipe) {
    const tar = pack();
    tar.entry({ name: "app/", type: "directory", mode: 0o755 });
    tar.entry({ name: "app/prog", mode: 0o755 }, program);
    tar.finalize();
    await importImage(docker, SHELLLESS_IMAGE, tar as unknown as Readable, ['CMD ["/app/prog"]', label]);
  }
}

function isStatic(program: string): boolean {
  return spawnSync("ldd", [program], { encoding: "utf8" }).status !== 0;
}

/** The same two from a registry, on machines without a static busybox. */
async function pullSmallImages(docker: Docker): Promise<void> {
  const dockerfiles = {
    [BUSYBOX_IMAGE]: "FROM busybox:stable-musl\n",
    [SHELLLESS_IMAGE]:
      'FROM busybox:stable-musl AS b\nFROM scratch\nCOPY --from=b /bin/busybox /app/prog\nCMD ["/app/prog"]\n',
  };
  for (const [image, dockerfile] of Object.entries(dockerfiles)) {
    if ((await recipeOf(docker, image)) !== null) continue;
    const tar = pack();
    tar.entry({ name: "Dockerfile" }, dockerfile);
    tar.finalize();
    const answer = (await docker.buildImage(tar as unknown as Readable, { t: image, rm: true })) as Readable;
    let text = "";
    for await (const chunk of answer) text += String(chunk);
    if (/"error"/.test(text)) throw new Error(`${image} could not be built: ${text.slice(-1000)}`);
  }
}
