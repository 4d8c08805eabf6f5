/** Where a container engine may be, from environment variables and files alone: nothing is contacted. */
import { existsSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { BadAddress, type EngineAddress, parseAddress, readTls, socketAddress } from "./address.ts";
import { contextAddress } from "./contexts.ts";

export type DockerEnvironment = Readonly<Record<string, string | undefined>>;

export interface Candidates {
  /** What named the engine. Something that the person chose is never replaced by another engine that happens to be there. */
  chosen_by: "DOCKER_HOST" | "DOCKER_CONTEXT" | "context" | null;
  /** Those that may answer, in the order to try them. */
  found: EngineAddress[];
  /** Set when what was chosen cannot be used: what is wrong and what to do. */
  problem: string | null;
  /** Sockets that were looked for. */
  looked_at: string[];
}

function given(env: DockerEnvironment, name: string): string | null {
  const value = env[name]?.trim() ?? "";
  return value === "" ? null : value;
}

/** Candidates in the order of Docker's own command line: `DOCKER_HOST`, the context, then the usual sockets. */
export function candidates(env: DockerEnvironment, platform: NodeJS.Platform = process.platform): Candidates {
  const home = given(env, platform === "win32" ? "USERPROFILE" : "HOME") ?? homedir();
  const folder = given(env, "DOCKER_CONFIG") ?? join(home, ".docker");
  const host = given(env, "DOCKER_HOST");
  if (host !== null) {
    return chosen("DOCKER_HOST", () => parseAddress(host, "DOCKER_HOST", variableTls(env, folder)));
  }
  const context = given(env, "DOCKER_CONTEXT");
  const by = context === null ? "context" : "DOCKER_CONTEXT";
  const named = chosen(by, () => contextAddress(folder, context));
  if (named.problem !== null || named.found.length > 0) return named;
  const paths = usualSockets(env, home, platform);
  const scheme = platform === "win32" ? "npipe" : "unix";
  const found = paths.filter((path) => existsSync(path)).map((path) => socketAddress(path, scheme));
  return { chosen_by: null, found, problem: null, looked_at: paths };
}

function chosen(by: NonNullable<Candidates["chosen_by"]>, address: () => EngineAddress | null): Candidates {
  try {
    const found = address();
    return { chosen_by: by, found: found === null ? [] : [found], problem: null, looked_at: [] };
  } catch (error) {
    if (!(error instanceof BadAddress)) throw error;
    return { chosen_by: by, found: [], problem: error.message, looked_at: [] };
  }
}

function variableTls(env: DockerEnvironment, folder: string): Parameters<typeof parseAddress>[2] {
  const verify = given(env, "DOCKER_TLS_VERIFY") !== null;
  if (!verify && given(env, "DOCKER_TLS") === null) return null;
  return () => readTls(given(env, "DOCKER_CERT_PATH") ?? folder, verify, false);
}

/** Sockets that Docker, Podman, Colima, OrbStack and Rancher Desktop listen on when nothing else is said. */
function usualSockets(env: DockerEnvironment, home: string, platform: NodeJS.Platform): string[] {
  if (platform === "win32") return ["//./pipe/docker_engine", "//./pipe/podman-machine-default"];
  const runtime = given(env, "XDG_RUNTIME_DIR");
  const inRuntime = (...parts: string[]): string[] => (runtime === null ? [] : [join(runtime, ...parts)]);
  const paths = [
    "/var/run/docker.sock",
    ...inRuntime("docker.sock"),
    join(home, ".docker", "run", "docker.sock"),
    join(home, ".docker", "desktop", "docker.sock"),
    join(home, ".orbstack", "run", "docker.sock"),
    ...colimaSockets(home),
    join(home, ".rd", "docker.sock"),
    ...inRuntime("podman", "podman.sock"),
    "/run/podman/podman.sock",
  ];
  if (platform !== "darwin") return paths;
  const machine = join(home, ".local", "share", "containers", "podman", "machine");
  const temporary = join(given(env, "TMPDIR") ?? "/tmp", "podman", "podman-machine-default-api.sock");
  return [...paths, join(machine, "podman.sock"), join(machine, "qemu", "podman.sock"), temporary];
}

function colimaSockets(home: string): string[] {
  const folder = join(home, ".colima");
  try {
    const profiles = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const names = profiles.map(({ name }) => name).filter((name) => !name.startsWith("_"));
    // The default profile first, as Colima itself does.
    names.sort((a, b) => Number(b === "default") - Number(a === "default") || a.localeCompare(b));
    return names.map((name) => join(folder, name, "docker.sock"));
  } catch {
    // Not installed, or not ours to read.
    return [];
  }
}
