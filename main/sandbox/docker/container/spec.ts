/** What a sandbox's container is made with: its limits, its labels, and how little it may do. */
import type { ContainerCreateOptions } from "dockerode";
import { OUTPUTS, UPLOADS, WORKDIR } from "../../machine.ts";
import { RUNNER_STATE_DIR, runnerState } from "../../runner/files.ts";
import type { SandboxSettings } from "../settings.ts";
import type { ArchiveEntry } from "./archive.ts";
import { AGENT } from "./exec.ts";

/** Layout of the containers that this version makes. */
export const SANDBOX_VERSION = "1";

export const LABELS = {
  session: "longhaul.session",
  install: "longhaul.install",
  version: "longhaul.version",
  /** Process that made the container; tells a half-made one that is being finished from one that was left. */
  maker: "longhaul.maker",
  /** Number of a checkpoint image, counted up within a session. */
  checkpoint: "longhaul.checkpoint",
} as const;

export const HOME = "/home/agent";
export const STATE_DIR = RUNNER_STATE_DIR;

const MIB = 1024 * 1024;

export interface ContainerSpec {
  name: string;
  image: string;
  command: readonly string[];
  labels: Record<string, string>;
  settings: SandboxSettings;
  networkMode: string;
  env: Record<string, string>;
}

/** Options of the engine's "create container". */
export function createOptions(spec: ContainerSpec): ContainerCreateOptions {
  const { settings } = spec;
  return {
    name: spec.name,
    Image: spec.image,
    // Also what a checkpoint image says; the image's own entrypoint would run before the runner, or instead of it.
    Entrypoint: [...spec.command],
    Cmd: [],
    User: AGENT,
    WorkingDir: WORKDIR,
    Hostname: "sandbox",
    Env: Object.entries({ HOME, ...spec.env }).map(([key, value]) => `${key}=${value}`),
    Labels: spec.labels,
    Healthcheck: { Test: ["NONE"] },
    Tty: false,
    OpenStdin: false,
    AttachStdin: false,
    AttachStdout: false,
    AttachStderr: false,
    // The runner keeps everything that must last as it goes; an engine that shuts down need not wait for it.
    StopSignal: "SIGKILL",
    StopTimeout: 1,
    HostConfig: {
      Init: true,
      Privileged: false,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      Memory: settings.memory_bytes,
      MemorySwap: settings.memory_bytes,
      NanoCpus: settings.nano_cpus,
      PidsLimit: settings.pids,
      // Both count as memory of the container, and no death of a process gives them back: full ones must leave room.
      ShmSize: Math.min(256 * MIB, Math.floor(settings.memory_bytes / 4)),
      Tmpfs: { "/tmp": `rw,exec,nosuid,nodev,mode=1777,size=${tmpBytes(settings.memory_bytes)}` },
      Ulimits: [
        { Name: "nofile", Soft: 16_384, Hard: 16_384 },
        // A crashing program must not fill the writable layer.
        { Name: "core", Soft: 0, Hard: 0 },
      ],
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
      RestartPolicy: { Name: "no" },
      AutoRemove: false,
      IpcMode: "private",
      NetworkMode: spec.networkMode,
      ...(settings.runtime === null ? {} : { Runtime: settings.runtime }),
    },
  };
}

/** The folders of a sandbox, unpacked before the first start; owners as the agent needs them in any image. */
export function sandboxFolders(): ArchiveEntry[] {
  const [uid, gid] = AGENT.split(":").map(Number) as [number, number];
  const root = { uid: 0, gid: 0 };
  const agent = { uid, gid };
  return [
    { path: "/mnt/", mode: 0o755, ...root },
    { path: "/mnt/session/", mode: 0o755, ...root },
    { path: `${UPLOADS}/`, mode: 0o755, ...root },
    { path: `${OUTPUTS}/`, mode: 0o755, ...agent },
    { path: `${WORKDIR}/`, mode: 0o755, ...agent },
    { path: `${HOME}/`, mode: 0o755, ...agent },
    ...runnerState().map(({ path, type, mode }) => {
      return { path: type === "directory" ? `${path}/` : path, mode, ...root, fifo: type === "fifo" };
    }),
  ];
}

function tmpBytes(memory: number): number {
  return Math.min(1024 * MIB, Math.floor(memory / 2));
}
