/** The product on a real container engine, and that engine seen from outside. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { SANDBOX_IMAGE, testDockerHost } from "../../main/sandbox/docker/testing/real_engine.ts";
import { type Product, type ServeOptions, serve, until } from "../product/serve.ts";

const run = promisify(execFile);

/** Environment that makes a product use the engine at `host`. */
export function dockerEnv(host: string = testDockerHost()): Record<string, string> {
  return { LONGHAUL_SANDBOX: "docker", DOCKER_HOST: host, LONGHAUL_SANDBOX_IMAGE: SANDBOX_IMAGE };
}

export function serveOnDocker(options: ServeOptions & { host?: string } = {}): Promise<Product> {
  const { host, ...rest } = options;
  return serve({ ...rest, env: { ...dockerEnv(host), ...options.env } });
}

/** The docker command line against the test engine. Resolves with its standard output. */
export async function docker(...args: string[]): Promise<string> {
  const env = { ...process.env, DOCKER_HOST: testDockerHost() };
  const { stdout } = await run("docker", args, { env, maxBuffer: 64 * 1024 * 1024 });
  return stdout.trim();
}

/** Ids of the session's containers, running or not. */
export async function containersOf(sessionId: string): Promise<string[]> {
  const out = await docker("ps", "-aq", "--no-trunc", "--filter", `label=longhaul.session=${sessionId}`);
  return out === "" ? [] : out.split("\n");
}

/** The one container of a session. */
export async function containerOf(sessionId: string): Promise<string> {
  const [id, ...more] = await containersOf(sessionId);
  if (id === undefined || more.length > 0) throw new Error(`${sessionId} has ${more.length + (id ? 1 : 0)} containers`);
  return id;
}

/** Text of a file in the session's container, which is paused for a moment while a checkpoint is taken. */
export async function fileIn(sessionId: string, path: string): Promise<string> {
  const id = await containerOf(sessionId);
  const read = async (): Promise<{ text: string } | null> => {
    try {
      return { text: await docker("exec", id, "cat", path) };
    } catch (error) {
      if (String(error).includes("is paused")) return null;
      throw error;
    }
  };
  return (await until(`${id} to run`, read)).text;
}

/** Removes every container, image and network that an install made. */
export async function removeInstall(dataDir: string): Promise<void> {
  const file = join(dataDir, "install.json");
  if (!existsSync(file)) return;
  const { id } = JSON.parse(readFileSync(file, "utf8")) as { id: string };
  const filter = `label=longhaul.install=${id}`;
  const lines = (text: string): string[] => (text === "" ? [] : [...new Set(text.split("\n"))]);
  const containers = lines(await docker("ps", "-aq", "--filter", filter));
  if (containers.length > 0) await docker("rm", "-f", ...containers);
  const images = lines(await docker("images", "-q", "--filter", filter));
  if (images.length > 0) await docker("rmi", "-f", ...images);
  const networks = lines(await docker("network", "ls", "-q", "--filter", filter));
  if (networks.length > 0) await docker("network", "rm", ...networks);
  const volumes = lines(await docker("volume", "ls", "-q", "--filter", filter));
  if (volumes.length > 0) await docker("volume", "rm", ...volumes);
}
