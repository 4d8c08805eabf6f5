/** The container engine of a test run: one that was named, a private one that is started here, or one that answers. */
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { canStartDaemon, startDaemon } from "./daemon.ts";
import { makeImages } from "./images.ts";

export interface TestEngine {
  /** For `LONGHAUL_TEST_DOCKER_HOST`. */
  host: string;
  /** What it is, for the list of parts. */
  found: string;
  /** Makes the images that are missing. Rejects with an Error that says why they cannot be had. */
  prepare(log: (line: string) => void): Promise<void>;
  /** True when it was started here or named on purpose: then its images must come into being. */
  required: boolean;
  /** Ends it if it was started here. Idempotent. */
  stop(): Promise<void>;
}

/** Images and the engine's data between runs; the sources stay clean. */
export function cacheFolder(env: Record<string, string | undefined> = process.env): string {
  const base = env["XDG_CACHE_HOME"];
  return join(base === undefined || base === "" ? join(homedir(), ".cache") : base, "longhaul-test");
}

/** Finds or starts it; a string says why there is none. */
export async function findTestEngine(
  env: Record<string, string | undefined> = process.env,
): Promise<TestEngine | string> {
  const named = env["LONGHAUL_TEST_DOCKER_HOST"] ?? "";
  if (named !== "") {
    const docker = connect(named);
    const version = await versionOf(docker);
    if (version === null) return `no engine answers at LONGHAUL_TEST_DOCKER_HOST=${named}`;
    return engine(named, docker, `${version} (${named})`, true, () => Promise.resolve());
  }
  if (canStartDaemon()) {
    try {
      const daemon = await startDaemon(cacheFolder(env));
      const version = (await versionOf(daemon.docker)) ?? "unknown version";
      return engine(daemon.host, daemon.docker, `${version} (private)`, true, daemon.stop);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
  const sockets = [join(homedir(), ".docker/run/docker.sock"), "/var/run/docker.sock"].filter((path) =>
    existsSync(path),
  );
  for (const host of [env["DOCKER_HOST"] ?? "", ...sockets.map((path) => `unix://${path}`)]) {
    if (host === "" || host.startsWith("ssh:")) continue;
    const docker = connect(host);
    const version = await versionOf(docker);
    if (version !== null) return engine(host, docker, `${version} (${host})`, false, () => Promise.resolve());
  }
  return "no container engine answers here, and none can be started without root on Linux with docker.io installed";
}

function engine(host: string, docker: Docker, found: string, required: boolean, stop: () => Promise<void>): TestEngine {
  return { host, found, required, stop, prepare: (log) => makeImages(docker, cacheFolder(), log) };
}

function connect(host: string): Docker {
  if (host.startsWith("unix://")) return new Docker({ socketPath: host.slice("unix://".length) });
  const { hostname, port } = new URL(host);
  return new Docker({ host: hostname, port: port === "" ? 2375 : Number(port) });
}

async function versionOf(docker: Docker): Promise<string | null> {
  const late = new Promise<null>((resolve) => setTimeout(resolve, 10_000, null).unref());
  const version = await Promise.race([docker.version().catch(() => null), late]);
  return version === null ? null : `Docker ${version.Version}, API ${version.ApiVersion}`;
}
