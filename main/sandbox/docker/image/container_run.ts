/** One program in a container of its own: prepared, started, listened to, and removed when it ended or was given up. */
import { randomUUID } from "node:crypto";
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { Demux } from "../container/demux.ts";
import { engineCall, LOOK_MS, WORK_MS } from "../container/engine_call.ts";

/** Name prefix of containers that prepare images: what has it is never a session's sandbox. */
export const PREPARING = "longhaul-prepare-";

/** Names of those that this process is using. */
const active = new Set<string>();

/** True for a container that prepared an image for a process that is no more, going by its name. */
export function isLeftPreparation(name: string): boolean {
  const bare = name.replace(/^\//, "");
  return bare.startsWith(PREPARING) && !active.has(bare);
}

export interface PreparingRun {
  image: string;
  argv: readonly string[];
  user: string;
  labels: Record<string, string>;
  /** `none`, or the name of a network. */
  network: string;
  /** Capabilities that are left; all others are dropped. */
  capabilities: readonly string[];
  /** Milliseconds without output after which it is given up. */
  stallMs: number;
  /** Milliseconds after which it is given up although it goes on writing. */
  limitMs: number;
  /** A tar archive to unpack at `/` first. */
  files?: Uint8Array;
  /** Before the program starts, while the container is up already. */
  beforeStart?: (containerId: string) => Promise<void>;
  onOutput: (bytes: Buffer) => void;
  signal: AbortSignal;
}

/** Bytes of memory of a program that prepares an image; compilers need some. What runs there is not ours to trust. */
export const PREPARING_MEMORY = 4 * 1024 ** 3;

/** The program wrote nothing for too long, or did not end at all. */
export class RunStalled extends Error {
  override readonly name = "RunStalled";
}

/** Waits on its standard input until its network has been closed off, then becomes the program. */
const GATE = ["/bin/sh", "-c", 'read -r go && [ "$go" = go ] && exec "$@" < /dev/null', "longhaul"];

/**
 * Runs the program and hands its exit code and stopped container to `then`; the container is removed afterwards, whatever
 * happens. Rejects with EngineError (a SandboxLost) when the engine fails, with {@link RunStalled}, or the signal's reason.
 */
export async function runPreparing<T>(
  docker: Docker,
  run: PreparingRun,
  then: (exitCode: number, container: Docker.Container) => Promise<T>,
): Promise<T> {
  const name = `${PREPARING}${randomUUID()}`;
  active.add(name);
  try {
    return await runNamed(docker, name, run, then);
  } finally {
    active.delete(name);
  }
}

async function runNamed<T>(
  docker: Docker,
  name: string,
  run: PreparingRun,
  then: (exitCode: number, container: Docker.Container) => Promise<T>,
): Promise<T> {
  run.signal.throwIfAborted();
  const container = await engineCall(docker, "create a container to prepare the image", WORK_MS, (abortSignal) =>
    docker.createContainer({
      name,
      Image: run.image,
      // One empty word means none, whatever the image says; a list of words would stay in an image that is made of this.
      Entrypoint: [""],
      Cmd: [...GATE, ...run.argv],
      User: run.user,
      WorkingDir: "/",
      Labels: run.labels,
      Healthcheck: { Test: ["NONE"] },
      OpenStdin: true,
      StdinOnce: true,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      StopSignal: "SIGKILL",
      HostConfig: {
        Init: true,
        NetworkMode: run.network,
        CapDrop: ["ALL"],
        CapAdd: [...run.capabilities],
        SecurityOpt: ["no-new-privileges:true"],
        PidsLimit: 4096,
        Memory: PREPARING_MEMORY,
        MemorySwap: PREPARING_MEMORY,
        LogConfig: { Type: "none", Config: {} },
        RestartPolicy: { Name: "no" },
      },
      abortSignal,
    }),
  );
  try {
    const { files } = run;
    if (files !== undefined) {
      await engineCall(docker, "put files into a container", WORK_MS, (abortSignal) =>
        container.putArchive(Buffer.from(files), { path: "/", abortSignal }),
      );
    }
    await talk(docker, container, run);
    const { StatusCode } = (await engineCall(docker, "wait for a container", LOOK_MS, (abortSignal) =>
      container.wait({ abortSignal }),
    )) as { StatusCode: number };
    return await then(StatusCode, container);
  } finally {
    // Also kills what still runs. When the engine is gone it stays, and is found by its name later.
    await engineCall(docker, "remove a container", WORK_MS, (abortSignal) =>
      container.remove({ force: true, v: true, abortSignal }),
    ).catch(() => undefined);
  }
}

/** Starts the program and takes its output until it ends. */
async function talk(docker: Docker, container: Docker.Container, run: PreparingRun): Promise<void> {
  const doing = "start a container to prepare the image";
  const socket = (await engineCall(docker, doing, LOOK_MS, (abortSignal) =>
    container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true, abortSignal }),
  )) as Duplex;
  const stop = (error: Error): unknown => socket.destroy(error);
  const stalled = (): unknown =>
    stop(new RunStalled(`nothing was heard of it for ${Math.round(run.stallMs / 1000)} s`));
  const aborted = (): unknown => stop(run.signal.reason instanceof Error ? run.signal.reason : new Error("aborted"));
  let timer = setTimeout(stalled, run.stallMs);
  const limit = setTimeout(
    () => stop(new RunStalled(`it had not ended after ${Math.round(run.limitMs / 60_000)} minutes`)),
    run.limitMs,
  );
  const ended = new Promise<void>((resolve, reject) => {
    socket.once("end", resolve);
    socket.once("close", resolve);
    socket.once("error", reject);
  });
  ended.catch(() => undefined);
  const demux = new Demux(run.onOutput, run.onOutput);
  socket.on("data", (bytes: Buffer) => {
    clearTimeout(timer);
    timer = setTimeout(stalled, run.stallMs);
    demux.feed(bytes);
  });
  run.signal.addEventListener("abort", aborted, { once: true });
  try {
    await engineCall(docker, doing, WORK_MS, (abortSignal) => container.start({ abortSignal }));
    await run.beforeStart?.(container.id);
    run.signal.throwIfAborted();
    socket.write("go\n");
    await ended;
  } finally {
    clearTimeout(timer);
    clearTimeout(limit);
    run.signal.removeEventListener("abort", aborted);
    socket.destroy();
  }
}
